"""What the language model is asked to say when it practises."""

from __future__ import annotations

import gc
import gzip
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recipes.demo_voice.codec.dataset import MIDDLE, RATE, Corpus
from recipes.demo_voice.lm.dataset import AlignedRecording
from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.generation.prompt import clone_prompt
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.examples import CANDIDATES, TYPICAL_RATE_RATIO, style_example

HELD = 50               # every so manieth recording is never trained on
PAUSE = "pau"
OFTEN = 0.3             # of a row of words, where a sentence has 1
UNLIKELY = 1e-3         # of a frame, in counts of what was heard with an id


@dataclass(frozen=True)
class Known:
    """The corpus as the language model sees it, and which texts of it are `rows` of words, not sentences. Every so manieth
    recording is `held` out."""

    spoken: list[AlignedRecording]
    rows: frozenset[str]

    @property
    def loss_mask(self) -> list[AlignedRecording]:
        return [one for n, one in enumerate(self.spoken) if n % HELD != HELD - 1]

    @property
    def held(self) -> list[AlignedRecording]:
        return self.spoken[HELD - 1::HELD]


def known(folder: Path, work: Path) -> Known:
    """By the ids that `train.py` kept in WORK; kept there as encoded.jsonl.gz, which is all that is needed from then on."""
    path = work / "encoded.jsonl.gz"
    if not path.exists():
        part = path.with_suffix(".part")
        with gzip.open(part, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in encoded(Corpus(folder), work))
        os.replace(part, path)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    rows = frozenset(line["text"] for line in lines if line.pop("row"))
    found = Known([AlignedRecording(**{**line, "word_ends": tuple(line["word_ends"]), "phones": tuple(map(tuple, line["phones"]))})
                   for line in lines], rows)
    gc.freeze()         # millions of small objects, which stay
    return found


def encoded(corpus: Corpus, work: Path, levels: int = 4) -> Iterator[dict]:
    kept = torch.load(work / "tokens.pt", weights_only=True)
    digits = (kept["codes"].double() * (levels // 2)).round().long().numpy() + levels // 2
    voices = (digits * levels ** np.arange(digits.shape[-1])).sum(-1)
    hertz = np.exp(corpus.features[:, 80].astype(np.float32) / 2 + MIDDLE)
    voiced = corpus.features[:, 81] > 0
    for n, line in enumerate(corpus.lines):
        a, b = int(corpus.start[n]), int(corpus.start[n + 1])
        pitch = float(np.median(hertz[a:b][voiced[a:b]])) if voiced[a:b].any() else 0.0
        yield {"row": line["audio"].startswith("wide"), **{key: line[key] for key in ("text", "speaker", "gender")},
               "global_ids": voices[n].tolist(), "semantic_ids": kept["ids"][a:b].tolist(), "pitch": round(pitch, 2),
               "seconds": round(speech_seconds(corpus.wave(n).numpy(), RATE), 3),
               **{key: line[key] for key in ("word_ends", "phones")}}


class Phones:
    """Names as numbers; the pause comes last, and is none of what is to be read."""

    def __init__(self, spoken: Iterable[AlignedRecording]):
        self.names = [*sorted({name for one in spoken for name, _ in one.phones} - {PAUSE}), PAUSE]
        self.number = {name: n for n, name in enumerate(self.names)}

    @property
    def pause(self) -> int:
        return len(self.names) - 1

    def said(self, one: AlignedRecording) -> np.ndarray:
        return np.array([self.number[name] for word in one.pronunciation for name in word])

    def words(self, one: AlignedRecording) -> np.ndarray:
        """Which word each of them belongs to."""
        return np.repeat(np.arange(len(one.pronunciation)), [len(word) for word in one.pronunciation])

    def table(self, spoken: Iterable[AlignedRecording], codes: int) -> np.ndarray:
        """[phones, codes]: how likely each phone is where an id is."""
        count = np.zeros((len(self.names), codes), np.float64)
        for one in spoken:
            np.add.at(count, ([self.number[name] for name in one.frame_phones], one.semantic_ids), 1)
        return ((count + UNLIKELY) / (count + UNLIKELY).sum(0)).astype(np.float32)


@dataclass(frozen=True)
class Task:
    """What is asked for, and what it should be: phones, their words, and how many frames. `word_alignment` [words, 2] says of all the
    text, of which the last words are to be said, at which frame of all the speech and at which byte each word ends; `before`
    frames of that are prompt."""

    prompt: np.ndarray
    phones: np.ndarray
    words: np.ndarray
    frames: int
    word_alignment: np.ndarray
    before: int = 0

    def followed(self, ends: np.ndarray) -> np.ndarray:
        """The course, had the words ended at these frames of what was said."""
        word_alignment = self.word_alignment.copy()
        word_alignment[len(word_alignment) - len(ends):, 0] = self.before + ends
        return word_alignment


class Tasks:
    """Clones, continued recordings and voices by labels, drawn from recordings, rows of words less often than sentences."""

    KINDS = ("clone", "continued", "labels")
    SHARES = (0.35, 0.45, 0.2)

    def __init__(self, v: Vocabulary, phones: Phones, spoken: list[AlignedRecording], longest: int, rows: set[str] = frozenset()):
        self.v, self.phones, self.spoken, self.longest = v, phones, spoken, longest
        often = np.array([OFTEN if one.text in rows else 1.0 for one in spoken])
        self.often = often / often.sum()
        self.by_speaker: dict[str, list[AlignedRecording]] = {}
        for one in spoken:
            self.by_speaker.setdefault(one.speaker, []).append(one)
        self.pace = {speaker: np.median([one.speaking_rate for one in group]) for speaker, group in self.by_speaker.items()}

    def draw(self, random: np.random.Generator, kind: str | None = None) -> Task:
        while True:
            one = self.spoken[int(random.choice(len(self.spoken), p=self.often))]
            task = self.task(one, kind or str(random.choice(self.KINDS, p=self.SHARES)), random)
            if task is not None and len(task.prompt) + task.frames <= self.longest:
                return task

    def task(self, one: AlignedRecording, kind: str, random: np.random.Generator) -> Task | None:
        def asked(prompt, whole=one):
            return Task(prompt, self.phones.said(one), self.phones.words(one), len(one.semantic_ids), whole.word_alignment,
                        len(whole.semantic_ids) - len(one.semantic_ids))
        if kind == "labels":
            made = style_example(self.v, one)
            if made is None:
                return None
            opening = int(np.flatnonzero(made.ids == self.v.start_semantic_token)[0]) + 1
            return asked(made.ids[:opening].astype(np.int64))
        if kind == "clone" and abs(math.log(one.speaking_rate / self.pace[one.speaker])) > math.log(TYPICAL_RATE_RATIO):
            return None             # nothing in such a prompt tells the pace
        alike = self.alike(one, random)
        if kind == "clone":
            return asked(np.append(clone_prompt(self.v, one.text, alike[0].global_ids), self.v.start_semantic_token))
        before = alike[0].concatenate(alike[1]) if len(alike) > 1 and random.random() < 0.2 else alike[0]
        return asked(clone_prompt(self.v, one.text, before.global_ids, before.text, before.semantic_ids), before.concatenate(one))

    def alike(self, one: AlignedRecording, random: np.random.Generator) -> list[AlignedRecording]:
        """Other recordings of the speaker, the nearest in pace and pitch first; `one` itself if there is no other."""
        group = self.by_speaker[one.speaker]
        others = [group[n] for n in random.integers(len(group), size=CANDIDATES)]
        others = [other for other in others if other is not one] or [one]
        return sorted(others, key=lambda other: abs(math.log(other.speaking_rate / one.speaking_rate))
                      + abs(math.log(max(other.pitch, 20) / max(one.pitch, 20))))
