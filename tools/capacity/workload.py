"""What is asked of the devices: when requests arrive, how long they speak, and in whose voice."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparktts_ms.errors import SparkTTSError, quoted

MAX_TRACE = 100 << 20               # bytes
CHARACTERS_PER_SECOND = 15.0        # of English speech
LEAST_SECONDS = 0.3


class TraceError(SparkTTSError):
    """A file that holds no arrivals."""


@dataclass(frozen=True)
class Arrival:
    """One request. time: in seconds. segments: seconds of speech of each segment of its text.

    voice: of a recording that comes with it, which has to be encoded unless its replica knows it;
    None: a voice that is known to all. characters: of its text.
    """

    time: float
    segments: tuple[float, ...]
    voice: int | None = None
    characters: float = 0.0

    @property
    def seconds(self) -> float:
        return sum(self.segments)


@dataclass(frozen=True)
class Workload:
    """Requests of a Poisson process.

    rate: requests a second. text_seconds: of speech, on average; spread: their standard deviation
    by their mean (gamma distribution). sentence_seconds: longer texts have several segments.
    recording_share: of the requests, that bring a recording; new_share: of those, that bring one
    that nobody brought before; the others are one of `voices`, equally often.
    """

    rate: float
    text_seconds: float
    spread: float = 0.5
    sentence_seconds: float = 5.0
    recording_share: float = 0.2
    new_share: float = 0.1
    voices: int = 100

    def arrivals(self, seed: int) -> Iterator[Arrival]:
        """Without an end; the same seed gives the same requests, whatever their rate."""
        random = np.random.default_rng(seed)
        time = 0.0
        new = itertools.count(self.voices)
        shape = 1 / self.spread ** 2 if self.spread else math.inf
        while True:
            time += random.exponential(1.0) / self.rate
            seconds = self.text_seconds
            if math.isfinite(shape):
                seconds *= random.gamma(shape) / shape
            seconds = max(LEAST_SECONDS, seconds)
            draws = random.random(3)
            voice = None
            if draws[0] < self.recording_share:
                voice = next(new) if draws[1] < self.new_share else int(draws[2] * self.voices)
            count = max(1, round(seconds / self.sentence_seconds))
            yield Arrival(time, (seconds / count,) * count, voice,
                          CHARACTERS_PER_SECOND * seconds)


def read_trace(path: Path, sentence_seconds: float) -> list[Arrival]:
    """The requests of a file, a JSON object a line: {"time", "seconds"} and optional "voice", a
    number, or "segments" instead of "seconds". Raises TraceError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TRACE + 1)
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise TraceError(f"{{subject}} cannot be read: {error.strerror}.", subject=path) from None
    except UnicodeDecodeError:
        raise TraceError("{subject} is no text in UTF-8.", subject=path) from None
    if len(content) > MAX_TRACE:
        raise TraceError(f"{{subject}} is larger than {MAX_TRACE >> 20} MB.", subject=path)
    arrivals = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            arrivals.append(_parse(line, number, path, sentence_seconds))
    if not arrivals:
        raise TraceError("{subject} holds no requests.", subject=path)
    return sorted(arrivals, key=lambda arrival: arrival.time)


def _parse(line: str, number: int, path: Path, sentence_seconds: float) -> Arrival:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if isinstance(entry, dict):
        segments = entry.get("segments")
        if segments is None and _is_time(entry.get("seconds")):
            count = max(1, round(entry["seconds"] / sentence_seconds))
            segments = [entry["seconds"] / count] * min(count, 100_000)
        voice = entry.get("voice")
        if (_is_time(entry.get("time")) and isinstance(segments, list) and segments
                and all(map(_is_time, segments)) and (voice is None or type(voice) is int)):
            seconds = tuple(max(LEAST_SECONDS, float(segment)) for segment in segments)
            return Arrival(float(entry["time"]), seconds, voice,
                           CHARACTERS_PER_SECOND * sum(seconds))
    raise TraceError(f'Line {number} of {{subject}} is {quoted(line)}; it must be such as '
                     '{"time": 0.5, "seconds": 4.2}.', subject=path)


def _is_time(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value) and 0 <= value < 1e7)


def until(arrivals: Iterator[Arrival], end: float) -> Sequence[Arrival]:
    """The arrivals before `end`."""
    return list(itertools.takewhile(lambda arrival: arrival.time < end, arrivals))
