"""Continuous batching of lines on one device, for one thread.

The engine's slots are kept full: more lines are taken than it has. What a line gives equals what
`SparkTTS.synthesize` gives for the same request, whatever runs beside it, where decoding is
batch-invariant (with the CPU kernels).
"""

from __future__ import annotations

import io
import tempfile
import time
from dataclasses import dataclass, field

import numpy as np
import soundfile

from sparktts_ms.audio.wav import quantize
from sparktts_ms.batch.line import Recording
from sparktts_ms.batch.work import MORE_LINES, Result, SpokenLine, Work, as_error
from sparktts_ms.errors import SparkTTSError, WeightsError
from sparktts_ms.generation.attributes import VoiceDescription
from sparktts_ms.generation.long_form import LongFormGeneration
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.pipeline import SparkTTS
from sparktts_ms.voice import Voice

MAX_SECONDS = 0.5               # of steps, until somebody may look after other things


@dataclass
class _Running:
    """A request while it is generated; parts: 16-bit samples [N] so far."""

    generation: LongFormGeneration
    parts: list[np.ndarray] = field(default_factory=list)


class Synthesizer:
    """Takes work by a key, and returns results by it, in the order in which they are done.

    capacity: requests that should be taken at a time.
    """

    def __init__(self, tts: SparkTTS, audio_format: str):
        self.tts = tts.load()
        self.capacity = tts.llm.num_slots + MORE_LINES
        self._format = audio_format
        self._running: dict[int, _Running] = {}
        self._results: list[tuple[int, Result]] = []

    def submit(self, key: int, work: Work) -> None:
        """Start a request, or make a voice at once."""
        try:
            if isinstance(work, SpeechRequest):
                self._running[key] = _Running(self.tts.start(work, gives_way=False))
            else:
                self._results.append((key, self._make_voice(work)))
        except Exception as error:
            self._results.append((key, as_error(error)))

    def finished(self) -> list[tuple[int, Result]]:
        """Go on until something is done, or for a while; returns what is done."""
        end = time.monotonic() + MAX_SECONDS
        while self._running and not self._results and time.monotonic() < end:
            try:
                self.tts.engine.step()
            except Exception as error:          # not of one sequence, which has its own error
                self._fail_all(error)
            for key in list(self._running):
                self._poll(key)
        results = self._results
        self._results = []
        return results

    def close(self) -> None:
        """Drop what is not done."""
        for running in self._running.values():
            running.generation.cancel()
        self._running.clear()

    def _poll(self, key: int) -> None:
        """Decode what can be decoded of a request, and end it when it is done."""
        running = self._running[key]
        generation = running.generation
        try:
            while (samples := generation.poll()) is not None:
                if not np.isfinite(samples).all():
                    raise WeightsError("The samples contain NaN or infinity.",
                                       "Try float32 or another seed.")
                running.parts.append(quantize(samples))
            if not generation.done:
                return
            speech = generation.speech([])
            pcm = np.concatenate([np.zeros(0, "<i2"), *running.parts])
            result: Result = SpokenLine(
                encode(pcm, speech.sample_rate, self._format), len(pcm) / speech.sample_rate,
                speech.global_ids, speech.semantic_ids, speech.complete)
        except Exception as error:
            result = as_error(error)
        generation.cancel()
        del self._running[key]
        self._results.append((key, result))

    def _fail_all(self, error: Exception) -> None:
        for key, running in self._running.items():
            running.generation.cancel()
            self._results.append((key, as_error(error)))
        self._running.clear()

    def _make_voice(self, work: Recording | VoiceDescription) -> Voice:
        if isinstance(work, VoiceDescription):
            (voice,) = self.tts.generate_voices([work])
            return voice
        if work.content is None:
            return self.tts.encode_voice(work.path, work.transcript)
        with tempfile.NamedTemporaryFile(prefix="spark-tts-audio-") as file:
            file.write(work.content)
            file.flush()
            try:
                return self.tts.encode_voice(file.name, work.transcript)
            except SparkTTSError as error:
                error.subject = str(work.path)
                raise


def encode(pcm: np.ndarray, sample_rate: int, audio_format: str) -> bytes:
    """The bytes of an audio file, one of FORMATS, with 16-bit samples [N]."""
    file = io.BytesIO()
    soundfile.write(file, pcm, sample_rate, format=audio_format.upper(), subtype="PCM_16")
    return file.getvalue()
