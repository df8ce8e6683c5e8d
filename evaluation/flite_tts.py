"""Speech of the reference synthesizer, Debian's flite, and the demonstration model's corpus.

`python -m evaluation.flite_tts CORPUS` writes four splits, CORPUS/{phrase,train,wide,eval}/*.wav,
with a .jsonl manifest each: lines for `python -m cli.finetune`, with end times of words and phones.
"wide" are rows of common words. manifest.jsonl is train and wide; plain.jsonl is train and phrase
without speakers and genders. In every other line of an aligned text numbers are written out, as
text normalization does at inference.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from evaluation.forced_alignment import PAUSE, word_ends
from evaluation.sentences import common_word_rows, phrases, sentences
from sparktts_ms.audio.loudness import normalize_volume
from sparktts_ms.files import atomic_write
from sparktts_ms.text.normalize import normalize

SAMPLE_RATE = 16000
VOICES = {"slt": "female", "rms": "male", "awb": "male", "kal16": "male"}       # and their genders
# Ranges of random factors: of the F0 by voice (flite cannot change that of rms), of the duration,
# and of a phrase's duration.
F0_SHIFT = {"slt": (0.80, 1.65), "awb": (0.70, 1.60), "kal16": (0.95, 2.15), "rms": (1.0, 1.0)}
DURATION_STRETCH = (0.62, 1.75)
PHRASE_STRETCH = (0.6, 1.0)
EDGE_SECONDS = 0.1      # of silence kept before and after speech
EVALUATION_SENTENCES = 80


def random_prosody(voice: str, rng: random.Random) -> tuple[float, float]:
    """Factors of F0 and duration, log-uniform; each is 1 in three of ten draws."""
    shift = _log_uniform(F0_SHIFT[voice], rng)
    stretch = _log_uniform(DURATION_STRETCH, rng)
    return round(shift, 3), round(stretch, 3)


def synthesize(
    text: str, voice: str, path: Path, shift: float = 1.0, stretch: float = 1.0
) -> list[tuple[str, float]]:
    """Write speech of a flite voice to `path`, volume normalized as a prompt's is.

    shift, stretch: factors of F0 and duration. Returns phones and their end times in seconds.
    """
    command = ["flite", "-voice", voice, "--setf", f"f0_shift={shift}",
               "--setf", f"duration_stretch={stretch}", "-psdur", "-t", text, "-o", str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    phones: list[tuple[str, float]] = []
    for item in output.split():
        name, end = item.split(":")
        phones.append((name, float(end)))
    samples, rate = soundfile.read(path)
    assert rate == SAMPLE_RATE
    speech_start = phones[0][1] if phones[0][0] == PAUSE else 0.0
    speech_end = phones[-2][1] if phones[-1][0] == PAUSE else phones[-1][1]
    start = max(0.0, speech_start - EDGE_SECONDS)
    samples = samples[int(start * rate):int((speech_end + EDGE_SECONDS) * rate)]
    soundfile.write(path, normalize_volume(samples), rate)
    return [(name, round(end - start, 4)) for name, end in phones]


def manifest_line(recording: dict, phones: list[tuple[str, float]], normalized: bool) -> dict:
    """A line of the manifest: the recording with `word_ends` and `phones`.

    normalized: write the numbers of its text out, unless they are spoken as other words.
    """
    text = recording["text"]
    ends = None
    if normalized:
        text = normalize(text)
        ends = word_ends(text, recording["spoken"], phones)
    if ends is None:
        text = recording["text"]
        ends = word_ends(text, recording["spoken"], phones)
    return {**recording, "text": text, "word_ends": ends, "phones": phones}


def write_split(folder: Path, split: str, seed: int, count: int, workers: int) -> None:
    """Synthesize `count` texts of a split, and its manifest."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    recordings = list(itertools.islice(_recordings(split, seed), count))

    def process(numbered: tuple[int, dict]) -> str:
        number, recording = numbered
        phones = synthesize(recording["text"], recording["speaker"], folder / recording["audio"],
                            recording["shift"], recording["stretch"])
        normalized = split != "eval" and number // len(VOICES) % 2 == 1
        return json.dumps(manifest_line(recording, phones, normalized)) + "\n"

    with ThreadPoolExecutor(workers) as pool:
        lines = list(pool.map(process, enumerate(recordings)))
    _write_text(folder / f"{split}.jsonl", "".join(lines))


def _recordings(split: str, seed: int) -> Iterator[dict]:
    """What to synthesize for a split, without end."""
    rng = random.Random(seed)
    for number, (text, spoken) in enumerate(_texts(split, seed)):
        voice = list(VOICES)[number % len(VOICES)]
        shift = stretch = 1.0
        if split != "eval":
            shift, stretch = random_prosody(voice, rng)
        if split == "phrase":
            stretch = round(rng.uniform(*PHRASE_STRETCH), 3)
        yield {"audio": f"{split}/{number:05d}.wav", "text": text, "spoken": spoken,
               "speaker": voice, "gender": VOICES[voice], "shift": shift, "stretch": stretch}


def _texts(split: str, seed: int) -> Iterator[tuple[str, str]]:
    if split == "wide":
        return common_word_rows(seed)
    if split == "phrase":
        return phrases(seed)
    return sentences(seed, evaluation=split == "eval")


def _log_uniform(bounds: tuple[float, float], rng: random.Random) -> float:
    if rng.random() < 0.3:
        return 1.0
    low, high = bounds
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path, overwrite=True) as stream:
        stream.write(text.encode())


def _without_speaker(line: str) -> str:
    recording = json.loads(line)
    return json.dumps({key: recording[key] for key in ("audio", "text", "word_ends", "phones")})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder to write")
    parser.add_argument("--sentences", type=int, default=8000, help="recordings of split train")
    parser.add_argument("--wide", type=int, default=3000, help="recordings of split wide")
    parser.add_argument("--phrases", type=int, default=8000, help="recordings of split phrase")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sizes = {"eval": EVALUATION_SENTENCES, "train": options.sentences, "wide": options.wide,
             "phrase": options.phrases}
    lines: dict[str, list[str]] = {}
    for number, (split, count) in enumerate(sizes.items()):
        write_split(options.corpus, split, options.seed + number, count, os.cpu_count() or 2)
        lines[split] = (options.corpus / f"{split}.jsonl").read_text().splitlines()
    manifest = lines["train"] + lines["wide"]
    plain = [_without_speaker(line) for line in lines["train"] + lines["phrase"]]
    _write_text(options.corpus / "manifest.jsonl", "\n".join(manifest) + "\n")
    _write_text(options.corpus / "plain.jsonl", "\n".join(plain) + "\n")
    print(f"{options.sentences} sentences, {options.wide} rows of common words and "
          f"{options.phrases} phrases in {options.corpus}")


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
