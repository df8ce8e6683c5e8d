"""The page: text, voice and settings on the left, the result on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from sparktts_ms.generation.attributes import GENDERS, LEVELS
from sparktts_ms.serving.voices.store import MAX_NAME_LENGTH
from webui.gradio_api import add_endpoints, image
from webui.handlers import OUTPUTS, Form, Handlers
from webui.i18n import LANGUAGES, LOCALES, TEXTS, language_names

THEME = gr.themes.Soft(primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"],
                       font_mono=["ui-monospace", "monospace"])
THEME.set(
    block_border_width="1px", block_title_background_fill="none", block_title_padding="0",
    block_title_text_color="*neutral_800", block_title_text_color_dark="*neutral_100",
    block_label_background_fill="none", block_label_background_fill_dark="none",
    block_label_border_width="0px", block_label_text_color="*neutral_800",
    block_label_text_color_dark="*neutral_100", block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300", input_border_width="1px",
    input_border_color="*neutral_300", input_border_color_dark="*neutral_500",
    input_placeholder_color="*neutral_500", input_placeholder_color_dark="*neutral_400",
    button_secondary_border_color="*neutral_300", button_secondary_border_color_dark="*neutral_500")
CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
PLAYER = (Path(__file__).parent / "player.js").read_text(encoding="utf-8")
FOLLOW_LANGUAGE = (Path(__file__).parent / "language.js").read_text(encoding="utf-8")
SHOW_STATUS = """() => document.getElementById("status").scrollIntoView(
    {block: "nearest", behavior: "smooth"})"""

Texts = dict[str, str | tuple[str, ...]]


class Page:
    """Builds `blocks`. Components are known by name, which is also their HTML id."""

    def __init__(self, handlers: Handlers, note: str = "", example: Path | None = None,
                 languages: Sequence[str] | None = None):
        """note: Markdown at the top. example: a recording to try; its transcript is the .txt file
        beside it. languages: of the model, for the example texts; None: all."""
        self.handlers = handlers
        self.components: dict[str, Any] = {}
        self._texts: dict[str, Texts] = {}      # of the components that change with the language
        self.texts = {language: _model_texts(language, languages) for language in LOCALES}
        self.examples = _examples(languages)
        with gr.Blocks(title="Spark-TTS · MindSpore", analytics_enabled=False) as self.blocks:
            with gr.Row(elem_id="top"):
                self._add(gr.Markdown, "title")
                self.components["language"] = gr.Radio(
                    list(LANGUAGES.items()), value="en", label="Language · 语言", show_label=False,
                    container=False, scale=0, min_width=190, elem_id="language")
            if languages is not None and not {"en", "zh"} <= {*languages}:
                self._add(gr.Markdown, "speaks")
            if note:
                gr.Markdown(note, elem_id="note")
            with gr.Row(equal_height=False):
                with gr.Column(min_width=320):
                    self._add_text()
                    self._add_voices(example)
                    with gr.Row():
                        self._add(gr.Button, "generate", variant="primary")
                        self._add(gr.Button, "stop", variant="stop", visible="hidden")
                    self._add_settings()
                with gr.Column(min_width=320):
                    self._add_guide(example)
                    self._add_outputs()
            self._add(gr.Markdown, "responsible_use")
            self._connect()
            add_endpoints(handlers.sessions)

    def _add(self, kind: Callable, name: str, texts: Texts | None = None, **options: Any) -> Any:
        """Add a component whose label is the locale's text `name`.

        texts: keys of the locale's texts for other properties; a tuple of keys are choices.
        """
        label = "value" if kind in (gr.Button, gr.Markdown) else "label"
        self._texts[name] = {label: name, **(texts or {})}
        component = kind(**self._localize(name, "en"), elem_id=name, **options)
        self.components[name] = component
        return component

    def _add_text(self) -> None:
        text = self._add(gr.Textbox, "text", {"placeholder": "text_hint"}, lines=4, max_lines=14,
                         max_length=self.handlers.sessions.limits.text)
        with self._add(gr.Accordion, "examples", open=False):
            examples = [[example] for texts in self.examples.values() for example in texts]
            gr.Examples(examples, [text], label="", api_visibility="private")

    def _add_voices(self, example: Path | None) -> None:
        """A tab for each way to give a voice; `source` is the selected one."""
        self.components["source"] = gr.State("clone")
        with gr.Tabs(elem_id="voices") as self.components["voices"]:
            with self._add(gr.Tab, "clone", id="clone"):
                self._add_recording(example)
            with self._add(gr.Tab, "create", id="create"):
                self._add(gr.Radio, "gender", {"choices": GENDERS}, value=GENDERS[0])
                for level, number in (("pitch", "pitch_hz"), ("speed", "syllable_rate")):
                    self._add(gr.Radio, level, {"choices": LEVELS}, value="moderate")
                    self._add_number(number)
            with self._add(gr.Tab, "saved", id="saved"):
                self._add(gr.Dropdown, "saved_voice", {"info": "no_voices"}, choices=[], value=None)
                with gr.Row():
                    small: dict[str, Any] = {"size": "sm", "min_width": 120}
                    self._add(gr.DownloadButton, "download_voice", interactive=False, **small)
                    self._add(gr.Button, "delete_voice", interactive=False, **small)
                    self._add(gr.UploadButton, "upload_voice", file_types=[".json"], **small)
        for name in ("clone", "create", "saved"):
            self._on(self.components[name].select, partial(str, name), [], ["source"], queue=False)

    def _add_recording(self, example: Path | None) -> None:
        sessions = self.handlers.sessions
        self._add(gr.Audio, "recording", type="filepath", sources=["upload", "microphone"],
                  buttons=[])
        self._add(gr.Textbox, "transcript", {"placeholder": "transcript_hint",
                                             "info": "transcript_info"},
                  lines=2, max_length=sessions.limits.transcript)
        if example is not None:
            button = self._add(gr.Button, "example_recording", size="sm")
            self._on(button.click, partial(self.handlers.example, recording=example), ["language"],
                     ["recording", "transcript"])

    def _add_number(self, name: str) -> None:
        """A text field, since Gradio's number field cannot stay empty."""
        self._add(gr.Textbox, name, max_lines=1, max_length=18)

    def _add_settings(self) -> None:
        def add_slider(name: str, low: float, high: float, value: float, step: float) -> None:
            self._add(gr.Slider, name, minimum=low, maximum=high, value=value, step=step)

        with self._add(gr.Accordion, "advanced", open=False):
            add_slider("temperature", 0, 2, 0.8, 0.05)
            with gr.Row():
                add_slider("top_k", 0, 200, 50, 1)
                add_slider("top_p", 0.05, 1, 0.95, 0.05)
            with gr.Row():
                add_slider("max_seconds", 1, 60, 60, 1)
                self._add_number("seed")
            with gr.Row():
                for name in ("clone_pitch", "clone_speed"):
                    self._add(gr.Dropdown, name, {"choices": ("as_recorded", *LEVELS)},
                              value="as_recorded")
            for name in ("normalize", "stream", "plot"):
                self._add(gr.Checkbox, name, value=True)

    def _add_guide(self, example: Path | None) -> None:
        """What is at the result's place before the first speech. It offers to try the example, or,
        where there is none, a created voice."""
        self.components["status"] = gr.HTML("", elem_id="status", padding=False)
        self.components["stage"] = gr.HTML("", elem_id="stage")
        with gr.Column(elem_id="guide"):
            self._add(gr.Markdown, "how_to")
            self._add(gr.Button, "try_it", size="md")

        def try_it(language: str, text: str) -> tuple:
            first = next(iter(self.examples.values()), [""])[0]
            text = (text or "").strip() or self.examples.get(language, [first])[0]
            if example is None:
                return text, gr.skip(), gr.skip(), "create", gr.update(selected="create")
            recording = self.handlers.example(language, example)
            return text, *recording, "clone", gr.update(selected="clone")

        self.try_it = try_it

    def _add_outputs(self) -> None:
        self.components["player"] = gr.HTML("", html_template="<span></span>", js_on_load=PLAYER,
                                            elem_id="player")
        with gr.Column(elem_id="result"):
            self._add(gr.Audio, "audio", type="filepath", interactive=False, buttons=["download"])
            self._add(image, "spectrogram", show_label=False, interactive=False,
                      buttons=["fullscreen"])
            with gr.Row(equal_height=False, elem_id="keep"):
                self._add(gr.Textbox, "voice_name", max_lines=1, max_length=MAX_NAME_LENGTH,
                          scale=2, min_width=180)
                self._add(gr.Button, "save_voice", size="md", scale=1, min_width=140)
        self.components["voice"] = gr.State(None)

    def _connect(self) -> None:
        handlers = self.handlers
        components = self.components
        options: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None}
        tried = self._on(components["try_it"].click, self.try_it, ["language", "text"],
                         ["text", "recording", "transcript", "source", "voices"])
        for event in (components["generate"].click, tried.then):
            self._on(event, handlers.generate, ["language", *Form._fields], OUTPUTS, **options)
        self._on(components["generate"].click, None, [], [], js=SHOW_STATUS)
        self._on(components["stop"].click, handlers.cancel, [], ["player"], queue=False)
        for event in (components["voice_name"].submit, components["save_voice"].click):
            self._on(event, handlers.save_voice, ["language", "voice_name", "voice"],
                     ["saved_voice", "voice_name"])
        self._on(components["delete_voice"].click, handlers.delete_voice,
                 ["language", "saved_voice"], ["saved_voice"])
        self._on(components["upload_voice"].upload, handlers.upload_voice,
                 ["language", "upload_voice"], ["saved_voice"])
        self._on(components["saved_voice"].change, handlers.select_voice, ["saved_voice"],
                 ["download_voice", "delete_voice"], show_progress="hidden")
        self._on(components["saved"].select, handlers.list_voices, ["saved_voice"],
                 ["saved_voice"], show_progress="hidden")
        self._connect_language()
        self.blocks.unload(handlers.cancel)

    def _connect_language(self) -> None:
        """The upload box keeps the language in which it was mounted, so it is mounted again."""
        options: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
        language = self.components["language"]
        self._on(self.blocks.load, None, [], ["language"], js=FOLLOW_LANGUAGE)
        translated = self._on(language.change, self._translate, ["language"], list(self._texts),
                              js=FOLLOW_LANGUAGE, **options)
        hidden = self._on(translated.then, partial(gr.update, visible=False), [], ["recording"],
                          **options)
        self._on(hidden.then, partial(gr.update, visible=True), [], ["recording"], **options)

    def _on(self, event: Callable, handler: Callable | None, inputs: Sequence[str],
            outputs: Sequence[str], **options: Any) -> Any:
        """Handle an event. All are private: programs have endpoints of their own."""
        return event(handler, [self.components[name] for name in inputs],
                     [self.components[name] for name in outputs], api_visibility="private",
                     **options)

    def _translate(self, language: str) -> list[Any]:
        return [gr.update(**self._localize(name, language)) for name in self._texts]

    def _localize(self, name: str, language: str) -> dict[str, Any]:
        """Properties of a component, with the locale's texts for their keys."""
        texts = self.texts[language]
        values: dict[str, Any] = {}
        for option, key in self._texts[name].items():
            if isinstance(key, str):
                values[option] = texts[key]
            else:
                values[option] = [(texts[choice], choice) for choice in key]
        return values


def _model_texts(language: str, codes: Sequence[str] | None) -> dict[str, str]:
    """The locale's texts, with the languages that the model speaks."""
    names = language_names(codes or ("zh", "en"), language)
    texts = TEXTS[language]
    return {**texts, **{key: texts[key].format(languages=names) for key in ("text_hint", "speaks")}}


def _examples(codes: Sequence[str] | None) -> dict[str, list[str]]:
    """Example texts by language, of those that the model speaks."""
    return {language: locale["examples"] for language, locale in LOCALES.items()
            if codes is None or language in codes}
