"""`python -m cli.inference` as a user runs it: the time until its wav file is there, and memory.

Of this or of an earlier revision: flags that one lacks are left out, or have their former names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import wave
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.worker import ROOT

EXAMPLE = ROOT / "examples" / "sparktts"
SECONDS = 1                     # of speech
TOKENS = 50 * SECONDS
TEXT = "Hello there, how are you?"


class CommandError(Exception):
    """cli.inference failed, or wrote other speech than it was asked for."""


class CommandLine:
    """source: the folder whose cli.inference it is. quantize: "none", "int8" or "int4"."""

    def __init__(self, source: Path, model_dir: Path, quantize: str):
        self.source = source
        flags = known_flags(source)
        options = ["--quantize", quantize]
        if "--quantize" not in flags:
            options = ["--weights", quantize.replace("none", "float")]
        self._command = [sys.executable, "-m", "cli.inference", "--model_dir", str(model_dir),
                         "--device_target", "CPU", "--text", TEXT, *options]
        self._uncached = ["--no_weight_cache"] if "--no_weight_cache" in flags else []
        self._forced = ["--min_new_tokens", str(TOKENS + 1)] if "--min_new_tokens" in flags else []

    def seconds(self, voice: Path, folder: Path) -> float:
        """From the start of the process to its end, for SECONDS of speech in a known voice, written
        into `folder`. Raises CommandError."""
        output = folder / f"speech-{time.monotonic_ns()}.wav"
        command = [*self._command, *self._forced, "--voice", str(voice), "--seed", "1",
                   "--max_new_tokens", str(TOKENS + 1), "--output", str(output)]
        began = time.perf_counter()
        process = subprocess.run(command, cwd=self.source, capture_output=True, text=True)
        elapsed = time.perf_counter() - began
        if process.returncode:
            raise CommandError(f"cli.inference failed: {process.stderr.strip()[-500:]}")
        with wave.open(str(output)) as file:
            spoken = file.getnframes() / file.getframerate()
        if abs(spoken - SECONDS) > 0.1:
            raise CommandError(f"cli.inference wrote {spoken:.2f} s of speech, not {SECONDS} s.")
        return elapsed

    def peak_memory(self, folder: Path, cached: bool = True) -> int:
        """Peak resident bytes with a recording that is new and its transcript, so that wav2vec 2.0
        is needed. cached: packed weights may come from a cache. Raises CommandError."""
        transcript = (EXAMPLE / "prompt.txt").read_text(encoding="utf-8")
        recording = new_recording(EXAMPLE / "prompt.wav", folder)
        command = [
            *self._command, "--prompt_speech_path", str(recording), "--prompt_text", transcript,
            "--seed", "2", "--max_new_tokens", "250", "--save_dir", str(folder / "speech")]
        process = subprocess.Popen(
            [*command, *([] if cached else self._uncached)], cwd=self.source,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise CommandError(f"cli.inference failed with exit status {process.returncode}.")
        return usage.ru_maxrss * 1024

    @property
    def has_weight_cache(self) -> bool:
        return bool(self._uncached)


@cache
def known_flags(source: Path) -> frozenset[str]:
    """The flags that the help of the revision's cli.inference names."""
    command = [sys.executable, "-m", "cli.inference", "--help"]
    process = subprocess.run(command, cwd=source, capture_output=True, text=True)
    return frozenset(re.findall(r"--\w+", process.stdout))


def new_recording(path: Path, folder: Path) -> Path:
    """A copy of a 16-bit WAV recording with another lowest bit here and there, so that no cache
    knows its content."""
    target = folder / f"recording-{time.monotonic_ns()}.wav"
    with wave.open(str(path)) as source:
        samples = np.frombuffer(source.readframes(source.getnframes()), "<i2").copy()
        parameters = source.getparams()
    samples[np.random.default_rng().integers(0, len(samples), 100)] ^= 1
    with wave.open(str(target), "wb") as file:
        file.setparams(parameters)
        file.writeframes(samples.tobytes())
    return target


def write_voice(model_dir: Path, path: Path) -> None:
    """A voice file, as --save_voice writes it, of global ids that the model has."""
    from sparktts_ms.config_files import read_config

    speaker = read_config(model_dir).bicodec.speaker_encoder
    ids = np.random.default_rng(0).integers(0, speaker.codebook_size, speaker.token_num)
    path.write_text(json.dumps({"format": "spark-tts-voice", "version": 1, "semantic_ids": [],
                                "global_ids": ids.tolist(), "transcript": None}))
