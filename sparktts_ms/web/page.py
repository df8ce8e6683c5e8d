"""The page: what to say, whose voice, and the result; on a phone one below the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from sparktts_ms.generation.attributes import LEVELS
from sparktts_ms.web.gradio_api import add_endpoints
from sparktts_ms.web.handlers import Actions
from sparktts_ms.web.i18n import EXAMPLES, LANGUAGES, WORDS
from sparktts_ms.web.player import SCRIPT, TEMPLATE
from sparktts_ms.web.voice_store import LONGEST

Words = dict[str, str]
AS_RECORDED = ("as_recorded", *LEVELS)

THEME = gr.themes.Soft(primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"],
                       font_mono=["ui-monospace", "monospace"])
CSS = """
.gradio-container {max-width: 1180px !important; margin: 0 auto !important}
#note, #responsible {font-size: .9em; opacity: .85}
#top {align-items: center; flex-wrap: wrap}
#top > #language {min-width: 200px !important; flex: none}
#status {min-height: 1.6em}
@media (max-width: 640px) {
    .gradio-container, .gradio-container > main {padding: 8px !important}
    .contain .column {min-width: 0 !important; flex-basis: 100%}
    #voices {min-width: 0; max-width: calc(100vw - 16px); overflow: hidden}
    #top {flex-direction: column; align-items: flex-start}
}
footer {display: none !important}
"""


class Labels:
    """Which words stand on which component, to change them with the language."""

    def __init__(self) -> None:
        self.components: list[Any] = []
        self._made: list[Callable[[Words], dict[str, Any]]] = []

    def __call__(self, component: Any, words: Callable[[Words], dict[str, Any]]) -> Any:
        self.components.append(component)
        self._made.append(words)
        return component

    def updates(self, language: str) -> list[Any]:
        return [gr.update(**made(WORDS[language])) for made in self._made]


def build(actions: Actions, note: str = "", example: Path | None = None, transcript: str = "") -> gr.Blocks:
    """The page as Gradio blocks. `note`: said at the top; `example`: a recording that visitors may try, with its transcript."""
    labels, w = Labels(), WORDS["en"]
    with gr.Blocks(title="Spark-TTS · MindSpore", analytics_enabled=False, fill_width=False) as page:
        with gr.Row(elem_id="top"):
            labels(gr.Markdown(w["title"]), lambda w: {"value": w["title"]})
            language = gr.Radio(list(LANGUAGES.items()), value="en", show_label=False, container=False, scale=0, min_width=190,
                                elem_id="language")
        if note:
            gr.Markdown(note, elem_id="note")
        with gr.Row(equal_height=False):
            with gr.Column(min_width=320):
                asked = _request(labels, w, actions, example, transcript)
            with gr.Column(min_width=320):
                shown = _result(labels, w)
        labels(gr.Markdown(w["responsible"], elem_id="responsible"), lambda w: {"value": w["responsible"]})
        _connect(page, actions, labels, language, asked, shown)
        add_endpoints(actions.speaker)
    return page


def _request(labels: Labels, w: Words, actions: Actions, example: Path | None, transcript: str) -> dict[str, Any]:
    """Text, voice and settings. Returns what the visitor fills in, by the names that `Actions.speak` knows."""
    asked: dict[str, Any] = {}
    asked["text"] = labels(gr.Textbox(label=w["text"], placeholder=w["text_hint"], lines=4, max_lines=14, elem_id="text",
                                      max_length=actions.speaker.limits.text),
                           lambda w: {"label": w["text"], "placeholder": w["text_hint"]})
    with labels(gr.Accordion(w["examples"], open=False), lambda w: {"label": w["examples"]}):
        gr.Examples([[text] for text in EXAMPLES], [asked["text"]], label="", api_visibility="private")
    asked["source"] = gr.State("clone")
    with gr.Tabs(elem_id="voices"):
        with labels(gr.Tab(w["clone"], id="clone"), lambda w: {"label": w["clone"]}) as clone:
            asked["recording"] = labels(gr.Audio(label=w["recording"], type="filepath", sources=["upload", "microphone"],
                                                 elem_id="recording", buttons=[]), lambda w: {"label": w["recording"]})
            asked["transcript"] = labels(gr.Textbox(label=w["transcript"], placeholder=w["transcript_hint"], lines=2,
                                                    elem_id="transcript", max_length=2000),
                                         lambda w: {"label": w["transcript"], "placeholder": w["transcript_hint"]})
            if example is not None:
                button = labels(gr.Button(w["example_recording"], size="sm", elem_id="example"),
                                lambda w: {"value": w["example_recording"]})
                button.click(lambda: (str(actions.copied(example)), transcript), None, [asked["recording"], asked["transcript"]],
                             api_visibility="private")
        with labels(gr.Tab(w["create"], id="create"), lambda w: {"label": w["create"]}) as create:
            asked["gender"] = labels(gr.Radio(_choices(w, ("female", "male")), value="female", label=w["gender"]),
                                     lambda w: {"label": w["gender"], "choices": _choices(w, ("female", "male"))})
            asked["pitch"], asked["hertz"] = _scale(labels, w, "pitch", "hertz")
            asked["speed"], asked["rate"] = _scale(labels, w, "speed", "rate")
        with labels(gr.Tab(w["saved"], id="saved"), lambda w: {"label": w["saved"]}) as saved:
            asked["name"] = labels(gr.Dropdown([], label=w["voice"], info=w["no_voices"], elem_id="saved", value=None),
                                   lambda w: {"label": w["voice"], "info": w["no_voices"]})
            with gr.Row():
                asked["download"] = labels(gr.DownloadButton(w["download"], size="sm", min_width=120, elem_id="download"),
                                           lambda w: {"label": w["download"]})
                asked["delete"] = labels(gr.Button(w["delete"], size="sm", min_width=120, variant="stop", elem_id="delete"),
                                         lambda w: {"value": w["delete"]})
                asked["bring"] = labels(gr.UploadButton(w["bring"], size="sm", min_width=120, file_types=[".json"],
                                                        elem_id="bring"), lambda w: {"label": w["bring"]})
    for tab, source in ((clone, "clone"), (create, "create"), (saved, "saved")):
        tab.select(lambda source=source: source, None, asked["source"], api_visibility="private", queue=False)
    asked["tab"] = saved
    with gr.Row():
        asked["speak"] = labels(gr.Button(w["speak"], variant="primary", elem_id="speak"), lambda w: {"value": w["speak"]})
        asked["stop"] = labels(gr.Button(w["stop"], variant="stop", visible=False, elem_id="stop"),
                               lambda w: {"value": w["stop"]})
    _advanced(labels, w, asked)
    return asked


def _scale(labels: Labels, w: Words, name: str, exact: str) -> tuple[gr.Radio, gr.Textbox]:
    """Five levels, or a number instead (Gradio's own field for numbers cannot stay empty)."""
    return (labels(gr.Radio(_choices(w, LEVELS), value="moderate", label=w[name]),
                   lambda w: {"label": w[name], "choices": _choices(w, LEVELS)}),
            labels(gr.Textbox("", label=w[exact], max_lines=1, max_length=18), lambda w: {"label": w[exact]}))


def _advanced(labels: Labels, w: Words, asked: dict[str, Any]) -> None:
    def slider(name: str, least: float, most: float, value: float, step: float) -> gr.Slider:
        return labels(gr.Slider(least, most, value, step=step, label=w[name]), lambda w: {"label": w[name]})

    def moved(name: str) -> gr.Dropdown:
        return labels(gr.Dropdown(_choices(w, AS_RECORDED), value="as_recorded", label=w[name]),
                      lambda w: {"label": w[name], "choices": _choices(w, AS_RECORDED)})

    def box(name: str) -> gr.Checkbox:
        return labels(gr.Checkbox(True, label=w[name]), lambda w: {"label": w[name]})

    with labels(gr.Accordion(w["advanced"], open=False, elem_id="advanced"), lambda w: {"label": w["advanced"]}):
        asked["temperature"] = slider("temperature", 0, 2, 0.8, 0.05)
        with gr.Row():
            asked["top_k"] = slider("top_k", 0, 200, 50, 1)
            asked["top_p"] = slider("top_p", 0.05, 1, 0.95, 0.05)
        with gr.Row():
            asked["longest"] = slider("longest", 1, 60, 60, 1)
            asked["seed"] = labels(gr.Textbox("", label=w["seed"], max_lines=1, max_length=18, elem_id="seed"),
                                   lambda w: {"label": w["seed"]})
        with gr.Row():
            asked["pitch_moved"], asked["speed_moved"] = moved("pitch_moved"), moved("speed_moved")
        asked["normalize"], asked["live"], asked["picture"] = box("normalize"), box("live"), box("picture")


def _result(labels: Labels, w: Words) -> dict[str, Any]:
    """Where the visitor sees and hears what became of it."""
    shown: dict[str, Any] = {}
    shown["status"] = gr.Markdown("", elem_id="status", container=False)
    shown["player"] = gr.HTML("", html_template=TEMPLATE, js_on_load=SCRIPT, elem_id="player")
    shown["audio"] = labels(gr.Audio(label=w["result"], type="filepath", interactive=False, elem_id="result",
                                     buttons=["download"]), lambda w: {"label": w["result"]})
    shown["drawing"] = labels(gr.Image(label=w["drawing"], show_label=False, interactive=False, elem_id="picture",
                                       buttons=["fullscreen"]), lambda w: {"label": w["drawing"]})
    shown["name"] = labels(gr.Textbox(label=w["name"], submit_btn=w["keep"], max_lines=1, max_length=LONGEST, elem_id="name"),
                           lambda w: {"label": w["name"], "submit_btn": w["keep"]})
    shown["voice"] = gr.State(None)
    return shown


def _connect(page: gr.Blocks, actions: Actions, labels: Labels, language: gr.Radio, asked: dict[str, Any],
             shown: dict[str, Any]) -> None:
    """Which button does what. Nothing here is an API: programs have endpoints of their own."""
    def on(trigger: Callable, function: Callable, inputs: list, outputs: list, **how: Any) -> None:
        trigger(function, inputs, outputs, api_visibility="private", **how)

    filled = [asked[name] for name in actions.FIELDS]
    on(asked["speak"].click, actions.speak, [language, *filled],
       [shown["status"], shown["player"], shown["audio"], shown["drawing"], shown["voice"], asked["speak"], asked["stop"]],
       show_progress="hidden", concurrency_limit=None)
    on(asked["stop"].click, actions.stop, [], [shown["player"]], queue=False)
    names = [asked["name"]]
    on(shown["name"].submit, actions.keep, [language, shown["name"], shown["voice"]], [*names, shown["name"]])
    on(asked["delete"].click, actions.delete, [language, asked["name"]], names)
    on(asked["bring"].upload, actions.bring, [language, asked["bring"]], names)
    on(asked["name"].change, actions.offer, [asked["name"]], [asked["download"]], show_progress="hidden")
    on(asked["tab"].select, actions.voices, [asked["name"]], names, show_progress="hidden")
    on(language.change, labels.updates, [language], labels.components, queue=False, show_progress="hidden")
    on(page.load, actions.greet, [], [language], queue=False)
    page.unload(actions.leave)


def _choices(words: Words, names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(words[name], name) for name in names]
