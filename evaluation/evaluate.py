"""The three questions put to a model: does the codec keep speech intact, are voices cloned, are the labels obeyed."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from evaluation.asr import error_rate, transcripts
from evaluation.flite_tts import GENDER, speak
from evaluation.metrics import Voices, gender_by_pitch, intelligibility, mel_distance, pitch_off
from evaluation.sentences import sentences
from sparktts_ms import Sampling, Service, SparkTTS
from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.generation.attributes import GENDERS, LEVELS, pitch_label, speed_label
from sparktts_ms.text.syllables import count_syllables

SEED = 2          # of the held-out sentences
Progress = Callable[[Iterable], Iterable]


@dataclass(frozen=True)
class Reading:
    """A sentence in one of the teacher's voices."""

    text: str
    spoken: str
    voice: str
    path: Path
    samples: np.ndarray


@dataclass(frozen=True)
class Figure:
    """One number of the report; `limit` is what it must reach, `less` says from which side."""

    name: str
    value: float
    limit: float | None = None
    less: bool = True
    unit: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.limit is None else self.value <= self.limit if self.less else self.value >= self.limit


def read_aloud(folder: Path, count: int) -> list[Reading]:
    """`count` held-out sentences, each in all of the teacher's voices as they are, recorded into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = list(itertools.islice(sentences(SEED, evaluation=True), count))
    jobs = [(n, text, spoken, voice) for n, (text, spoken) in enumerate(chosen) for voice in GENDER]

    def read(job):
        n, text, spoken, voice = job
        path = folder / f"{n:03d}_{voice}.wav"
        if not path.exists():
            speak(text, voice, path)
        return Reading(text, spoken, voice, path, soundfile.read(path)[0])
    with ThreadPoolExecutor() as pool:
        return list(pool.map(read, jobs))


def judge_codec(tts: SparkTTS, readings: list[Reading], progress: Progress = iter) -> list[Figure]:
    """The teacher's recordings through the codec alone."""
    copies = []
    for reading in progress(readings):
        voice = tts.encode_voice(reading.path, reading.text)
        copies.append(tts.decode(global_ids=voice.global_ids, semantic_ids=voice.semantic_ids))
    expected = [reading.spoken for reading in readings]
    teacher = error_rate(expected, transcripts([reading.samples for reading in readings]))
    made = error_rate(expected, transcripts(copies))
    distance = statistics.mean(mel_distance(copy, reading.samples) for copy, reading in zip(copies, readings, strict=True))
    clarity = statistics.mean(intelligibility(copy, reading.samples) for copy, reading in zip(copies, readings, strict=True))
    off = statistics.mean(pitch_off(copy, reading.samples) for copy, reading in zip(copies, readings, strict=True))
    return [Figure("teacher: word error rate", teacher), Figure("codec: word error rate", made, 1.25 * teacher),
            Figure("codec: mel distance", distance, unit="dB"), Figure("codec: STOI", clarity),
            Figure("codec: median pitch off", 100 * off, unit="%")]


def judge_cloning(service: Service, tts: SparkTTS, readings: list[Reading], teacher: float, sampling: Callable[[int], Sampling],
                  transcript: bool, progress: Progress = iter) -> list[Figure]:
    """Every sentence in every voice, cloned from that voice's reading of the next sentence."""
    known = Voices({name: [r.samples for r in readings if r.voice == name] for name in GENDER})
    prompts = [readings[(n + len(GENDER)) % len(readings)] for n in range(len(readings))]
    voices = [tts.encode_voice(p.path, p.text) if transcript else tts.encode_voice(p.path) for p in prompts]
    jobs = [service.submit(r.text, voice, sampling=sampling(n))
            for n, (r, voice) in enumerate(zip(readings, voices, strict=True))]
    speech = [heard(job) for job in progress(jobs)]
    name = "cloned with transcript" if transcript else "cloned"
    right = statistics.mean(len(x) > 0 and known.nearest(x) == r.voice for x, r in zip(speech, readings, strict=True))
    return [Figure(f"{name}: word error rate", error_rate([r.spoken for r in readings], transcripts(speech)), 1.6 * teacher),
            Figure(f"{name}: nearest voice is the prompted one", 100 * right, 95, False, "%"),
            *lengths(name, speech, [len(r.samples) for r in readings])]


def heard(job) -> np.ndarray:
    """The samples of a finished job; none if the model said nothing."""
    from sparktts_ms.errors import NoSpeech
    try:
        return job.result().samples
    except NoSpeech:
        return np.zeros(0, np.float32)


def lengths(name: str, speech: list[np.ndarray], teacher: list[int]) -> list[Figure]:
    return [Figure(f"{name}: empty", sum(not len(x) for x in speech), 0),
            Figure(f"{name}: longer than twice the teacher's",
                   sum(len(x) > 2 * n for x, n in zip(speech, teacher, strict=True)), 0)]


@dataclass(frozen=True)
class Obeyed:
    """One utterance by labels: what was asked for, and what was measured."""

    gender: str
    pitch: int
    speed: int
    hertz: float
    rate: float


def judge_control(service: Service, texts: list[tuple[str, str]], sampling: Callable[[int], Sampling],
                  progress: Progress = iter) -> tuple[list[Figure], list[Obeyed]]:
    """Every combination of labels, each with `len(texts) / 5` sentences."""
    asked = [(gender, pitch, speed) for gender in GENDERS for pitch in range(5) for speed in range(5)]
    asked = asked * max(1, len(texts) // 20)
    chosen = [texts[n % len(texts)] for n in range(len(asked))]
    jobs = [service.submit(text, gender=gender, pitch=LEVELS[pitch], speed=LEVELS[speed], sampling=sampling(n))
            for n, ((text, _), (gender, pitch, speed)) in enumerate(zip(chosen, asked, strict=True))]
    speech = [heard(job) for job in progress(jobs)]
    told = [Obeyed(gender, pitch, speed, median_pitch(x), count_syllables(spoken) / max(speech_seconds(x), 0.02))
            for (gender, pitch, speed), x, (_, spoken) in zip(asked, speech, chosen, strict=True)]
    share = lambda right: 100 * statistics.mean(right)      # noqa: E731
    return [Figure("control: word error rate", error_rate([spoken for _, spoken in chosen], transcripts(speech))),
            Figure("control: gender right", share(gender_by_pitch(o.hertz, o.pitch) == o.gender for o in told), 97, False, "%"),
            Figure("control: pitch within one label", share(abs(pitch_label(o.hertz, o.gender) - o.pitch) <= 1 for o in told),
                   90, False, "%"),
            Figure("control: speed within one label", share(abs(speed_label(o.rate, "en") - o.speed) <= 1 for o in told),
                   90, False, "%"),
            *(Figure(f"control: {name} out of order", out_of_order(told, name, value), 0)
              for name, value in (("pitch", lambda o: o.hertz), ("speed", lambda o: o.rate))),
            Figure("control: empty", sum(not len(x) for x in speech), 0)], told


def out_of_order(told: list[Obeyed], name: str, value: Callable[[Obeyed], float]) -> int:
    """How many neighbouring labels have means that do not rise, over both genders."""
    count = 0
    for gender in GENDERS:
        means = [statistics.mean(value(o) for o in told if o.gender == gender and getattr(o, name) == label)
                 for label in range(5)]
        count += sum(b <= a for a, b in itertools.pairwise(means))
    return count
