"""Lets the language model speak, reads its ids, and teaches it what it should have said where it went wrong.

python practise.py CORPUS CODEC MODEL WORK --steps N begins with the language model of MODEL, saves WORK/practice.pt every few
steps and goes on from there when started again; WORK/model is MODEL with what was learnt, a running mean of the weights.

Imitation teaches the next id after true speech; at the model's own speech it is lost sooner or later (arXiv 1011.0686 says why,
and what to do: let it act, and have a teacher tell what would have been right there). Here the model speaks texts of the
corpus; phones are read off its ids (`reader.py`) and compared with the text's, so that at every frame it is known which phone
was due, whatever had been said before (`due.py`); all ids that sound like it share the praise, as they are likely, and the
heads that look for the place in the text are pulled to where it was. Of several tries at a text those that last about as long
as the teacher are made likelier. True speech is imitated beside it, so that voices stay as they are.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "ALL")        # sparktts_ms would choose what MindSpore needs: no bfloat16 products

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from recipes.demo_voice.lm.checkpoint import load, note, save, write
from recipes.demo_voice.lm.ctc_recognizer import Reader, padded, read
from recipes.demo_voice.lm.ctc_recognizer import train as train_reader
from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.expert import STOP, Correction, corrected
from recipes.demo_voice.lm.guided_attention import AttentionTargets, attention_targets
from recipes.demo_voice.lm.losses import Lesson, Page, drawn, page
from recipes.demo_voice.lm.model import Manner, Qwen2, short, speak
from recipes.demo_voice.lm.prompts import Phones, Task, Tasks, known
from sparktts_ms.config_files import read_config
from sparktts_ms.generation.vocabulary import Vocabulary


@dataclass(frozen=True)
class Portion:
    """Of a step: texts that are spoken, and how often each. Of an update: tries that are learnt from, and sequences of true
    speech, about; the learning rate, and how much of the mean of the weights is kept. `tokens` are learnt from at once."""

    texts: int
    tries: int
    rows: int
    true: int
    rate: float
    kept: float
    tokens: int

    @property
    def updates(self) -> int:
        return max(1, int(WORST * self.texts * self.tries) // self.rows)


PORTIONS = {"cpu": Portion(80, 2, 40, 16, 6e-4, 0.98, 6000), "cuda": Portion(1024, 4, 192, 72, 1e-3, 0.985, 60_000)}
WORST = 0.75            # of the tries are learnt from: where something went wrong, or better than elsewhere
TRUST = 0.2             # how far an update may move the odds of an id for the sake of what a try is worth
EVEN = 0.15             # log of a length that is as good as the teacher's
LENGTH, WRONG = 2.0, 3.0        # weights of what is beyond that, and of phones that are wrong, where tries at a text differ in it
DUE, GUIDE = 0.5, (0.3, 1.2)    # weights of what was due, and of where the layers that are led should have looked
MOST, LONGEST = 400, 640
SAVE_EVERY = 5


@dataclass(frozen=True)
class Try:
    """What was said, as places in `Manner.legal`, and their odds; what was due, where the text was, phones that are wrong
    (`due.corrected`); how unfit the length is."""

    task: Task
    said: np.ndarray
    odds: np.ndarray
    due: np.ndarray
    word_alignment: np.ndarray
    wrong: int
    unfit: float

    @property
    def lost(self) -> float:
        """The share of its phones that is wrong."""
        return self.wrong / len(self.task.phones)


def corrections(spoken: list[tuple[np.ndarray, ...]], table: np.ndarray) -> list[Correction]:
    return [corrected(*one, table) for one in spoken]


class Judge:
    """Speech as ids -> what was wrong with it. `workers` are processes that help."""

    def __init__(self, reader: Reader, table: np.ndarray, manner: Manner, workers: int):
        self.reader, self.table, self.manner = reader, table, manner
        self.map = multiprocessing.get_context("fork").Pool(workers).imap if workers else map

    def attempts(self, net: Qwen2, tasks: list[Task], seed: int) -> list[Try]:
        order, halves = sorted(range(len(tasks)), key=lambda n: len(tasks[n].prompt)), []
        for part in (order[:len(order) // 2], order[len(order) // 2:]):
            most = [min(MOST, int(1.6 * tasks[n].frames) + 20) for n in part]
            spoken = speak(net, [tasks[n].prompt for n in part], most, self.manner, seed)
            ids = [said[said < self.table.shape[1]] for said, _ in spoken]
            said = [(tasks[n].phones, tasks[n].words, some, *phones)
                    for n, some, phones in zip(part, ids, read(self.reader, ids), strict=True)]
            halves.append((part, spoken, ids, self.map(partial(corrections, table=self.table),
                                                       [said[k:k + 16] for k in range(0, len(said), 16)])))
        tries: dict[int, Try] = {}
        for part, spoken, ids, found in halves:
            for n, (said, odds), some, right in zip(part, spoken, ids, itertools.chain.from_iterable(found), strict=True):
                unfit = max(0.0, abs(math.log(max(len(some), 1) / tasks[n].frames)) - EVEN)
                tries[n] = Try(tasks[n], said, odds, right.due[:len(said)], tasks[n].followed(right.ends), right.wrong, unfit)
        return [tries[n] for n in range(len(tasks))]


def error_rate(tries: list[Try]) -> float:
    return sum(t.wrong for t in tries) / sum(len(t.task.phones) for t in tries)


def packs(lengths: list[int], tokens: int) -> list[list[int]]:
    """Rows of similar length together, about `tokens` with their padding."""
    made: list[list[int]] = [[]]
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if made[-1] and (len(made[-1]) + 1) * lengths[n] > tokens:
            made.append([])
        made[-1].append(n)
    return made


class Pupil:
    """The language model while it learns, from about `tokens` at once."""

    def __init__(self, net: Qwen2, v: Vocabulary, manner: Manner, table: np.ndarray, tokens: int):
        self.net, self.vocabulary, self.manner, self.tokens = net, v, manner, tokens
        fits = torch.zeros(len(table) + 2, len(manner.legal))
        fits[:-2, :table.shape[1]], fits[STOP, table.shape[1]:] = torch.from_numpy(table), 1.0
        self.fits = fits.to(net.device)         # [phones, NONE, STOP; legal]: how well each id is what is due

    def aims(self, ids: np.ndarray, rows: list[int], tries: list[Try]) -> AttentionTargets:
        """Where attention should have been in the text while `ids` [B, L] were said, `rows` tokens of each."""
        counts = np.zeros(ids.shape, np.float32)
        for length, one, count in zip(rows, tries, counts, strict=True):
            count[len(one.task.prompt) - 1:length] = 1
        return attention_targets(ids, counts, [t.word_alignment for t in tries], self.vocabulary)

    def learn(self, tries: list[Try], worth: list[float]) -> dict[str, Tensor]:
        """Gradients of what was due, and of what each try is `worth`, means over ids."""
        count, sums = sum(len(t.said) for t in tries), {}
        lengths, legal = [len(t.task.prompt) + len(t.said) - 1 for t in tries], self.manner.legal.cpu().numpy()
        for rows in packs(lengths, self.tokens):
            some = [tries[n] for n in rows]
            ids = padded([np.concatenate([t.task.prompt, legal[t.said[:-1]]]) for t in some], 0)
            where = self.aims(ids.numpy(), [lengths[n] for n in rows], some)
            with short(self.net.device):
                hidden, astray = self.net(ids.to(self.net.device), where=where)
            hidden = torch.cat([hidden[k, len(tries[n].task.prompt) - 1:lengths[n]] for k, n in enumerate(rows)]).float()
            said, odds, due, gain = (torch.from_numpy(np.concatenate(each)).to(self.net.device) for each in (
                [t.said for t in some], [t.odds for t in some], [t.due for t in some],
                [np.full(len(tries[n].said), worth[n], np.float32) for n in rows]))
            likely = self.manner.likely(self.net, hidden)
            missed = -((likely.exp() * self.fits[due].sum(1)).sum(-1) + 1e-4).log().sum() / count
            ratio = (likely.gather(1, said[:, None])[:, 0] - odds).exp()
            kept = torch.minimum(ratio * gain, ratio.clamp(1 - TRUST, 1 + TRUST) * gain).sum() / count
            astray = sum(weight * part / count for weight, part in zip(GUIDE, astray, strict=False))
            (DUE * (missed - kept) + astray).backward()
            with torch.no_grad():
                found = {"due": missed, "astray": astray, "clipped": ((ratio - 1).abs() > TRUST).float().sum() / count,
                         "entropy": -(likely.exp() * likely).sum() / count}
            sums = {name: sums.get(name, 0.0) + value.detach() for name, value in found.items()}
        return sums


class Homework(Dataset):
    """Of each step the tasks that are asked, and pages of true speech for its updates, drawn by (seed, step)."""

    def __init__(self, v: Vocabulary, tasks: Tasks, portion: Portion, seed: int):
        self.v, self.tasks, self.portion, self.seed = v, tasks, portion, seed

    def __getitem__(self, step: int) -> tuple[list[Task], list[Page]]:
        random, portion = np.random.default_rng((self.seed, step)), self.portion
        pages = drawn(self.v, self.tasks.spoken, random, portion.updates * portion.true // 2, portion.updates, LONGEST)
        return [self.tasks.draw(random) for _ in range(portion.texts)], [page(batch, self.v) for batch in pages]


def practise(corpus: Path, codec: Path, model: Path, work: Path, steps: int, rate: float | None, reader_steps: int, seed: int,
             threads: int, workers: int, device: str, check_every: int, exams: int) -> None:
    portion = PORTIONS[device]
    rate, updates = rate or portion.rate, portion.updates
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")
    work.mkdir(parents=True, exist_ok=True)
    config, weights = read_config(model).llm, model / "LLM" / "model.safetensors"
    v = Vocabulary(model / "LLM" / "tokenizer.json", config.eos_token_id, config.vocab_size)
    recordings = known(corpus, codec)
    loss_mask, phones, codes = recordings.loss_mask, Phones(recordings.spoken), v.bicodec_semantic.count
    tasks, unseen = (Tasks(v, phones, part, LONGEST, recordings.rows) for part in (loss_mask, recordings.held))
    exam = {kind: [unseen.draw(np.random.default_rng((seed, n)), kind) for n in range(exams)] for kind in Tasks.KINDS}
    homework = Homework(v, tasks, portion, seed)
    table = phones.table(loss_mask, codes)
    manner = Manner(torch.tensor([*v.bicodec_semantic.ids(), v.end_semantic_token, v.end], device=device), 2)
    judge = Judge(reader_of(work, phones, loss_mask, codes, reader_steps, device), table, manner, workers)
    net, mean = (Qwen2.read(weights, config).to(device) for _ in range(2))
    pupil, lesson = Pupil(net, v, manner, table, portion.tokens), Lesson(net)
    optimizer = torch.optim.AdamW(net.parameters(), rate, betas=(0.9, 0.98), weight_decay=0.0)
    done = load(work, "practice", net=net, mean=mean, optimizer=optimizer)

    def check(step: int) -> None:
        found = {kind: judge.attempts(mean, asked, 1) for kind, asked in exam.items()}
        note(work, {"step": step, **{f"{kind}, held out": round(error_rate(some), 4) for kind, some in found.items()},
                    **{f"{kind}, lost": round(float(np.mean([t.lost > 0.3 for t in some])), 4) for kind, some in found.items()},
                    "unfit": round(float(np.mean([t.unfit for some in found.values() for t in some])), 4)}, "practice")
    if not done:
        check(0)
    loader = DataLoader(homework, None, sampler=range(done, steps), num_workers=workers // 4, collate_fn=lambda item: item)
    for step, (asked, pages) in enumerate(loader, done):
        began = time.monotonic()
        found = judge.attempts(net, [task for task in asked for _ in range(portion.tries)], seed * 1_000_003 + step)
        spoke = time.monotonic()
        shape = portion.texts, portion.tries
        unfit, lost = (np.array([getattr(t, name) for t in found]).reshape(shape) for name in ("unfit", "lost"))
        price = LENGTH * unfit + WRONG * lost
        worth = (price.mean(1, keepdims=True) - price).reshape(-1)
        worst = np.argsort(-(lost + unfit).reshape(-1) - np.abs(worth), kind="stable")[:updates * portion.rows]
        order = np.random.default_rng((seed, step)).permutation(worst).reshape(updates, portion.rows)
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 5) * (0.1 + 0.9 * (1 - step / steps))
        sums: dict[str, Tensor] = {}
        for part, one in zip(order, pages, strict=True):
            optimizer.zero_grad()
            losses = pupil.learn([found[k] for k in part], worth[part].tolist()) | lesson(one)
            losses["norm"] = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(list(mean.parameters()), list(net.parameters()), 1 - portion.kept)
            sums = {name: sums.get(name, 0.0) + value / updates for name, value in losses.items()}
        line = {name: float(value) for name, value in sums.items()}
        line |= {"wrong": error_rate(found), "unfit": float(unfit.mean()), "speaking": spoke - began,
                 "s": time.monotonic() - began}
        note(work, {"step": step + 1, **{name: round(value, 4) for name, value in line.items()}}, "practice")
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save(work, step + 1, "practice", net=net, mean=mean, optimizer=optimizer)
        if (step + 1) % check_every == 0 or step + 1 == steps:
            check(step + 1)
            write(model, work / "model", mean)


def reader_of(work: Path, phones: Phones, loss_mask: list[AlignedRecording], codes: int, steps: int, device: str) -> Reader:
    path, reader = work / "reader.pt", Reader(codes, phones.pause).to(device)
    if not path.exists():
        made = train_reader([np.array(one.semantic_ids) for one in loss_mask], [phones.said(one) for one in loss_mask], codes,
                            phones.pause, steps, 1, device)
        torch.save(made.state_dict(), path)
    reader.load_state_dict(torch.load(path, weights_only=True, map_location=device))
    return reader.eval().requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corpus", "codec", "model", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rate", type=float, help="instead of the device's")
    parser.add_argument("--reader_steps", type=int, default=1000, help="of the network that reads phones off ids")
    parser.add_argument("--check_every", type=int, default=20)
    parser.add_argument("--exams", type=int, default=120, help="tasks of each kind at a check")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=0, help="processes that draw tasks and compare phones")
    parser.add_argument("--device", choices=PORTIONS, default="cpu")
    practise(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
