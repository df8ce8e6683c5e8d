"""From what a visitor asked for to speech: the only one here who talks to the engine's service.

Every request becomes a Take, which belongs to somebody: whoever leaves takes all of his with him, and their places are free.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparktts_ms.audio.plot import draw
from sparktts_ms.audio.wav import write_wav
from sparktts_ms.errors import AudioError, InputError, SparkTTSError
from sparktts_ms.generation.attributes import GENDERS, LEVELS
from sparktts_ms.generation.request import Chunks
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.service import Job, Service
from sparktts_ms.voice import Speech, Voice
from sparktts_ms.web.temp_files import Workspace

logger = logging.getLogger("sparktts_ms")

SEEDS = 1 << 31             # a drawn seed lies below, so that every client can send it back
KEPT_VOICES = 256           # made-up voices that are known by their number
INTRODUCTION = "Hello, this is my voice, and I am glad to meet you."       # what a numbered voice says first, unheard
ENOUGH_FOR_A_VOICE = 64     # tokens: about 40 come before the first sound
FLAG = re.compile(r" \(--\w+\)")


@dataclass(frozen=True)
class Limits:
    """What one visitor may ask for, and how many may wait."""

    text: int = 20_000              # characters
    upload: int = 20 << 20          # bytes
    waiting: int = 200              # requests


class Take:
    """Speech in the making. One iterates over it; any number may look at `chunks`, which only grows until `over`."""

    def __init__(self, job: Job, owner: str, seed: int, sample_rate: int):
        self.job, self.owner, self.seed, self.sample_rate = job, owner, seed, sample_rate
        self.token = secrets.token_urlsafe(16)
        self.chunks: list[np.ndarray] = []
        self.over = False

    def __iter__(self) -> Iterator[np.ndarray]:
        """Chunks as they come. Leaving early cancels it."""
        try:
            for samples in self.job:
                self.chunks.append(samples)
                yield samples
        finally:
            self.over = True

    @property
    def seconds(self) -> float:
        return sum(map(len, self.chunks)) / self.sample_rate

    def speech(self) -> Speech:
        """The whole, when it is done. Raises what went wrong, and CancelledError."""
        if not self.over:
            for _ in self:
                pass
        return self.job.result()

    def cancel(self) -> None:
        self.job.cancel()


class Speaker:
    """Thread-safe, as the service is."""

    def __init__(self, service: Service, workspace: Workspace, limits: Limits = Limits()):
        self.service, self.workspace, self.limits = service, workspace, limits
        self._takes: dict[str, Take] = {}
        self._made: OrderedDict[int, Voice] = OrderedDict()
        self._gate, self._pencil = threading.Lock(), threading.Lock()

    def encode(self, recording: str | Path | None, transcript: str | None = None) -> Voice:
        """The voice of a recording, which is known to visitors by its name only. Raises AudioError, InputError."""
        if not recording:
            raise AudioError("There is no recording; upload one or record your voice.")
        path = Path(recording)
        with _named(path):
            if path.is_file() and path.stat().st_size > self.limits.upload:
                raise AudioError(f"{path} is larger than {self.limits.upload >> 20} MB; cut it to 3 to 10 seconds.")
            return self.service.encode_voice(path, _checked(transcript or "", "transcript", 2000).strip() or None)

    @contextlib.contextmanager
    def begun(self, owner: str, text: str, voice: Voice | None = None, sampling: Sampling = Sampling(),
              chunks: Chunks | None = None, **how: Any) -> Iterator[Take]:
        """Ask for speech; it is given up when the block ends, however it ends. `how` as for `Service.submit`. A seed is drawn
        if none is given, so that it can be told. Raises InputError."""
        if len(self._takes) >= self.limits.waiting:
            raise InputError("Very many are waiting just now; please try again in a minute.")
        text = _checked(text or "", "text", self.limits.text)
        seed = secrets.randbelow(SEEDS) if sampling.seed is None else sampling.seed
        with _named():
            job = self.service.submit(text, voice, chunks=chunks, sampling=replace(sampling, seed=seed), **how)
        take = Take(job, owner, seed, self.service.sample_rate)
        with self._gate:
            self._takes[take.token] = take
        try:
            with _named():
                yield take
        finally:
            take.cancel()
            take.over = True
            with self._gate:
                del self._takes[take.token]

    def say(self, owner: str, text: str, voice: Voice | None = None, sampling: Sampling = Sampling(), **how: Any) -> Speech:
        """`begun` until it is done. Raises CancelledError if the owner leaves."""
        with self.begun(owner, text, voice, sampling, **how) as take:
            return take.speech()

    def numbered_voice(self, number: int, owner: str = "") -> Voice:
        """A made-up voice that is the same whenever its number is: gender, pitch, speed and luck follow from it."""
        with self._gate:
            if number in self._made:
                self._made.move_to_end(number)
                return self._made[number]
        dice = np.random.default_rng(abs(number))
        style: dict[str, Any] = {"gender": GENDERS[dice.integers(2)], "pitch": LEVELS[dice.integers(5)],
                                 "speed": LEVELS[dice.integers(1, 4)]}
        luck = Sampling(seed=int(dice.integers(SEEDS)), max_new_tokens=ENOUGH_FOR_A_VOICE)
        voice = self.say(owner, INTRODUCTION, sampling=luck, **style).voice
        with self._gate:
            self._made[number] = voice
            while len(self._made) > KEPT_VOICES:
                self._made.popitem(last=False)
        return voice

    def take(self, token: str) -> Take | None:
        """One that is in the making."""
        with self._gate:
            return self._takes.get(token)

    def drop(self, owner: str) -> None:
        """Give up all that somebody asked for."""
        with self._gate:
            for take in self._takes.values():
                if take.owner == owner:
                    take.cancel()

    def write(self, samples: np.ndarray, name: str = "speech.wav") -> Path:
        """A wav file for visitors. Raises OutputError when the disk is full."""
        path = self.workspace.new(name)
        with _named(path):
            return write_wav(path, samples, self.service.sample_rate)

    def picture(self, samples: np.ndarray, title: str) -> Path:
        """Waveform and mel spectrogram as a PNG. Raises OutputError."""
        path = self.workspace.new("picture.png")
        with _named(path), self._pencil:        # one at a time: a picture costs a second of a core
            return draw(path, samples, self.service.sample_rate, title=title)


def _checked(text: str, name: str, most: int) -> str:
    if len(text) > most:
        raise InputError(f"The {name} has {len(text):,} characters; at most {most:,} are read at once. Cut it in two.")
    return text


@contextlib.contextmanager
def _named(*paths: Path) -> Iterator[None]:
    """Errors as visitors should see them: without our paths, and without flags of a command line they did not type."""
    try:
        yield
    except (CancelledError, GeneratorExit):
        raise
    except SparkTTSError as problem:
        message = FLAG.sub("", str(problem))
        for path in paths:
            message = message.replace(str(path), path.name).replace(str(path.parent), "the folder")
        raise type(problem)(message) from None
