"""Metrics of a model: reconstruction, voice cloning and attribute control."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from evaluation import metrics
from evaluation.asr import transcribe_all, word_error_rate
from evaluation.flite_tts import VOICES, synthesize
from evaluation.sentences import sentences
from sparktts_ms import Sampling, Service, SparkTTS
from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.errors import NoSpeech
from sparktts_ms.generation.attributes import GENDERS, LEVELS, pitch_label, speed_label
from sparktts_ms.text.syllables import count_syllables

if TYPE_CHECKING:
    from sparktts_ms.service import Job

SENTENCE_SEED = 2       # of the held-out sentences
# Limits of WER relative to that of the reference recordings.
CODEC_WER_RATIO = 1.25
CLONING_WER_RATIO = 1.6

Progress = Callable[[Iterable], Iterable]       # wraps a loop in a progress bar
SamplingByIndex = Callable[[int], Sampling]


@dataclass(frozen=True)
class Reference:
    """A held-out sentence, and its recording by a voice of the reference synthesizer."""

    text: str
    spoken: str
    voice: str
    path: Path
    samples: np.ndarray


@dataclass(frozen=True)
class Metric:
    """One number of the report, and the limit that it has to keep, if any."""

    name: str
    value: float
    limit: float | None = None
    higher_is_better: bool = False
    unit: str = ""

    @property
    def passed(self) -> bool | None:
        if self.limit is None:
            return None
        return self.value >= self.limit if self.higher_is_better else self.value <= self.limit


@dataclass(frozen=True)
class ControlledUtterance:
    """Speech of a generated voice: requested attributes, and what was measured."""

    gender: str
    pitch: int              # level, 0 to 4
    speed: int
    f0: float               # median, Hz
    speaking_rate: float    # syllables per second


def synthesize_references(folder: Path, count: int) -> list[Reference]:
    """`count` held-out sentences in every voice of the reference synthesizer, kept in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)

    def process(job: tuple[tuple[int, tuple[str, str]], str]) -> Reference:
        (number, (text, spoken)), voice = job
        path = folder / f"{number:03d}_{voice}.wav"
        if not path.exists():
            synthesize(text, voice, path)
        return Reference(text, spoken, voice, path, soundfile.read(path)[0])

    held_out = itertools.islice(sentences(SENTENCE_SEED, evaluation=True), count)
    with ThreadPoolExecutor() as pool:
        return list(pool.map(process, itertools.product(enumerate(held_out), VOICES)))


def evaluate_codec(
    tts: SparkTTS, references: list[Reference], progress: Progress = iter
) -> tuple[list[Metric], float]:
    """The reference recordings, encoded and decoded. Returns metrics and the references' WER."""
    decoded = []
    for reference in progress(references):
        voice = tts.encode_voice(reference.path, reference.text)
        decoded.append(tts.decode(global_ids=voice.global_ids, semantic_ids=voice.semantic_ids))
    reference_wer = _wer(references, [reference.samples for reference in references])

    def mean(metric: Callable[[np.ndarray, np.ndarray], float]) -> float:
        return statistics.mean(
            metric(samples, reference.samples)
            for samples, reference in zip(decoded, references, strict=True))

    return [
        _percent("reference: WER", reference_wer),
        _percent("codec: WER", _wer(references, decoded), CODEC_WER_RATIO * reference_wer),
        Metric("codec: mel distance", mean(metrics.mel_distance), unit="dB"),
        Metric("codec: STOI", mean(metrics.stoi)),
        _percent("codec: median F0 error", mean(metrics.pitch_error)),
    ], reference_wer


def evaluate_cloning(
    service: Service,
    references: list[Reference],
    reference_wer: float,
    sampling: SamplingByIndex,
    with_transcript: bool,
    progress: Progress = iter,
) -> list[Metric]:
    """Every reference sentence, in a voice cloned from the same speaker's next sentence."""
    jobs = []
    for n, reference in enumerate(references):
        prompt = references[(n + len(VOICES)) % len(references)]
        voice = service.encode_voice(prompt.path, prompt.text if with_transcript else None)
        jobs.append(service.submit(reference.text, voice, sampling=sampling(n)))
    speech = [_samples(job) for job in progress(jobs)]

    by_voice: dict[str, list[np.ndarray]] = {voice: [] for voice in VOICES}
    for reference in references:
        by_voice[reference.voice].append(reference.samples)
    speakers = metrics.SpeakerClassifier(by_voice)
    correct = 0
    too_long = 0
    for samples, reference in zip(speech, references, strict=True):
        correct += len(samples) > 0 and speakers.nearest(samples) == reference.voice
        too_long += len(samples) > 2 * len(reference.samples)

    name = "cloning with transcript" if with_transcript else "cloning"
    return [
        _percent(f"{name}: WER", _wer(references, speech), CLONING_WER_RATIO * reference_wer),
        _percent(f"{name}: speaker accuracy", correct / len(speech), 0.95, True),
        Metric(f"{name}: empty utterances", _count_empty(speech), 0),
        Metric(f"{name}: longer than twice the reference", too_long, 0),
    ]


def evaluate_control(
    service: Service,
    references: list[Reference],
    sampling: SamplingByIndex,
    progress: Progress = iter,
) -> tuple[list[Metric], list[ControlledUtterance]]:
    """Generated voices of every gender, pitch and speed, over the references' sentences."""
    attributes = list(itertools.product(GENDERS, range(5), range(5)))
    attributes = attributes * max(1, len(references) // 20)
    jobs = []
    for n, (gender, pitch, speed) in enumerate(attributes):
        text = references[n % len(references)].text
        jobs.append(service.submit(text, gender=gender, pitch=LEVELS[pitch], speed=LEVELS[speed],
                                   sampling=sampling(n)))
    speech = [_samples(job) for job in progress(jobs)]

    spoken_by = [references[n % len(references)] for n in range(len(jobs))]
    utterances = []
    for (gender, pitch, speed), samples, reference in zip(
            attributes, speech, spoken_by, strict=True):
        rate = count_syllables(reference.spoken) / max(speech_seconds(samples), 0.02)
        utterances.append(
            ControlledUtterance(gender, pitch, speed, median_pitch(samples), rate))

    gender_correct = 0
    pitch_close = 0
    speed_close = 0
    for one in utterances:
        gender_correct += metrics.gender_by_pitch(one.f0, one.pitch) == one.gender
        pitch_close += abs(pitch_label(one.f0, one.gender) - one.pitch) <= 1
        speed_close += abs(speed_label(one.speaking_rate, "en") - one.speed) <= 1
    count = len(utterances)
    return [
        _percent("control: WER", _wer(spoken_by, speech)),
        _percent("control: gender accuracy", gender_correct / count, 0.97, True),
        _percent("control: pitch within one level", pitch_close / count, 0.9, True),
        _percent("control: speed within one level", speed_close / count, 0.9, True),
        Metric("control: pitch levels out of order", levels_out_of_order(utterances, "pitch"), 0),
        Metric("control: speed levels out of order", levels_out_of_order(utterances, "speed"), 0),
        Metric("control: empty utterances", _count_empty(speech), 0),
    ], utterances


def levels_out_of_order(utterances: list[ControlledUtterance], attribute: str) -> int:
    """How many of the 8 steps from a pitch or speed level to the next do not raise the mean."""
    measured = {"pitch": "f0", "speed": "speaking_rate"}[attribute]
    count = 0
    for gender in GENDERS:
        means = []
        for level in range(5):
            means.append(statistics.mean(
                getattr(one, measured) for one in utterances
                if one.gender == gender and getattr(one, attribute) == level))
        count += sum(higher <= lower for lower, higher in itertools.pairwise(means))
    return count


def _samples(job: Job) -> np.ndarray:
    """The samples of a finished job, none if it produced no speech."""
    try:
        return job.result().samples
    except NoSpeech:
        return np.zeros(0, np.float32)


def _wer(references: list[Reference], speech: list[np.ndarray]) -> float:
    expected = [reference.spoken for reference in references]
    return word_error_rate(expected, transcribe_all(speech))


def _count_empty(speech: list[np.ndarray]) -> int:
    return sum(len(samples) == 0 for samples in speech)


def _percent(
    name: str, share: float, limit: float | None = None, higher_is_better: bool = False
) -> Metric:
    return Metric(name, 100 * share, None if limit is None else 100 * limit, higher_is_better, "%")
