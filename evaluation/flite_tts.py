"""The corpus: Debian's flite reads generated sentences in four voices, at varied pitch and speed.

`python -m evaluation.flite_tts CORPUS` writes CORPUS/{phrase,train,wide,eval}/*.wav and a .jsonl for each: lines as
`python -m cli.finetune` reads them, with word ends, and the phones' beside (the codec's recipe learns from those).
manifest.jsonl is train and wide together; plain.jsonl is train and phrase, of which only the text is told. In every other line
numbers are written out, where the words are those that are spoken: so inference writes them before it speaks.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from evaluation.aligner import word_ends
from evaluation.sentences import phrases, sentences, wide_sentences
from sparktts_ms.audio.loudness import normalize_volume
from sparktts_ms.text.normalize import normalize

GENDER = {"slt": "female", "rms": "male", "awb": "male", "kal16": "male"}
SHIFTS = {"slt": (0.80, 1.65), "awb": (0.70, 1.60), "kal16": (0.95, 2.15), "rms": (1.0, 1.0)}     # flite cannot move rms
STRETCH = (0.62, 1.75)      # of the duration
BRISK = (0.6, 1.0)          # of a phrase's
EDGE = 0.1                  # seconds of silence kept before and after
RATE = 16000


def settings(voice: str, random_: random.Random) -> tuple[float, float]:
    """How much higher and how much longer than the voice's nature; half of the time not at all."""
    low, high = SHIFTS[voice]
    shift = 1.0 if random_.random() < 0.3 else math.exp(random_.uniform(math.log(low), math.log(high)))
    stretch = 1.0 if random_.random() < 0.3 else math.exp(random_.uniform(math.log(STRETCH[0]), math.log(STRETCH[1])))
    return round(shift, 3), round(stretch, 3)


def speak(text: str, voice: str, path: Path, shift: float = 1.0, stretch: float = 1.0) -> list[tuple[str, float]]:
    """Write flite's reading to `path`, its level as prompts are given; returns phones and their end times in seconds."""
    answer = subprocess.run(["flite", "-voice", voice, "--setf", f"f0_shift={shift}", "--setf", f"duration_stretch={stretch}",
                             "-psdur", "-t", text, "-o", str(path)], check=True, capture_output=True, text=True).stdout
    phones = [(name, float(end)) for name, end in (part.split(":") for part in answer.split())]
    samples, rate = soundfile.read(path)
    assert rate == RATE
    first = phones[0][1] if phones[0][0] == "pau" else 0.0
    last = phones[-2][1] if phones[-1][0] == "pau" else phones[-1][1]
    start = max(0.0, first - EDGE)
    samples = normalize_volume(samples[int(start * rate):int((last + EDGE) * rate)])
    soundfile.write(path, samples, rate)
    return [(name, round(end - start, 4)) for name, end in phones]


def written(job: dict, phones: list[tuple[str, float]], out: bool) -> dict:
    """A line of the manifest. `out`: numbers are written out, if their words are those that are spoken."""
    text = normalize(job["text"]) if out else job["text"]
    ends = word_ends(text, job["spoken"], phones)
    if ends is None:
        text, ends = job["text"], word_ends(job["text"], job["spoken"], phones)
    return {**job, "text": text, "word_ends": ends, "phones": phones}


def corpus(folder: Path, part: str, seed: int, count: int, workers: int) -> None:
    (folder / part).mkdir(parents=True, exist_ok=True)
    random_ = random.Random(seed)
    jobs = []
    source = wide_sentences(seed) if part == "wide" else phrases(seed) if part == "phrase" else sentences(seed, part == "eval")
    for n, (text, spoken) in enumerate(itertools.islice(source, count)):
        voice = list(GENDER)[n % len(GENDER)]
        shift, stretch = settings(voice, random_) if part != "eval" else (1.0, 1.0)
        if part == "phrase":
            stretch = round(random_.uniform(*BRISK), 3)
        jobs.append(dict(audio=f"{part}/{n:05d}.wav", text=text, spoken=spoken, speaker=voice, gender=GENDER[voice],
                         shift=shift, stretch=stretch))

    def work(numbered):
        number, job = numbered
        phones = speak(job["text"], job["speaker"], folder / job["audio"], job["shift"], job["stretch"])
        return written(job, phones, part != "eval" and number // len(GENDER) % 2 == 1)
    with ThreadPoolExecutor(workers) as pool:
        lines = [json.dumps(job) + "\n" for job in pool.map(work, enumerate(jobs))]
    (folder / f"{part}.jsonl.part").write_text("".join(lines))
    os.replace(folder / f"{part}.jsonl.part", folder / f"{part}.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--sentences", type=int, default=8000)
    parser.add_argument("--wide", type=int, default=3000)
    parser.add_argument("--phrases", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for n, (part, count) in enumerate((("eval", 80), ("train", options.sentences), ("wide", options.wide),
                                       ("phrase", options.phrases))):
        corpus(options.corpus, part, options.seed + n, count, os.cpu_count() or 2)
    lines = {part: (options.corpus / f"{part}.jsonl").read_text().splitlines(keepends=True)
             for part in ("train", "wide", "phrase")}
    (options.corpus / "manifest.jsonl").write_text("".join(lines["train"] + lines["wide"]))
    (options.corpus / "plain.jsonl").write_text("".join(
        json.dumps({key: line[key] for key in ("audio", "text", "word_ends", "phones")}) + "\n"
        for line in map(json.loads, lines["train"] + lines["phrase"])))
    print(f"{options.sentences} sentences, {options.wide} rows of words and {options.phrases} phrases in {options.corpus}")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
