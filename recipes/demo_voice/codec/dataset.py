"""The codec's training data: waveforms, and for each frame of 20 ms acoustic and phase features.

The 164 acoustic features of a frame are 80 log mels, log pitch and voicing of each of its halves.
They are what the wave generator is pretrained on and what the prenet predicts. Two phase features
follow them (phase.py).
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

from sparktts_ms.audio.mel import triangular_filters
from sparktts_ms.audio.pitch import pitch_track

SAMPLE_RATE = 16000
HOP_LENGTH = 320                        # samples of a frame
HALF_HOP = HOP_LENGTH // 2
N_FFT = 1024
WIN_LENGTH = 480
NUM_MELS = 80
NUM_ACOUSTIC = 2 * (NUM_MELS + 2)
PHASE_OFFSET = NUM_ACOUSTIC             # channels behind the acoustic features
BASE_FREQUENCY = NUM_ACOUSTIC + 1
NUM_FEATURES = NUM_ACOUSTIC + 2
MEL_FLOOR = 1e-3                        # added to a mel magnitude before its logarithm
LOG_PITCH_CENTER = np.log(130.0)        # log Hz that is feature value 0
HIGH_PITCH = 145.0                      # Hz; above it the base frequency is 4 periods a frame
MAX_PHASE_ERROR = 0.2                   # periods by which phase and pitch may disagree


def htk_mel_filters(num_mels: int, n_fft: int, fmin: float = 40.0, fmax: float = 8000.0,
                    ) -> np.ndarray:
    """Triangles [num_mels, n_fft // 2 + 1], evenly spaced on the HTK mel scale, each of sum 1."""
    mels = np.linspace(_hertz_to_htk_mel(fmin), _hertz_to_htk_mel(fmax), num_mels + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    filters = np.ascontiguousarray(triangular_filters(SAMPLE_RATE, n_fft, corners).T)
    bins = np.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1)
    for row, center in zip(filters, corners[1:-1], strict=True):
        if not row.any():               # a narrow triangle may lie between two bins
            row[np.abs(bins - center).argmin()] = 1
    return (filters / filters.sum(1, keepdims=True)).astype(np.float32)


def _hertz_to_htk_mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)


def acoustic_features(samples: np.ndarray) -> np.ndarray:
    """Samples [N] -> float16 [N // 320, 164]."""
    num_frames = len(samples) // HOP_LENGTH
    num_halves = 2 * num_frames
    padded = np.pad(samples[:num_frames * HOP_LENGTH].astype(np.float32), N_FFT // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)
    windows = windows[HALF_HOP // 2::HALF_HOP][:num_halves]
    window = np.pad(np.hanning(WIN_LENGTH + 1)[:-1], (N_FFT - WIN_LENGTH) // 2).astype(np.float32)
    magnitude = np.abs(np.fft.rfft(windows * window)).astype(np.float32) / window.sum() * 2
    log_mels = np.log(magnitude @ htk_mel_filters(NUM_MELS, N_FFT).T + MEL_FLOOR)
    pitch = pitch_track(np.pad(samples, (240, 720)))[:num_halves]
    voiced = pitch > 0
    log_pitch = np.log(np.where(voiced, pitch, 130.0)) - LOG_PITCH_CENTER
    if voiced.any():                    # interpolated where there is no voice
        log_pitch = np.interp(np.arange(num_halves), np.flatnonzero(voiced), log_pitch[voiced])
    features = [(log_mels + 3.5) / 2, 2 * log_pitch[:, None], 2 * voiced[:, None] - 1.0]
    return np.concatenate(features, 1).reshape(num_frames, NUM_ACOUSTIC).astype(np.float16)


def phase_features(samples: np.ndarray) -> np.ndarray:
    """Samples [N] -> float32 [N // 320, 3], each in the middle of a frame.

    They are the phase offset (periods by which the fundamental is ahead of the base frequency), the
    base frequency (whole periods a frame), and the increase of the offset to the next frame, NaN
    where it is not known. Where there is no fundamental the offset is interpolated.
    """
    num_frames = len(samples) // HOP_LENGTH
    features = np.full((num_frames, 3), (0, 2, np.nan), np.float32)
    pitch = pitch_track(np.pad(samples, (320, 960)))[1:2 * num_frames:2]
    if not pitch.any():
        return features
    median = float(np.median(pitch[pitch > 0]))
    base = 4 if median > HIGH_PITCH else 2
    features[:, 1] = base
    phase = _fundamental_phase(samples, median, num_frames)
    expected = (pitch[1:] + pitch[:-1]) / 2 * HOP_LENGTH / SAMPLE_RATE
    advance = phase[1:] - phase[:-1]
    advance += np.round(expected - advance)
    reliable = (pitch[1:] > 0) & (pitch[:-1] > 0) & (np.abs(advance - expected) < MAX_PHASE_ERROR)
    features[:-1, 2][reliable] = (advance - base)[reliable]
    known = np.append(reliable, False) | np.append(False, reliable)
    for t in np.flatnonzero(known):
        if t and reliable[t - 1]:
            features[t, 0] = features[t - 1, 0] + advance[t - 1] - base
        else:
            features[t, 0] = (phase[t] + 0.5) % 1 - 0.5
    if known.any():
        indices = np.flatnonzero(known)
        features[:, 0] = np.interp(np.arange(num_frames), indices, features[known, 0])
    return features


def _fundamental_phase(samples: np.ndarray, pitch: float, num_frames: int) -> np.ndarray:
    """Phase [T] of the fundamental around `pitch` Hz in the middle of each frame, in periods."""
    band = [0.55 * pitch, min(1.6 * pitch, 400)]
    bandpass = firwin(801, band, pass_zero=False, fs=SAMPLE_RATE)
    analytic = hilbert(fftconvolve(samples, bandpass, "same"))
    phase = np.unwrap(np.angle(analytic)) / (2 * math.pi)
    center = np.arange(num_frames) * HOP_LENGTH + HOP_LENGTH // 2
    return (phase[center - 1] + phase[center]) / 2


def _extract(path: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    samples = soundfile.read(path, dtype="int16")[0]
    samples = samples[:len(samples) // HOP_LENGTH * HOP_LENGTH]
    scaled = samples / 32768.0
    return samples, acoustic_features(scaled), phase_features(scaled)


class Corpus:
    """All utterances of a manifest end to end, those of utterance n from start[n] to start[n + 1].

    samples: int16 [320 T]; acoustic: float16 [T, 164]; phase: float32 [T, 3]. They are computed
    once and cached in FOLDER/manifest.features.
    """

    def __init__(self, folder: Path):
        text = (folder / "manifest.jsonl").read_text()
        self.entries = [json.loads(line) for line in text.splitlines()]
        cache = folder / "manifest.features"
        if not (cache / "done").exists():
            self._extract_features(folder, cache)
        self.samples = np.load(cache / "samples.npy", mmap_mode="r")
        self.acoustic = np.load(cache / "acoustic.npy", mmap_mode="r")
        self.phase = np.load(cache / "phase.npy", mmap_mode="r")
        self.start = np.load(cache / "start.npy")

    def _extract_features(self, folder: Path, cache: Path) -> None:
        cache.mkdir(exist_ok=True)
        paths = [str(folder / entry["audio"]) for entry in self.entries]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            extracted = list(pool.map(_extract, paths, chunksize=32))
        samples, acoustic, phase = zip(*extracted, strict=True)
        np.save(cache / "samples.npy", np.concatenate(samples))
        np.save(cache / "acoustic.npy", np.concatenate(acoustic))
        np.save(cache / "phase.npy", np.concatenate(phase))
        np.save(cache / "start.npy", np.cumsum([0, *map(len, acoustic)]))
        (cache / "done").touch()

    def __len__(self) -> int:
        return len(self.entries)

    def num_frames(self, n: int) -> int:
        return int(self.start[n + 1] - self.start[n])

    def voiced_log_pitch(self, n: int) -> np.ndarray:
        """Log pitch of the voiced frames of utterance n relative to LOG_PITCH_CENTER, float32."""
        features = self.acoustic[self.start[n]:self.start[n + 1]]
        voiced = features[:, NUM_MELS + 1] > 0
        return features[:, NUM_MELS].astype(np.float32)[voiced] / 2

    def waveform(self, n: int, first: int = 0, num_frames: int | None = None) -> Tensor:
        """Samples of `num_frames` frames of utterance n from frame `first` on, in [-1, 1)."""
        span = self._span(n, first, num_frames)
        samples = self.samples[span.start * HOP_LENGTH:span.stop * HOP_LENGTH]
        return torch.from_numpy(samples.astype(np.float32)) / 32768

    def acoustic_features(self, n: int, first: int, num_frames: int) -> Tensor:
        features = self.acoustic[self._span(n, first, num_frames)]
        return torch.from_numpy(features.astype(np.float32))

    def phase_features(self, n: int, first: int, num_frames: int) -> Tensor:
        return torch.from_numpy(self.phase[self._span(n, first, num_frames)].copy())

    def _span(self, n: int, first: int, num_frames: int | None) -> slice:
        begin = int(self.start[n]) + first
        end = int(self.start[n + 1]) if num_frames is None else begin + num_frames
        return slice(begin, end)


class PhoneLabels:
    """Which phone flite spoke when."""

    def __init__(self, corpus: Corpus):
        self.entries = corpus.entries
        names = set()
        for entry in corpus.entries:
            names.update(name for name, _ in entry["phones"])
        self.names = sorted(names)

    def __len__(self) -> int:
        return len(self.names)

    def at(self, n: int, seconds: np.ndarray) -> Tensor:
        """Indices of the phones of utterance n at these times."""
        names, ends = zip(*self.entries[n]["phones"], strict=True)
        phones = np.minimum(np.searchsorted(np.array(ends), seconds), len(names) - 1)
        return torch.tensor([self.names.index(names[k]) for k in phones])
