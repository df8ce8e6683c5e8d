"""The magnitude mel spectrogram that the speaker encoder hears: no logarithm, no normalisation.

Source: SPEC 4; upstream `sparktts/models/bicodec.py`, where torchaudio's MelSpectrogram computes it (power 1, Slaney).
"""

from __future__ import annotations

import math

import numpy as np

from sparktts_ms.errors import AudioError

# Slaney's scale: linear up to 1 kHz, which is mel 15, and logarithmic from there.
HERTZ_PER_MEL, KNEE_HERTZ, KNEE_MEL, LOG_STEP = 200 / 3, 1000.0, 15.0, math.log(6.4) / 27


class MelSpectrogram:
    """Turns samples into magnitudes on the mel scale. Frames are centred, the edges reflected; lengths are in samples.

    `mel_fmin` and `mel_fmax` are in Hz; `mel_fmax` None is half the sample rate.
    """

    def __init__(self, sample_rate: int, n_fft: int, win_length: int, hop_length: int, num_mels: int,
                 mel_fmin: float = 0.0, mel_fmax: float | None = None):
        self.n_fft, self.hop_length = n_fft, hop_length
        self.filters = mel_filters(sample_rate, n_fft, num_mels, mel_fmin, mel_fmax)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win_length) / win_length)
        before = (n_fft - win_length) // 2
        self.window = np.pad(hann, (before, n_fft - win_length - before))

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Samples [N] -> (num_mels, 1 + N // hop_length) float32, computed in float64.

        Raises AudioError for fewer samples than the reflection needs, n_fft / 2 + 1.
        """
        half = self.n_fft // 2
        if len(samples) <= half:
            raise AudioError(f"A spectrogram needs more than {half} samples and got {len(samples)}; record more.")
        padded = np.pad(samples.astype(np.float64), half, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[::self.hop_length]
        magnitudes = np.abs(np.fft.rfft(frames * self.window, axis=1))
        return np.ascontiguousarray((magnitudes @ self.filters).T, dtype=np.float32)


def mel_filters(sample_rate: int, n_fft: int, num_mels: int, fmin: float, fmax: float | None) -> np.ndarray:
    """Triangles [n_fft // 2 + 1, num_mels], evenly spaced on the mel scale, each of area 1 over Hz."""
    corners = mel_to_hertz(np.linspace(hertz_to_mel(fmin), hertz_to_mel(fmax or sample_rate / 2), num_mels + 2))
    low, centre, high = corners[:-2], corners[1:-1], corners[2:]
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)[:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))


def hertz_to_mel(hertz: float) -> float:
    """Slaney's mel of a frequency in Hz."""
    if hertz < KNEE_HERTZ:
        return hertz / HERTZ_PER_MEL
    return KNEE_MEL + math.log(hertz / KNEE_HERTZ) / LOG_STEP


def mel_to_hertz(mels: np.ndarray) -> np.ndarray:
    """Frequencies in Hz of Slaney's mels."""
    return np.where(mels < KNEE_MEL, mels * HERTZ_PER_MEL, KNEE_HERTZ * np.exp(LOG_STEP * (mels - KNEE_MEL)))
