"""The named endpoints that programs call through gradio_client: upstream Spark-TTS's two, and F5-TTS's /basic_tts.

The page does not show these components: what counts is the names of the functions' arguments, their order and their defaults.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager

import gradio as gr

from sparktts_ms.audio.time_stretch import change_speed
from sparktts_ms.audio.time_stretch import remove_silence as without_silence
from sparktts_ms.errors import InputError, SparkTTSError
from sparktts_ms.generation.attributes import LEVELS
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.web.sessions import Speaker

F5_SEEDS = 1 << 31


class Clients:
    """Functions with the signatures that clients know. `request` is filled in by Gradio."""

    def __init__(self, speaker: Speaker):
        self.speaker = speaker

    def voice_clone(self, text, prompt_text="", prompt_wav_upload=None, prompt_wav_record=None,
                    request: gr.Request | None = None) -> str:
        """Speak like a recording (the uploaded one counts). A transcript shorter than two characters is none, as upstream."""
        with plainly():
            transcript = prompt_text if len((prompt_text or "").strip()) > 1 else None
            voice = self.speaker.encode(prompt_wav_upload or prompt_wav_record, transcript)
            return str(self.speaker.write(self.speaker.say(_owner(request), text, voice).samples))

    def voice_creation(self, text, gender="male", pitch=3, speed=3, request: gr.Request | None = None) -> str:
        """Speak in a voice made from gender ("male", "female"), pitch and speed (1 to 5)."""
        with plainly():
            speech = self.speaker.say(_owner(request), text, gender=gender, pitch=_level("pitch", pitch),
                                      speed=_level("speed", speed))
            return str(self.speaker.write(speech.samples))

    def basic_tts(self, ref_audio_input, ref_text_input="", gen_text_input="", remove_silence=False, randomize_seed=True,
                  seed_input=0, cross_fade_duration_slider=0.15, nfe_slider=32, speed_slider=1.0,
                  request: gr.Request | None = None) -> tuple[str, str, str, int]:
        """As F5-TTS: speech, its spectrogram, the reference text and the seed. Cross-fade and nfe steps mean nothing here."""
        with plainly():
            seed = secrets.randbelow(F5_SEEDS) if randomize_seed else int(seed_input or 0)
            reference = (ref_text_input or "").strip()
            voice = self.speaker.encode(ref_audio_input, reference)
            speech = self.speaker.say(_owner(request), gen_text_input, voice, Sampling(seed=seed))
            samples = without_silence(speech.samples, speech.sample_rate) if remove_silence else speech.samples
            samples = change_speed(samples, float(speed_slider or 1.0), speech.sample_rate)
            return str(self.speaker.write(samples)), str(self.speaker.picture(samples, "")), reference, seed


def add_endpoints(speaker: Speaker) -> None:
    """Inside a `gr.Blocks`: its API gets the three endpoints."""
    clients = Clients(speaker)
    with gr.Row(visible=False):
        def text(value: str = "") -> gr.Textbox:
            return gr.Textbox(value=value)

        def recording() -> gr.Audio:
            return gr.Audio(type="filepath")

        def offer(function, inputs: list, outputs: list) -> None:
            gr.Button().click(function, inputs, outputs, api_name=function.__name__, api_visibility="public")

        offer(clients.voice_clone, [text(), text(), recording(), recording()], [gr.Audio()])
        offer(clients.voice_creation,
              [text(), gr.Radio(["male", "female"], value="male"), gr.Number(3), gr.Number(3)], [gr.Audio()])
        offer(clients.basic_tts,
              [recording(), text(), text(), gr.Checkbox(False), gr.Checkbox(True), gr.Number(0), gr.Number(0.15), gr.Number(32),
               gr.Number(1.0)], [gr.Audio(), gr.Image(type="filepath"), gr.Textbox(), gr.Number(precision=0)])


@contextmanager
def plainly() -> Iterator[None]:
    """Errors as one line for the client, without a traceback anywhere."""
    try:
        yield
    except SparkTTSError as problem:
        raise gr.Error(html.escape(str(problem), quote=False), print_exception=False) from None
    except CancelledError:
        raise gr.Error("Stopped.", print_exception=False) from None


def _owner(request: gr.Request | None) -> str:
    return str(getattr(request, "session_hash", None) or secrets.token_hex(8))


def _level(name: str, value) -> str:
    if not isinstance(value, (int, float)) or not 1 <= value <= 5:
        raise InputError(f"{name} is {value!r}; it must lie in 1..5.")
    return LEVELS[int(value) - 1]
