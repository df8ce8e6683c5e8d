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
import json
import math
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "ALL")        # sparktts_ms would choose what MindSpore needs: no bfloat16 products

import numpy as np
import torch
from acoustics import Corpus
from due import STOP, corrected
from language import Manner, Qwen2, speak
from lessons import Lesson
from reader import Reader, padded, read
from reader import train as train_reader
from safetensors.numpy import save_file
from tasks import Phones, Task, Tasks, known
from torch import Tensor, nn

from sparktts_ms.config_files import read_config
from sparktts_ms.training.batches import Batch, stack
from sparktts_ms.training.encoded import Encoded
from sparktts_ms.training.guide import guide
from sparktts_ms.training.sequences import Sequence, sequences
from sparktts_ms.vocabulary import Vocabulary

HELD = 50               # every so manieth recording is never trained on
TEXTS, TRIES = 80, 2    # of a step: texts that are spoken, and how often each
WORST = 120             # of these tries are learnt from
ROWS, TRUE = 40, 16     # of an update: tries that are learnt from, and recordings that are imitated
KEPT = 0.98             # of the mean of the weights, at each update
TRUST = 0.2             # how far an update may move the odds of an id for the sake of the length
EVEN = 0.15             # log of a length that is as good as the teacher's
LENGTH = 2.0            # weight of what is beyond that
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
    course: np.ndarray
    wrong: int
    unfit: float


class Judge:
    """Speech as ids -> what was wrong with it."""

    def __init__(self, reader: Reader, table: np.ndarray, manner: Manner):
        self.reader, self.table, self.manner = reader, table, manner
        self.codes = len(manner.legal) - manner.stops

    def attempts(self, net: Qwen2, tasks: list[Task], seed: int) -> list[Try]:
        luck, tries = torch.Generator().manual_seed(seed), [None] * len(tasks)
        order = sorted(range(len(tasks)), key=lambda n: len(tasks[n].prompt))
        for part in (order[:len(order) // 2], order[len(order) // 2:]):
            most = [min(MOST, int(1.6 * tasks[n].frames) + 20) for n in part]
            spoken = speak(net, [tasks[n].prompt for n in part], most, self.manner, luck)
            heard = read(self.reader, [said[said < self.codes] for said, _ in spoken])
            for n, one, phones in zip(part, spoken, heard, strict=True):
                tries[n] = self.judged(tasks[n], *one, *phones)
        return tries

    def judged(self, task: Task, said: np.ndarray, odds: np.ndarray, heard: np.ndarray, over: np.ndarray) -> Try:
        ids = said[said < self.codes]
        right = corrected(task.phones, task.words, ids, heard, over, self.table)
        unfit = max(0.0, abs(math.log(max(len(ids), 1) / task.frames)) - EVEN)
        return Try(task, said, odds, right.due[:len(said)], task.followed(right.ends), right.wrong, unfit)


def error_rate(tries: list[Try]) -> float:
    return sum(t.wrong for t in tries) / sum(len(t.task.phones) for t in tries)


def packs(lengths: list[int], tokens: int = 6000) -> list[list[int]]:
    """Rows of similar length together, about `tokens` with their padding."""
    made: list[list[int]] = [[]]
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if made[-1] and (len(made[-1]) + 1) * lengths[n] > tokens:
            made.append([])
        made[-1].append(n)
    return made


class Pupil:
    """The language model while it learns."""

    def __init__(self, net: Qwen2, v: Vocabulary, manner: Manner, table: np.ndarray):
        self.net, self.vocabulary, self.manner = net, v, manner
        fits = torch.zeros(len(table) + 2, len(manner.legal))
        fits[:-2, :table.shape[1]], fits[STOP, table.shape[1]:] = torch.from_numpy(table), 1.0
        self.fits = fits            # [phones, NONE, STOP; legal]: how well each id is what is due

    def states(self, rows: list[np.ndarray], lead: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast("cpu", torch.bfloat16):
            hidden, astray = self.net(padded(rows, 0), lead=lead)
        return hidden.float(), astray

    def lead(self, rows: list[np.ndarray], tries: list[Try]) -> Tensor:
        """Where attention should have been in the text while `rows` were said."""
        ids, none = padded(rows, 0).numpy(), (None,) * len(rows)
        counts = np.zeros(ids.shape, np.float32)
        for row, one, count in zip(rows, tries, counts, strict=True):
            count[len(one.task.prompt) - 1:len(row)] = 1
        return torch.from_numpy(guide(Batch(ids, ids, counts, tuple(t.course for t in tries), none, none, none), self.vocabulary))

    def learn(self, tries: list[Try], worth: list[float]) -> dict[str, float]:
        """Gradients of what was due, and of what each try is `worth` for its length, means over ids."""
        count, sums = sum(len(t.said) for t in tries), dict.fromkeys(("due", "astray", "clipped", "entropy"), 0.0)
        lengths, legal = [len(t.task.prompt) + len(t.said) - 1 for t in tries], self.manner.legal.numpy()
        for rows in packs(lengths):
            ids = [np.concatenate([tries[n].task.prompt, legal[tries[n].said[:-1]]]) for n in rows]
            hidden, astray = self.states(ids, self.lead(ids, [tries[n] for n in rows]))
            hidden = torch.cat([hidden[k, len(tries[n].task.prompt) - 1:lengths[n]] for k, n in enumerate(rows)])
            said, odds, due = (torch.from_numpy(np.concatenate([getattr(tries[n], name) for n in rows]))
                               for name in ("said", "odds", "due"))
            gain = torch.from_numpy(np.concatenate([np.full(len(tries[n].said), worth[n], np.float32) for n in rows]))
            likely = self.manner.likely(self.net, hidden)
            missed = -((likely.exp() * self.fits[due].sum(1)).sum(-1) + 1e-4).log().sum() / count
            ratio = (likely.gather(1, said[:, None])[:, 0] - odds).exp()
            kept = torch.minimum(ratio * gain, ratio.clamp(1 - TRUST, 1 + TRUST) * gain).sum() / count
            astray = sum(weight * part / count for weight, part in zip(GUIDE, astray, strict=False))
            (DUE * (missed - kept) + astray).backward()
            sums["due"] += missed.item()
            sums["astray"] += astray.item()
            sums["clipped"] += ((ratio - 1).abs() > TRUST).float().sum().item() / count
            sums["entropy"] -= (likely.exp() * likely).sum().item() / count
        return sums


def imitated(lesson: Lesson, true: list[Sequence]) -> dict[str, float]:
    """Gradients of true speech's lesson."""
    found, parts = {}, packs([len(s.ids) - 1 for s in true])
    for part in parts:
        batch = stack([true[n] for n in part], max(len(true[n].ids) for n in part) - 1, len(part))
        for name, value in lesson(batch, share=1 / len(parts)).items():
            found[name] = found.get(name, 0.0) + value / len(parts)
    return found


def practise(corpus_folder: Path, codec: Path, model: Path, work: Path, steps: int, rate: float, reader_steps: int, seed: int,
             threads: int, check_every: int) -> None:
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    config, weights = read_config(model).llm, model / "LLM" / "model.safetensors"
    v = Vocabulary(model / "LLM" / "tokenizer.json", config.eos_token_id, config.vocab_size)
    corpus = Corpus(corpus_folder)
    spoken, lists = known(corpus, codec), {line["text"] for line in corpus.lines if line["audio"].startswith("wide")}
    learnt = [one for n, one in enumerate(spoken) if n % HELD != HELD - 1]
    held = [one for n, one in enumerate(spoken) if n % HELD == HELD - 1]
    phones, codes = Phones(spoken), v.bicodec_semantic.count
    table, reader = phones.table(learnt, codes), reader_of(work, phones, learnt, codes, reader_steps)
    manner = Manner(torch.tensor([*v.bicodec_semantic.ids(), v.end_semantic_token, v.end]), 2)
    judge, net, mean = Judge(reader, table, manner), Qwen2.read(weights, config), Qwen2.read(weights, config)
    tasks, unseen = (Tasks(v, phones, part, LONGEST, lists) for part in (learnt, held))
    pupil, lesson = Pupil(net, v, manner, table), Lesson(net, v)
    optimizer = torch.optim.AdamW(net.parameters(), rate, betas=(0.9, 0.98), weight_decay=0.0)
    exam = {kind: [unseen.draw(np.random.default_rng((seed, n)), kind) for n in range(120)] for kind in Tasks.KINDS}
    done = load(work, "practice", net=net, mean=mean, optimizer=optimizer)
    true: list[Sequence] = []

    def check(step: int) -> None:
        tries = {kind: judge.attempts(mean, asked, 1) for kind, asked in exam.items()}
        note(work, {"step": step, **{f"{kind}, held out": round(error_rate(found), 4) for kind, found in tries.items()},
                    "unfit": round(float(np.mean([t.unfit for found in tries.values() for t in found])), 4)}, "practice")
    if not done:
        check(0)
    for step in range(done, steps):
        began = time.monotonic()
        random = np.random.default_rng((seed, step))
        asked = [tasks.draw(random) for _ in range(TEXTS)]
        tries = judge.attempts(net, [task for task in asked for _ in range(TRIES)], seed * 1_000_003 + step)
        spoke = time.monotonic()
        unfit = np.array([t.unfit for t in tries]).reshape(TEXTS, TRIES)
        worth = (LENGTH * (unfit.mean(1, keepdims=True) - unfit)).reshape(-1)
        worst = np.argsort([-t.wrong / len(t.task.phones) - t.unfit for t in tries], kind="stable")[:WORST]
        order = random.permutation(worst).reshape(-1, ROWS)
        if step == done or step % 100 == 0:
            true = sequences(v, learnt, np.random.default_rng((seed, step // 100)), LONGEST)
        optimizer.param_groups[0]["lr"] = rate * min(1, (step + 1) / 5) * (0.1 + 0.9 * (1 - step / steps))
        sums: dict[str, float] = {}
        for n, part in enumerate(order, step % 100 * len(order)):
            optimizer.zero_grad()
            found = pupil.learn([tries[k] for k in part], [float(worth[k]) for k in part])
            found |= imitated(lesson, [true[(n * TRUE + k) % len(true)] for k in range(TRUE)])
            found["norm"] = float(nn.utils.clip_grad_norm_(net.parameters(), 1.0))
            optimizer.step()
            with torch.no_grad():
                for kept, new in zip(mean.parameters(), net.parameters(), strict=True):
                    kept.lerp_(new, 1 - KEPT)
            sums = {name: sums.get(name, 0.0) + value / len(order) for name, value in found.items()}
        sums |= {"wrong": error_rate(tries), "unfit": float(unfit.mean()), "speaking": spoke - began,
                 "s": time.monotonic() - began}
        note(work, {"step": step + 1, **{name: round(value, 4) for name, value in sums.items()}}, "practice")
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save(work, step + 1, "practice", net=net, mean=mean, optimizer=optimizer)
        if (step + 1) % check_every == 0 or step + 1 == steps:
            check(step + 1)
            write(model, work / "model", mean)


def save(work: Path, step: int, stage: str, **parts) -> None:
    part = work / f"{stage}.part"
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, part)
    os.replace(part, work / f"{stage}.pt")


def load(work: Path, stage: str, **parts) -> int:
    """Go on from what was saved; returns how many steps that are."""
    if not (work / f"{stage}.pt").exists():
        return 0
    state = torch.load(work / f"{stage}.pt", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"]


def note(work: Path, line: dict, stage: str) -> None:
    print(json.dumps(line), flush=True)
    with open(work / f"{stage}.log", "a") as log:
        log.write(json.dumps(line) + "\n")


def reader_of(work: Path, phones: Phones, learnt: list[Encoded], codes: int, steps: int) -> Reader:
    path, reader = work / "reader.pt", Reader(codes, phones.pause)
    if not path.exists():
        made = train_reader([np.array(one.semantic_ids) for one in learnt], [phones.said(one) for one in learnt], codes,
                            phones.pause, steps, 1)
        torch.save(made.state_dict(), path)
    reader.load_state_dict(torch.load(path, weights_only=True))
    return reader.eval().requires_grad_(False)


def write(model: Path, target: Path, net: Qwen2) -> None:
    """MODEL with the language model that was learnt, as float16."""
    if not target.exists():
        shutil.copytree(model, target)
    config, count = json.loads((model / "LLM" / "config.json").read_text()), net.sizes.num_hidden_layers
    config |= {"num_hidden_layers": count, "max_window_layers": count}
    (target / "LLM" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    part = target / "LLM" / "model.safetensors.part"
    save_file({name: w.astype(np.float16) for name, w in net.released().items()}, part, metadata={"format": "pt"})
    os.replace(part, target / "LLM" / "model.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corpus_folder", "codec", "model", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--reader_steps", type=int, default=1000, help="of the network that reads phones off ids")
    parser.add_argument("--check_every", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    practise(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
