"""Requests of all visitors on one `Service`: limits, cancellation by session, and result files."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sparktts_ms import Chunks, Sampling, Service, Speech, SpeechRequest, Voice
from sparktts_ms.audio.plot import draw
from sparktts_ms.audio.wav import write_wav
from sparktts_ms.errors import AudioError, InputError
from sparktts_ms.generation.attributes import GENDERS, LEVELS
from sparktts_ms.service import Job
from sparktts_ms.serving import settings as serving
from webui.temp_files import TempFiles
from webui.uploads import Uploads

MAX_SEED = 1 << 31              # drawn seeds lie below, so that every client can send them back
VOICE_CACHE_SIZE = 256          # generated voices remembered by their seed
VOICE_TEXT = "Hello, this is my voice, and I am glad to meet you."      # generates such a voice
VOICE_TOKENS = 64               # enough: speech starts after about 40 tokens


@dataclass(frozen=True)
class Limits(serving.Limits):
    """What one request may contain, and how many requests may be in progress."""

    uploads: int = 1 << 30          # bytes of all recordings that are kept, for an hour
    visitor_uploads: int = 100 << 20    # bytes of those of one visitor, by address
    requests: int = 200


class Sessions:
    """Thread-safe. A session is a visitor's page, or one HTTP request."""

    def __init__(self, service: Service, temp_files: TempFiles, limits: Limits = Limits()):
        self.service = service
        self.temp_files = temp_files
        self.limits = limits
        self.uploads = Uploads(temp_files, limits.uploads, limits.visitor_uploads)
        self._jobs: dict[str, tuple[str, Job]] = {}     # token -> session id and job
        self.voice_from_seed = lru_cache(VOICE_CACHE_SIZE)(self._voice_from_seed)
        self._lock = threading.Lock()
        self._plot_lock = threading.Lock()

    def encode_voice(self, recording: str | Path | None, transcript: str | None = None) -> Voice:
        """The voice of an uploaded recording. Raises AudioError, InputError."""
        if not recording:
            raise AudioError("There is no recording.", code="no_recording")
        path = Path(recording)
        if path.is_file() and path.stat().st_size > self.limits.upload:
            raise AudioError(f"{{subject}} is larger than {self.limits.upload >> 20} MB.",
                             "Cut it to 3 to 10 seconds.", subject=path)
        transcript = (transcript or "").strip()
        _check_length("transcript", transcript, self.limits.transcript)
        return self.service.encode_voice(path, transcript or None)

    @contextlib.contextmanager
    def submit(self, session_id: str, request: SpeechRequest, chunks: Chunks | None = None,
               token: str | None = None) -> Iterator[Job]:
        """A job that is cancelled when the block ends; meanwhile `job` finds it by `token`.
        Raises InputError, also if the server is busy."""
        if len(self._jobs) >= self.limits.requests:
            raise InputError("The server is busy.", "Please try again in a minute.", code="busy")
        _check_length("text", request.text, self.limits.text)
        token = token or secrets.token_urlsafe(16)
        job = self.service.submit(request, chunks=chunks)
        with self._lock:
            self._jobs[token] = (session_id, job)
        try:
            yield job
        finally:
            job.cancel()
            with self._lock:
                del self._jobs[token]

    def synthesize(self, session_id: str, request: SpeechRequest) -> Speech:
        """Raises InputError, NoSpeech, and CancelledError if the session is cancelled."""
        with self.submit(session_id, request) as job:
            return job.result()

    def job(self, token: str) -> Job | None:
        """The job in progress that was submitted with `token`."""
        with self._lock:
            return self._jobs.get(token, (None, None))[1]

    def cancel(self, session_id: str) -> None:
        """Cancel all jobs of a session."""
        with self._lock:
            for owner, job in self._jobs.values():
                if owner == session_id:
                    job.cancel()

    def close(self) -> None:
        """Cancel all jobs."""
        with self._lock:
            for _, job in self._jobs.values():
                job.cancel()

    def _voice_from_seed(self, seed: int) -> Voice:
        """A generated voice whose attributes and sampling follow from `seed`."""
        generator = np.random.default_rng(abs(seed))
        gender = GENDERS[generator.integers(2)]
        pitch = LEVELS[generator.integers(5)]
        speed = LEVELS[generator.integers(1, 4)]
        sampling = Sampling(seed=int(generator.integers(MAX_SEED)), max_new_tokens=VOICE_TOKENS)
        request = SpeechRequest(VOICE_TEXT, None, gender, pitch, speed, sampling)
        return self.synthesize("", request).voice

    def write_wav(self, samples: np.ndarray, name: str = "speech.wav") -> Path:
        """A wav file for visitors. Raises OutputError."""
        return write_wav(self.temp_files.new_path(name), samples, self.service.sample_rate)

    def plot(self, samples: np.ndarray, title: str) -> Path:
        """A PNG with waveform and mel spectrogram. Raises OutputError."""
        path = self.temp_files.new_path("plot.png")
        with self._plot_lock:       # one at a time: a plot takes a second of a core
            return draw(path, samples, self.service.sample_rate, title=title)


def _check_length(name: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InputError(f"The {name} has {len(text):,} characters; at most {limit:,} are allowed.")
