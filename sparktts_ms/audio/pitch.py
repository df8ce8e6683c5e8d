"""The fundamental frequency of speech: autocorrelation of each frame, divided by that of its window (Boersma 1993)."""

from __future__ import annotations

import numpy as np

SAMPLE_RATE = 16000
FRAME, HOP, FFT = 640, 160, 2048        # samples: 40 ms every 10 ms
LOWEST, HIGHEST = 60.0, 420.0           # Hz
BAND = 2000.0                           # Hz; what lies above only blurs the peaks
VOICED = 0.5                            # least normalized autocorrelation of a voiced frame
AUDIBLE = 0.05                          # of the recording's peak frame level
OCTAVE_COST = 0.03                      # what an octave down must gain; halves of the true pitch fit as well as it does


def pitch_track(x: np.ndarray) -> np.ndarray:
    """Hz for every 10 ms of samples [N] at 16 kHz; 0 where nothing is voiced. Shape [max(0, (N - 640) // 160 + 1)]."""
    if len(x) < FRAME:
        return np.zeros(0)
    window = np.hanning(FRAME + 2)[1:-1]
    shape = _autocorrelation(window[None])[0]
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(x, np.float64), FRAME)[::HOP]
    frames = frames - frames.mean(1, keepdims=True)
    similar = _autocorrelation(frames * window)
    lags = np.arange(int(SAMPLE_RATE / HIGHEST) - 1, int(SAMPLE_RATE / LOWEST) + 2)
    r = similar[:, lags] / np.maximum(similar[:, :1], 1e-12) / (shape[lags] / shape[0])
    before, at, after = r[:, :-2], r[:, 1:-1], r[:, 2:]
    peaks = (at >= before) & (at > after)
    curve = np.minimum(before - 2 * at + after, -1e-12)
    shift = np.where(peaks, 0.5 * (before - after) / curve, 0.0)         # a parabola through three lags
    height = np.where(peaks, at - 0.25 * (before - after) * shift, -np.inf)
    row, best = np.arange(len(r)), (height - OCTAVE_COST * np.log2(lags[1:-1] / lags[0])).argmax(1)
    lag = lags[1:-1][best] + shift[row, best]
    level = np.sqrt((frames * frames).mean(1))
    return np.where((height[row, best] > VOICED) & (level > AUDIBLE * level.max()), SAMPLE_RATE / lag, 0.0)


def median_pitch(x: np.ndarray) -> float:
    """Median Hz of the voiced frames of samples [N] at 16 kHz; 0 if there are none."""
    track = pitch_track(x)
    return float(np.median(track[track > 0])) if (track > 0).any() else 0.0


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    power = np.square(np.abs(np.fft.rfft(frames, FFT)))
    power[:, int(BAND * FFT / SAMPLE_RATE):] = 0
    return np.fft.irfft(power)[:, :FRAME]
