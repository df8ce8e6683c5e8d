"""The corpus in memory, and what its 50 Hz frames sound like: the generator's first input and the prenet's target.

A frame of 320 samples is described by 164 numbers: 80 log mels, log pitch and voicing at each of its halves.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

from sparktts_ms.audio.pitch import pitch_track

RATE, HOP, HALF = 16000, 320, 160
MELS, FFT, WINDOW = 80, 1024, 480
FEATURES = 2 * (MELS + 2)
FLOOR = 1e-3            # of a mel magnitude, before its logarithm
MIDDLE = np.log(130.0)  # Hz, where log pitch is 0


def mel_filters(mels: int, fft: int, low: float = 40.0, high: float = 8000.0) -> np.ndarray:
    """Triangles [mels, fft // 2 + 1] on the HTK scale, each of sum 1."""
    def mel(f):
        return 2595 * np.log10(1 + f / 700)
    edges = 700 * (10 ** (np.linspace(mel(low), mel(high), mels + 2) / 2595) - 1)
    bins = np.linspace(0, RATE / 2, fft // 2 + 1)[None]
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rise, fall))
    for row, middle in zip(filters, edges[1:-1], strict=True):       # a triangle may lie between two bins
        if not row.any():
            row[np.abs(bins[0] - middle).argmin()] = 1
    return (filters / filters.sum(1, keepdims=True)).astype(np.float32)


def describe(x: np.ndarray) -> np.ndarray:
    """Samples [N] -> float16 [N // 320, 164]."""
    frames = len(x) // HOP
    halves = 2 * frames
    padded = np.pad(x[:frames * HOP].astype(np.float32), FFT // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, FFT)[HALF // 2::HALF][:halves]
    window = np.pad(np.hanning(WINDOW + 1)[:-1], (FFT - WINDOW) // 2).astype(np.float32)
    magnitude = np.abs(np.fft.rfft(windows * window)).astype(np.float32) / window.sum() * 2
    mels = np.log(magnitude @ mel_filters(MELS, FFT).T + FLOOR)
    pitch = pitch_track(np.pad(x, (240, 720)))[:halves]
    voiced = pitch > 0
    heights = np.log(np.where(voiced, pitch, 130.0)) - MIDDLE
    if voiced.any():        # through voiceless stretches, a straight line
        heights = np.interp(np.arange(halves), np.flatnonzero(voiced), heights[voiced])
    y = np.concatenate([(mels + 3.5) / 2, 2 * heights[:, None], 2 * voiced[:, None] - 1.0], 1)
    return y.reshape(frames, FEATURES).astype(np.float16)


def _read(path: str) -> tuple[np.ndarray, np.ndarray]:
    x = soundfile.read(path, dtype="int16")[0]
    x = x[:len(x) // HOP * HOP]
    return x, describe(x / 32768.0)


class Corpus:
    """All utterances end to end: samples int16 [S], features float16 [S / 320, 164]; utterance n has the frames from
    start[n] to start[n + 1]."""

    def __init__(self, folder: Path, part: str = "manifest"):
        self.lines = [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]
        self.cache = folder / f"{part}.features"
        if not (self.cache / "done").exists():
            self.prepare(folder)
        self.samples, self.features, self.start = (np.load(self.cache / f"{name}.npy", mmap_mode="r")
                                                   for name in ("samples", "features", "start"))

    def prepare(self, folder: Path) -> None:
        self.cache.mkdir(exist_ok=True)
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            pairs = list(pool.map(_read, [str(folder / line["audio"]) for line in self.lines], chunksize=32))
        np.save(self.cache / "samples.npy", np.concatenate([x for x, _ in pairs]))
        np.save(self.cache / "features.npy", np.concatenate([y for _, y in pairs]))
        np.save(self.cache / "start.npy", np.cumsum([0, *(len(y) for _, y in pairs)]))
        (self.cache / "done").touch()

    def __len__(self) -> int:
        return len(self.lines)

    def frames(self, n: int) -> int:
        return int(self.start[n + 1] - self.start[n])

    def wave(self, n: int, first: int = 0, frames: int | None = None) -> Tensor:
        """Samples of `frames` frames of utterance n from frame `first` on."""
        begin = int(self.start[n]) + first
        end = int(self.start[n + 1]) if frames is None else begin + frames
        return torch.from_numpy(self.samples[begin * HOP:end * HOP].astype(np.float32)) / 32768

    def described(self, n: int, first: int = 0, frames: int | None = None) -> Tensor:
        begin = int(self.start[n]) + first
        end = int(self.start[n + 1]) if frames is None else begin + frames
        return torch.from_numpy(self.features[begin:end].astype(np.float32))
