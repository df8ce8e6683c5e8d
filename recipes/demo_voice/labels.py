"""Teaches labels of pitch to make up such voices as the codec renders at that pitch, where many are not.

python labels.py CORPUS CODEC MODEL WORK measures the pitch of some recordings as the codec renders them, keeps that in
CODEC/rendered.json, and teaches the embeddings of such a label and its values the voices that come out right; WORK/model is MODEL
with them. Nothing else of the model changes: a clone's prompt has no such token unless a pitch is asked for.

A frame is 20 ms, and a generator without a sense of phase repeats itself from frame to frame while its input stays the same: it
is drawn to multiples of 50 Hz. Of men's voices at 110 to 143 Hz half come out lower by more than 8 %.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from acoustics import Corpus
from keeping import note, write
from language import Qwen2
from reader import padded
from tasks import known
from train import Codec, GeneratorStage, read_model

from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.config_files import read_config
from sparktts_ms.labels import LEVELS, pitch_label, pitch_value
from sparktts_ms.prompt import GENDERS
from sparktts_ms.training.encoded import Encoded
from sparktts_ms.training.sequences import style_sequence
from sparktts_ms.vocabulary import Vocabulary

FRAMES = 80             # of a recording that are rendered
WIDTH = 0.04            # of a voice, as log of its pitch
KNOWN, ENOUGH = 12, 80  # recordings of a voice to be judged by, and of a label to be learnt from
NONE, MOST = 0.1, 0.6   # share of a label's voices that come out right: below, there is none to learn; above, there is no need
ROWS = 32               # of a step


class Renderer:
    """The codec's decoder, as MODEL has it."""

    def __init__(self, corpus: Corpus, codec: Path, model: Path):
        self.codec, stage = Codec(), GeneratorStage(corpus)
        read_model(model, self.codec, stage.generator)
        self.codec.eval()
        self.generator, self.start = stage.generator.eval(), corpus.start
        kept = torch.load(codec / "tokens.pt", weights_only=True)
        self.ids, self.codes = kept["ids"], kept["codes"]

    @torch.no_grad()
    def pitch(self, n: int) -> float:
        """Median Hz of the beginning of recording n as it is rendered."""
        begin, end = int(self.start[n]), int(self.start[n + 1])
        voice = self.codec.speaker_encoder.quantizer.project_out(self.codes[[n]])
        d = self.codec.speaker_encoder.project(voice.mT.flatten(1))
        content = self.codec.quantizer.decode(self.ids[begin:min(end, begin + FRAMES)].long()[None])
        made = self.codec.prenet(content, d) + d[:, None]
        return median_pitch(self.generator(made.mT).reshape(-1).numpy())


_renderer: Renderer | None = None       # of a worker


def _take(renderer: Renderer) -> None:
    global _renderer
    _renderer = renderer


def _pitch(n: int) -> float:
    return _renderer.pitch(n)


def by_label(spoken: list[Encoded]) -> dict[tuple[str, int], list[int]]:
    """The recordings of each gender and label of pitch."""
    groups: dict[tuple[str, int], list[int]] = {(gender, label): [] for gender in GENDERS for label in range(len(LEVELS))}
    for n, one in enumerate(spoken):
        if one.pitch:
            groups[one.gender, pitch_label(one.pitch, one.gender)].append(n)
    return groups


def rendered(path: Path, asked: list[int], renderer: Renderer, workers: int) -> dict[int, float]:
    """Recordings and the pitch they are rendered at; what the file has is not measured again."""
    have = {int(n): hertz for n, hertz in json.loads(path.read_text()).items()} if path.exists() else {}
    missing = [n for n in asked if n not in have]
    with multiprocessing.get_context("fork").Pool(workers, _take, (renderer,)) as pool:
        have |= zip(missing, pool.map(_pitch, missing, chunksize=16), strict=True)
    path.with_suffix(".part").write_text(json.dumps(have))
    os.replace(path.with_suffix(".part"), path)
    return {n: have[n] for n in asked}


def right(spoken: list[Encoded], hertz: dict[int, float], ns: list[int]) -> float:
    """The share of recordings that are rendered within their label."""
    def label(n, hz):
        return pitch_label(hz, spoken[n].gender)
    return float(np.mean([hertz[n] > 0 and label(n, hertz[n]) == label(n, spoken[n].pitch) for n in ns]))


def fitting(spoken: list[Encoded], hertz: dict[int, float], group: list[int]) -> list[int]:
    """The recordings of those voices of a label that come out right most often; a voice is a speaker within a few per cent of
    pitch."""
    voices: dict[tuple[str, int], list[int]] = {}
    for n in group:
        voices.setdefault((spoken[n].speaker, round(math.log(spoken[n].pitch) / WIDTH)), []).append(n)
    found: list[int] = []
    for ns in sorted((ns for ns in voices.values() if len(ns) >= KNOWN), key=lambda ns: -right(spoken, hertz, ns)):
        found += ns if len(found) < ENOUGH else []
    return found


def teach(corpus_folder: Path, codec: Path, model: Path, work: Path, some: int, steps: int, rate: float, seed: int, workers: int,
          ) -> None:
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)            # of each worker
    config, random = read_config(model).llm, np.random.default_rng(seed)
    v = Vocabulary(model / "LLM" / "tokenizer.json", config.eos_token_id, config.vocab_size)
    corpus, spoken = Corpus(corpus_folder), known(corpus_folder, codec).spoken
    some_of_all = [int(n) for group in by_label(spoken).values() for n in random.permutation(group)[:some]]
    hertz = rendered(codec / "rendered.json", some_of_all, Renderer(corpus, codec, model), workers)
    groups = {key: [n for n in group if n in hertz] for key, group in by_label(spoken).items()}
    share = {key: right(spoken, hertz, group) for key, group in groups.items() if group}
    note(work, {" ".join((gender, LEVELS[label])): round(part, 2) for (gender, label), part in share.items()}, "labels")
    poor = {label for (_, label), part in share.items() if NONE < part < MOST}
    voices = [[style_sequence(v, spoken[n]) for n in fitting(spoken, hertz, group)]
              for (_, label), group in groups.items() if label in poor]
    voices = [group for group in voices if group]
    net = Qwen2.read(model / "LLM" / "model.safetensors", config).requires_grad_(False)
    table = net.embed_tokens.weight.requires_grad_()
    rows = torch.zeros(len(table), 1)
    rows[[v.pitch_label[label] for label in poor]] = 1
    rows[[v.pitch_value[pitch_value(spoken[n].pitch)]
          for (_, label), group in groups.items() if label in poor for n in group]] = 1
    optimizer = torch.optim.AdamW([table], rate, betas=(0.9, 0.98), weight_decay=0.0)
    torch.set_num_threads(os.cpu_count() or 1)
    for step in range(steps if voices else 0):
        began = time.monotonic()
        picked = [group[int(random.integers(len(group)))] for group in (voices[k % len(voices)] for k in range(ROWS))]
        ids = [one.ids[:int(np.flatnonzero(one.ids == v.start_semantic_token)[0]) + 1] for one in picked]
        read, wanted = padded([row[:-1] for row in ids], 0), padded([row[1:] for row in ids], 0)
        for row, one, target in zip(ids, picked, wanted, strict=True):
            target[:one.given - 1], target[len(row) - 1:] = -100, -100
        hidden, _ = net(read)
        loss = F.cross_entropy((hidden @ table.T).flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        table.grad.mul_(rows)
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 10) * (1 - step / steps)
        optimizer.step()
        note(work, {"step": step + 1, "loss": round(loss.item(), 4), "s": round(time.monotonic() - began, 3)}, "labels")
    write(model, work / "model", net)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corpus_folder", "codec", "model", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--some", type=int, default=600, help="recordings of each label and gender that are rendered")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    teach(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
