"""Magnitude mel spectrogram of the speaker encoder: no logarithm, no normalisation.

Source: upstream `sparktts/models/bicodec.py`, torchaudio's MelSpectrogram (power 1, Slaney).
"""

import math

import numpy as np

from sparktts_ms.errors import AudioError

# Slaney's mel scale: linear up to 1 kHz, which is mel 15, logarithmic above.
HERTZ_PER_MEL = 200 / 3
BREAK_HERTZ = 1000.0
BREAK_MEL = 15.0
LOG_STEP = math.log(6.4) / 27


class MelSpectrogram:
    """Samples to magnitudes on the mel scale; frames are centred, the edges reflected.

    Lengths are in samples, `mel_fmin` and `mel_fmax` in Hz; None is half the sample rate.
    """

    def __init__(self, sample_rate: int, n_fft: int, win_length: int, hop_length: int,
                 num_mels: int, mel_fmin: float = 0.0, mel_fmax: float | None = None):
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.filters = mel_filters(sample_rate, n_fft, num_mels, mel_fmin, mel_fmax)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
        before = (n_fft - win_length) // 2
        self.window = np.pad(hann, (before, n_fft - win_length - before))

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Samples [N] -> [num_mels, 1 + N // hop_length] float32, computed in float64.

        Raises AudioError for fewer samples than the reflection needs, n_fft / 2 + 1.
        """
        half = self.n_fft // 2
        if len(samples) <= half:
            problem = f"A spectrogram needs more than {half} samples and got {len(samples)}."
            raise AudioError(problem, "Record more.")
        padded = np.pad(samples.astype(np.float64), half, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)
        magnitudes = np.abs(np.fft.rfft(windows[::self.hop_length] * self.window, axis=1))
        return np.ascontiguousarray((magnitudes @ self.filters).T, dtype=np.float32)


def mel_filters(sample_rate: int, n_fft: int, num_mels: int, fmin: float,
                fmax: float | None) -> np.ndarray:
    """Triangles [n_fft // 2 + 1, num_mels], evenly spaced in Slaney's mels, of area 1 over Hz."""
    highest = hertz_to_mel(fmax or sample_rate / 2)
    corners = mel_to_hertz(np.linspace(hertz_to_mel(fmin), highest, num_mels + 2))
    return triangular_filters(sample_rate, n_fft, corners) * (2 / (corners[2:] - corners[:-2]))


def triangular_filters(sample_rate: int, n_fft: int, corners: np.ndarray) -> np.ndarray:
    """Triangles [n_fft // 2 + 1, N] of height 1 over each three of the N + 2 corners in Hz."""
    low = corners[:-2]
    centre = corners[1:-1]
    high = corners[2:]
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling))


def hertz_to_mel(hertz: float) -> float:
    """Mel of a frequency in Hz, on Slaney's scale."""
    if hertz < BREAK_HERTZ:
        return hertz / HERTZ_PER_MEL
    return BREAK_MEL + math.log(hertz / BREAK_HERTZ) / LOG_STEP


def mel_to_hertz(mels: np.ndarray) -> np.ndarray:
    """Frequencies in Hz of mels, on Slaney's scale."""
    logarithmic = BREAK_HERTZ * np.exp(LOG_STEP * (mels - BREAK_MEL))
    return np.where(mels < BREAK_MEL, mels * HERTZ_PER_MEL, logarithmic)
