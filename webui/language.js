async (language) => {
    // Lets Gradio's own texts (upload box, recorder, tooltips) follow the page's language.
    // Gradio takes the browser's, as it was when the page was opened, and offers no way to change
    // it; this sets the store that keeps its locale. If it is not found, they stay as they are.
    // Called with a language it remembers it; without, it returns the language to begin with.
    const key = 'sparktts-language';
    try {
        if (language) localStorage.setItem(key, language);
        else language = localStorage.getItem(key);
    } catch { /* storage is off */ }
    const locales = {en: 'en', zh: 'zh-CN'};
    if (!(language in locales)) language = navigator.language.startsWith('zh') ? 'zh' : 'en';
    const script = performance.getEntriesByType('resource')
        .find(({name}) => /\/assets\/i18n-[^/]*\.js$/.test(name));
    if (!script) return [language];
    const stores = Object.values(await import(script.name))
        .filter((value) => typeof value?.set === 'function' && value.subscribe);
    for (const store of stores) {
        let current;
        store.subscribe((value) => { current = value; })();
        if (typeof current === 'string' && current !== locales[language])
            await store.set(locales[language]);
    }
    return [language];
}
