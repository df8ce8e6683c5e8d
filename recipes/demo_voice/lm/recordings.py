"""The corpus for the PyTorch stages of the language model: semantic ids, alignments, phones."""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recipes.demo_voice.codec.dataset import LOG_PITCH_CENTER, SAMPLE_RATE, Corpus
from recipes.demo_voice.config import BICODEC
from recipes.demo_voice.lm.dataset import AlignedRecording
from sparktts_ms.audio.loudness import speech_seconds
from sparktts_ms.files import atomic_write

VALIDATION_EVERY = 50       # every 50th recording is for validation only
PAUSE = "pau"
SMOOTHING = 1e-3            # frames added to each count of phone and id


@dataclass(frozen=True)
class RecordingSet:
    """All recordings, and the texts that are rows of common words, not sentences."""

    recordings: list[AlignedRecording]
    word_rows: frozenset[str]

    @property
    def training(self) -> list[AlignedRecording]:
        last = VALIDATION_EVERY - 1
        return [r for n, r in enumerate(self.recordings) if n % VALIDATION_EVERY != last]

    @property
    def validation(self) -> list[AlignedRecording]:
        return self.recordings[VALIDATION_EVERY - 1::VALIDATION_EVERY]


def load_recordings(corpus: Path, codec: Path) -> RecordingSet:
    """Recordings with the ids in CODEC/tokens.pt. They are cached in CODEC/encoded.jsonl.gz; where
    that exists, nothing else of corpus and codec is needed."""
    path = codec / "encoded.jsonl.gz"
    if not path.exists():
        with atomic_write(path) as stream, gzip.open(stream, "wt", encoding="utf-8") as file:
            for entry in _encode(Corpus(corpus), codec):
                file.write(json.dumps(entry) + "\n")
    recordings = []
    word_rows = set()
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            if entry.pop("word_row"):
                word_rows.add(entry["text"])
            entry["word_ends"] = tuple(entry["word_ends"])
            entry["phones"] = tuple((name, end) for name, end in entry["phones"])
            recordings.append(AlignedRecording(**entry))
    gc.freeze()             # millions of small objects, which stay
    return RecordingSet(recordings, frozenset(word_rows))


def _encode(corpus: Corpus, codec: Path) -> Iterator[dict]:
    tokens = torch.load(codec / "tokens.pt", weights_only=True)
    levels = BICODEC["speaker_encoder"]["fsq_levels"][0]
    digits = (tokens["codes"].double() * (levels // 2)).round().long().numpy() + levels // 2
    global_ids = (digits * levels ** np.arange(digits.shape[-1])).sum(-1)
    for n, entry in enumerate(corpus.entries):
        pitch = np.exp(corpus.voiced_log_pitch(n) + LOG_PITCH_CENTER)
        yield {
            "word_row": entry["audio"].startswith("wide"),
            "text": entry["text"],
            "speaker": entry["speaker"],
            "gender": entry["gender"],
            "global_ids": global_ids[n].tolist(),
            "semantic_ids": tokens["ids"][int(corpus.start[n]):int(corpus.start[n + 1])].tolist(),
            "pitch": round(float(np.median(pitch)), 2) if len(pitch) else 0.0,
            "seconds": round(speech_seconds(corpus.waveform(n).numpy(), SAMPLE_RATE), 3),
            "word_ends": entry["word_ends"],
            "phones": entry["phones"],
        }


class PhoneInventory:
    """Phones as numbers; the last one is the pause, which is no part of a transcript."""

    def __init__(self, recordings: Iterable[AlignedRecording]):
        names = set()
        for recording in recordings:
            names.update(name for name, _ in recording.phones)
        self.names = [*sorted(names - {PAUSE}), PAUSE]
        self.index = {name: n for n, name in enumerate(self.names)}

    @property
    def pause(self) -> int:
        return len(self.names) - 1

    def transcript(self, recording: AlignedRecording) -> tuple[np.ndarray, np.ndarray]:
        """The phones [P] of a recording's text, and the index of the word that each belongs to."""
        phones = []
        words = []
        for n, word in enumerate(recording.pronunciation):
            phones += [self.index[name] for name in word]
            words += [n] * len(word)
        return np.array(phones), np.array(words)

    def phone_probs(self, recordings: Iterable[AlignedRecording], num_codes: int) -> np.ndarray:
        """float32 [phones, codes]: how likely each phone is at a frame with that semantic id."""
        counts = np.zeros((len(self.names), num_codes))
        for recording in recordings:
            phones = [self.index[name] for name in recording.frame_phones]
            np.add.at(counts, (phones, recording.semantic_ids), 1)
        counts += SMOOTHING
        return (counts / counts.sum(0)).astype(np.float32)
