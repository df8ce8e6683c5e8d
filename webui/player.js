// Plays speech while it is generated: fetches the live wav stream and schedules its samples.
// Runs once, when the element exists. The element's value is the stream's path, or empty to stop.
let playing = null;

async function play(path) {
    const Context = window.AudioContext || window.webkitAudioContext;
    if (!Context) return;
    const context = new Context({sampleRate: 16000});
    const aborter = new AbortController();
    playing = {context, aborter};
    await context.resume();
    const root = (window.gradio_config && window.gradio_config.root) || window.location.href;
    const base = root.replace(/[?#].*/, '').replace(/\/?$/, '/');
    const response = await fetch(new URL(path, base), {signal: aborter.signal});
    if (!response.ok) return;
    const reader = response.body.getReader();
    let rest = new Uint8Array(0);       // bytes of a sample that has not arrived completely
    let header = 44;                    // bytes of the wav header still to skip
    let startTime = 0;
    for (;;) {
        const {done, value} = await reader.read();
        if (done) return;
        let bytes = new Uint8Array(rest.length + value.length);
        bytes.set(rest);
        bytes.set(value, rest.length);
        const skipped = Math.min(header, bytes.length);
        header -= skipped;
        bytes = bytes.slice(skipped);
        rest = bytes.slice(bytes.length & ~1);
        const samples = new Int16Array(bytes.buffer, 0, bytes.length >> 1);
        if (!samples.length) continue;
        const buffer = context.createBuffer(1, samples.length, 16000);
        buffer.getChannelData(0).set(Float32Array.from(samples, s => s / 32768));
        const source = context.createBufferSource();
        source.buffer = buffer;
        source.connect(context.destination);
        startTime = Math.max(startTime, context.currentTime + 0.05);
        source.start(startTime);
        startTime += buffer.duration;
        window.sparkttsSamplesPlayed = (window.sparkttsSamplesPlayed || 0) + samples.length;
    }
}

function stop() {
    if (playing) { playing.aborter.abort(); playing.context.close(); }
    playing = null;
}

watch('value', () => { stop(); if (props.value) play(props.value).catch(() => {}); });
