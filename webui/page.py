"""The page: text, voice and settings on the left, the result on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from sparktts_ms.generation.attributes import GENDERS, LEVELS
from webui.gradio_api import add_endpoints, image
from webui.handlers import OUTPUTS, Form, Handlers
from webui.i18n import LANGUAGES, LOCALES, TEXTS
from webui.voice_store import MAX_NAME_LENGTH

THEME = gr.themes.Soft(primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"],
                       font_mono=["ui-monospace", "monospace"])
CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
PLAYER = (Path(__file__).parent / "player.js").read_text(encoding="utf-8")

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
        with gr.Blocks(title="Spark-TTS · MindSpore", analytics_enabled=False) as self.blocks:
            with gr.Row(elem_id="top"):
                self._add(gr.Markdown, "title")
                self.components["language"] = gr.Radio(
                    list(LANGUAGES.items()), value="en", show_label=False, container=False, scale=0,
                    min_width=190, elem_id="language")
            if note:
                gr.Markdown(note, elem_id="note")
            with gr.Row(equal_height=False):
                with gr.Column(min_width=320):
                    self._add_text(languages)
                    self._add_voices(example)
                    with gr.Row():
                        self._add(gr.Button, "generate", variant="primary")
                        self._add(gr.Button, "stop", variant="stop", visible=False)
                    self._add_settings()
                with gr.Column(min_width=320):
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
        component = kind(**_localize(self._texts[name], "en"), elem_id=name, **options)
        self.components[name] = component
        return component

    def _add_text(self, languages: Sequence[str] | None) -> None:
        text = self._add(gr.Textbox, "text", {"placeholder": "text_hint"}, lines=4, max_lines=14,
                         max_length=self.handlers.sessions.limits.text)
        with self._add(gr.Accordion, "examples", open=False):
            examples = []
            for language, locale in LOCALES.items():
                if languages is None or language in languages:
                    examples += [[example] for example in locale["examples"]]
            gr.Examples(examples, [text], label="", api_visibility="private")

    def _add_voices(self, example: Path | None) -> None:
        """A tab for each way to give a voice; `source` is the selected one."""
        self.components["source"] = gr.State("clone")
        with gr.Tabs(elem_id="voices"):
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
                    self._add(gr.DownloadButton, "download_voice", **small)
                    self._add(gr.Button, "delete_voice", variant="stop", **small)
                    self._add(gr.UploadButton, "upload_voice", file_types=[".json"], **small)
        for name in ("clone", "create", "saved"):
            self._on(self.components[name].select, partial(str, name), [], ["source"], queue=False)

    def _add_recording(self, example: Path | None) -> None:
        sessions = self.handlers.sessions
        self._add(gr.Audio, "recording", type="filepath", sources=["upload", "microphone"],
                  buttons=[])
        self._add(gr.Textbox, "transcript", {"placeholder": "transcript_hint"}, lines=2,
                  max_length=sessions.limits.transcript)
        if example is not None:
            def use_example() -> tuple[str, str]:
                transcript = example.with_suffix(".txt").read_text(encoding="utf-8")
                return str(sessions.temp_files.copy(example)), transcript.strip()

            button = self._add(gr.Button, "example_recording", size="sm")
            self._on(button.click, use_example, [], ["recording", "transcript"])

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

    def _add_outputs(self) -> None:
        self.components["status"] = gr.Markdown("", elem_id="status", container=False)
        self.components["player"] = gr.HTML("", html_template="<span></span>", js_on_load=PLAYER)
        self._add(gr.Audio, "audio", type="filepath", interactive=False, buttons=["download"])
        self._add(image, "spectrogram", show_label=False, interactive=False,
                  buttons=["fullscreen"])
        self._add(gr.Textbox, "voice_name", {"submit_btn": "save_voice"}, max_lines=1,
                  max_length=MAX_NAME_LENGTH)
        self.components["voice"] = gr.State(None)

    def _connect(self) -> None:
        handlers = self.handlers
        components = self.components
        self._on(components["generate"].click, handlers.generate, ["language", *Form._fields],
                 OUTPUTS, show_progress="hidden", concurrency_limit=None)
        self._on(components["stop"].click, handlers.cancel, [], ["player"], queue=False)
        self._on(components["voice_name"].submit, handlers.save_voice,
                 ["language", "voice_name", "voice"], ["saved_voice", "voice_name"])
        self._on(components["delete_voice"].click, handlers.delete_voice,
                 ["language", "saved_voice"], ["saved_voice"])
        self._on(components["upload_voice"].upload, handlers.upload_voice,
                 ["language", "upload_voice"], ["saved_voice"])
        self._on(components["saved_voice"].change, handlers.download_voice, ["saved_voice"],
                 ["download_voice"], show_progress="hidden")
        self._on(components["saved"].select, handlers.list_voices, ["saved_voice"],
                 ["saved_voice"], show_progress="hidden")
        self._on(components["language"].change, self._translate, ["language"], list(self._texts),
                 queue=False, show_progress="hidden")
        self._on(self.blocks.load, handlers.preferred_language, [], ["language"], queue=False)
        self.blocks.unload(handlers.cancel)

    def _on(self, event: Callable, handler: Callable, inputs: Sequence[str],
            outputs: Sequence[str], **options: Any) -> None:
        """Handle an event. All are private: programs have endpoints of their own."""
        event(handler, [self.components[name] for name in inputs],
              [self.components[name] for name in outputs], api_visibility="private", **options)

    def _translate(self, language: str) -> list[Any]:
        return [gr.update(**_localize(texts, language)) for texts in self._texts.values()]


def _localize(texts: Texts, language: str) -> dict[str, Any]:
    """Properties of a component with the locale's texts for their keys."""
    values: dict[str, Any] = {}
    for name, key in texts.items():
        if isinstance(key, str):
            values[name] = TEXTS[language][key]
        else:
            values[name] = [(TEXTS[language][choice], choice) for choice in key]
    return values
