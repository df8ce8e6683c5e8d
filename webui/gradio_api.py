"""Named endpoints for gradio_client: upstream Spark-TTS's two, and F5-TTS's /basic_tts.

Clients depend on the names of the functions' arguments, their order and their defaults.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

import gradio as gr

from sparktts_ms import Sampling, SpeechRequest
from sparktts_ms.audio import time_stretch
from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.generation.attributes import LEVELS
from webui.i18n import error_message
from webui.sessions import MAX_SEED, Sessions


def image(**options: Any) -> gr.Image:
    """A `gr.Image` whose schema holds no boolean `additionalProperties`.

    gradio_client before 1.8 expects a mapping there and cannot connect otherwise. (Not a subclass:
    Gradio writes a .pyi file beside the source of each.)
    """
    component = gr.Image(**options)
    schema = _without_flags(component.api_info())
    component.api_info = lambda: schema     # type: ignore[method-assign]
    return component


def _without_flags(schema: Any) -> Any:
    """A copy of a JSON schema without `additionalProperties` that are true or false."""
    if isinstance(schema, list):
        return [_without_flags(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    flags = [key for key, value in schema.items()
             if key == "additionalProperties" and isinstance(value, bool)]
    return {key: _without_flags(value) for key, value in schema.items() if key not in flags}


class GradioApi:
    """Functions with the signatures that clients know. `request` is filled in by Gradio."""

    def __init__(self, sessions: Sessions):
        self.sessions = sessions

    def voice_clone(self, text, prompt_text="", prompt_wav_upload=None, prompt_wav_record=None,
                    request: gr.Request | None = None) -> str:
        """The voice of a recording, the uploaded one first. As upstream, a transcript shorter than
        two characters counts as none."""
        with _client_errors():
            transcript = prompt_text if len((prompt_text or "").strip()) > 1 else None
            recording = prompt_wav_upload or prompt_wav_record
            voice = self.sessions.encode_voice(recording, transcript)
            return self._synthesize(request, SpeechRequest(text or "", voice))

    def voice_creation(self, text, gender="male", pitch=3, speed=3,
                       request: gr.Request | None = None) -> str:
        """A generated voice: gender "male" or "female", pitch and speed 1 to 5."""
        with _client_errors():
            levels = _level("pitch", pitch), _level("speed", speed)
            return self._synthesize(request, SpeechRequest(text or "", None, gender, *levels))

    def basic_tts(self, ref_audio_input, ref_text_input="", gen_text_input="",
                  remove_silence=False, randomize_seed=True, seed_input=0,
                  cross_fade_duration_slider=0.15, nfe_slider=32, speed_slider=1.0,
                  request: gr.Request | None = None) -> tuple[str, str, str, int]:
        """As F5-TTS: speech, its spectrogram, the reference text and the seed. Cross-fade and NFE
        steps have no effect."""
        with _client_errors():
            seed = secrets.randbelow(MAX_SEED) if randomize_seed else int(seed_input or 0)
            reference_text = (ref_text_input or "").strip()
            voice = self.sessions.encode_voice(ref_audio_input, reference_text)
            text = gen_text_input or ""
            speech_request = SpeechRequest(text, voice, sampling=Sampling(seed=seed))
            speech = self.sessions.synthesize(_session_id(request), speech_request)
            samples = speech.samples
            if remove_silence:
                samples = time_stretch.remove_silence(samples, speech.sample_rate)
            speed = float(speed_slider or 1.0)
            samples = time_stretch.change_speed(samples, speed, speech.sample_rate)
            wav = self.sessions.write_wav(samples)
            return str(wav), str(self.sessions.plot(samples, "")), reference_text, seed

    def _synthesize(self, request: gr.Request | None, speech_request: SpeechRequest) -> str:
        speech = self.sessions.synthesize(_session_id(request), speech_request)
        return str(self.sessions.write_wav(speech.samples))


def add_endpoints(sessions: Sessions) -> None:
    """Add the three endpoints to the `gr.Blocks` in whose context this is called."""
    api = GradioApi(sessions)

    def add(function: Callable, inputs: list[Any], outputs: list[Any]) -> None:
        name = function.__name__
        gr.Button().click(function, inputs, outputs, api_name=name, api_visibility="public")

    def audio() -> gr.Audio:
        return gr.Audio(type="filepath")

    with gr.Row(visible=False):
        add(api.voice_clone, [gr.Textbox(), gr.Textbox(), audio(), audio()], [gr.Audio()])
        gender = gr.Radio(["male", "female"], value="male")
        add(api.voice_creation, [gr.Textbox(), gender, gr.Number(3), gr.Number(3)], [gr.Audio()])
        inputs = [audio(), gr.Textbox(), gr.Textbox(), gr.Checkbox(False), gr.Checkbox(True),
                  gr.Number(0), gr.Number(0.15), gr.Number(32), gr.Number(1.0)]
        outputs = [gr.Audio(), image(type="filepath"), gr.Textbox(), gr.Number(precision=0)]
        add(api.basic_tts, inputs, outputs)


@contextmanager
def _client_errors() -> Iterator[None]:
    """Errors as one line for the client, without a traceback in the server's log."""
    try:
        yield
    except SparkTTSError as error:
        message = html.escape(error_message(error), quote=False)
        raise gr.Error(message, print_exception=False) from None
    except CancelledError:
        raise gr.Error("Stopped.", print_exception=False) from None


def _session_id(request: gr.Request | None) -> str:
    return str(getattr(request, "session_hash", None) or secrets.token_hex(8))


def _level(name: str, value: Any) -> str:
    if not isinstance(value, (int, float)) or not 1 <= value <= 5:
        raise InputError(f"{name} is {value!r}; it must lie in 1..5.")
    return LEVELS[int(value) - 1]
