"""The magnitude mel spectrogram that the speaker encoder reads: no logarithm, no normalisation. Source: SPEC 4."""

from __future__ import annotations

import math

import numpy as np

from sparktts_ms.errors import AudioError

# Slaney's scale: linear up to 1 kHz (mel 15), then logarithmic.
HERTZ_PER_MEL, KNEE_HERTZ, KNEE_MEL, LOG_STEP = 200 / 3, 1000.0, 15.0, math.log(6.4) / 27


class MelSpectrogram:
    """Samples [N] -> (num_mels, 1 + N // hop_length) float32. Frames are centred, with reflected edges."""

    def __init__(self, sample_rate: int, n_fft: int, win_length: int, hop_length: int, num_mels: int,
                 mel_fmin: float = 0.0, mel_fmax: float | None = None):
        self.n_fft, self.hop_length = n_fft, hop_length
        self.filters = mel_filters(sample_rate, n_fft, num_mels, mel_fmin, mel_fmax)
        before = (n_fft - win_length) // 2
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
        self.window = np.pad(hann, (before, n_fft - win_length - before))

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Raises AudioError for fewer samples than reflection needs (n_fft / 2 + 1)."""
        half = self.n_fft // 2
        if len(samples) <= half:
            raise AudioError(f"A spectrogram needs more than {half} samples; got {len(samples)}.")
        padded = np.pad(samples.astype(np.float64), half, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[::self.hop_length]
        magnitudes = np.abs(np.fft.rfft(frames * self.window, axis=1))
        return np.ascontiguousarray((magnitudes @ self.filters).T, dtype=np.float32)


def mel_filters(sample_rate: int, n_fft: int, num_mels: int, fmin: float, fmax: float | None) -> np.ndarray:
    """Triangles [n_fft / 2 + 1, num_mels] on the mel scale, each of area 1 in Hz."""
    corners = _hertz(np.linspace(_mel(fmin), _mel(fmax or sample_rate / 2), num_mels + 2))
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))


def _mel(hertz: float) -> float:
    if hertz < KNEE_HERTZ:
        return hertz / HERTZ_PER_MEL
    return KNEE_MEL + math.log(hertz / KNEE_HERTZ) / LOG_STEP


def _hertz(mels: np.ndarray) -> np.ndarray:
    return np.where(mels < KNEE_MEL, mels * HERTZ_PER_MEL, KNEE_HERTZ * np.exp(LOG_STEP * (mels - KNEE_MEL)))
