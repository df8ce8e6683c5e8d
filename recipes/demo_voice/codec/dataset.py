"""The corpus in memory, and what its 50 Hz frames sound like: the generator's first input and the prenet's target.

A frame of 320 samples is described by 164 numbers: 80 log mels, log pitch and voicing at each of its halves. Two more
tell how the pitch turns (phase.py).
"""

from __future__ import annotations

import json
import math
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy.signal import fftconvolve, firwin, hilbert
from torch import Tensor

from sparktts_ms.audio.pitch import pitch_track

RATE, HOP, HALF = 16000, 320, 160
MELS, FFT, WINDOW = 80, 1024, 480
FEATURES = 2 * (MELS + 2)
RAMP, BASE = FEATURES, FEATURES + 1     # the two numbers behind them tell how the pitch turns (phase.py)
FLOOR = 1e-3            # of a mel magnitude, before its logarithm
MIDDLE = np.log(130.0)  # Hz, where log pitch is 0
HIGH = 145.0            # Hz of a voice's median, above which its base is 4 periods a frame
SURE = 0.2              # periods by which the phase may contradict the pitch


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


def turns(x: np.ndarray) -> np.ndarray:
    """Samples [N] -> float32 [N // 320, 3]: ramp and base in the middle of each frame, and the ramp's increase to the next frame,
    NaN where that is not known. The phase is that of the fundamental; where there is none, the ramp is a straight line."""
    frames = len(x) // HOP
    made = np.full((frames, 3), (0, 2, np.nan), np.float32)
    pitch = pitch_track(np.pad(x, (320, 960)))[1:2 * frames:2]      # in the middle of each frame
    if not pitch.any():
        return made
    middle = float(np.median(pitch[pitch > 0]))
    made[:, 1] = base = 4 if middle > HIGH else 2
    band = firwin(801, [0.55 * middle, min(1.6 * middle, 400)], pass_zero=False, fs=RATE)
    phase = np.unwrap(np.angle(hilbert(fftconvolve(x, band, "same")))) / (2 * math.pi)
    centre = np.arange(frames) * HOP + HOP // 2
    at = (phase[centre - 1] + phase[centre]) / 2
    expected = (pitch[1:] + pitch[:-1]) / 2 * HOP / RATE
    turn = at[1:] - at[:-1]
    turn += np.round(expected - turn)
    sure = (pitch[1:] > 0) & (pitch[:-1] > 0) & (np.abs(turn - expected) < SURE)
    made[:-1, 2][sure] = (turn - base)[sure]
    known = np.append(sure, False) | np.append(False, sure)
    for t in np.flatnonzero(known):
        made[t, 0] = made[t - 1, 0] + turn[t - 1] - base if t and sure[t - 1] else (at[t] + 0.5) % 1 - 0.5
    if known.any():
        made[:, 0] = np.interp(np.arange(frames), np.flatnonzero(known), made[known, 0])
    return made


def _read(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = soundfile.read(path, dtype="int16")[0]
    x = x[:len(x) // HOP * HOP]
    return x, describe(x / 32768.0), turns(x / 32768.0)


class Corpus:
    """All utterances end to end: samples int16 [S], features float16 [S / 320, 164], turns float32 [S / 320, 3]; utterance n has
    the frames from start[n] to start[n + 1]."""

    PARTS = ("samples", "features", "turns")

    def __init__(self, folder: Path, part: str = "manifest"):
        self.lines = [json.loads(line) for line in (folder / f"{part}.jsonl").read_text().splitlines()]
        self.cache = folder / f"{part}.features"
        if not (self.cache / "done").exists():
            self.prepare(folder)
        self.samples, self.features, self.turns, self.start = (np.load(self.cache / f"{name}.npy", mmap_mode="r")
                                                               for name in (*self.PARTS, "start"))

    def prepare(self, folder: Path) -> None:
        self.cache.mkdir(exist_ok=True)
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            read = list(pool.map(_read, [str(folder / line["audio"]) for line in self.lines], chunksize=32))
        for name, parts in zip(self.PARTS, zip(*read, strict=True), strict=True):
            np.save(self.cache / f"{name}.npy", np.concatenate(parts))
        np.save(self.cache / "start.npy", np.cumsum([0, *(len(y) for _, y, _ in read)]))
        (self.cache / "done").touch()

    def __len__(self) -> int:
        return len(self.lines)

    def frames(self, n: int) -> int:
        return int(self.start[n + 1] - self.start[n])

    def span(self, n: int, first: int, frames: int | None) -> slice:
        begin = int(self.start[n]) + first
        return slice(begin, int(self.start[n + 1]) if frames is None else begin + frames)

    def wave(self, n: int, first: int = 0, frames: int | None = None) -> Tensor:
        """Samples of `frames` frames of utterance n from frame `first` on."""
        span = self.span(n, first, frames)
        return torch.from_numpy(self.samples[span.start * HOP:span.stop * HOP].astype(np.float32)) / 32768

    def described(self, n: int, first: int = 0, frames: int | None = None) -> Tensor:
        return torch.from_numpy(self.features[self.span(n, first, frames)].astype(np.float32))

    def turning(self, n: int, first: int = 0, frames: int | None = None) -> Tensor:
        """How the pitch turns [frames, 3]: ramp, base, and the ramp's increase."""
        return torch.from_numpy(self.turns[self.span(n, first, frames)].copy())
