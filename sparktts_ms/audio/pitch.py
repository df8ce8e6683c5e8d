"""Fundamental frequency of speech: autocorrelation of each frame, divided by its window's.

Source: Boersma, "Accurate short-term analysis of the fundamental frequency" (1993). Not a library:
parselmouth is GPL, pyworld needs a C build, librosa.pyin needs numba.
"""

import numpy as np

SAMPLE_RATE = 16000
FRAME = 640                     # samples, 40 ms
HOP = 160                       # samples, 10 ms
N_FFT = 2048
MIN_PITCH = 60.0                # Hz
MAX_PITCH = 420.0               # Hz
MAX_FREQUENCY = 2000.0          # Hz; higher frequencies only blur the peaks
VOICING_THRESHOLD = 0.5         # normalised autocorrelation of a voiced frame
MIN_VOICED_LEVEL = 0.05         # of the loudest frame; a quieter frame is unvoiced
OCTAVE_COST = 0.03              # an octave lower must gain this; half the pitch fits as well as it


def pitch_track(samples: np.ndarray) -> np.ndarray:
    """Pitch in Hz for every 10 ms of samples [N] at 16 kHz, 0 where they are unvoiced.

    Shape [max(0, (N - 640) // 160 + 1)].
    """
    if len(samples) < FRAME:
        return np.zeros(0)
    window = np.hanning(FRAME + 2)[1:-1]
    window_correlation = _autocorrelation(window[None])[0]
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float64), FRAME)[::HOP]
    frames = frames - frames.mean(1, keepdims=True)
    correlation = _autocorrelation(frames * window)
    lags = np.arange(int(SAMPLE_RATE / MAX_PITCH) - 1, int(SAMPLE_RATE / MIN_PITCH) + 2)
    normalized = correlation[:, lags] / np.maximum(correlation[:, :1], 1e-12)
    normalized = normalized / (window_correlation[lags] / window_correlation[0])
    # Peaks [frames, lags], each refined by a parabola through three lags.
    left = normalized[:, :-2]
    centre = normalized[:, 1:-1]
    right = normalized[:, 2:]
    is_peak = (centre >= left) & (centre > right)
    curvature = np.minimum(left - 2 * centre + right, -1e-12)
    shift = np.where(is_peak, 0.5 * (left - right) / curvature, 0.0)
    height = np.where(is_peak, centre - 0.25 * (left - right) * shift, -np.inf)
    best = (height - OCTAVE_COST * np.log2(lags[1:-1] / lags[0])).argmax(1)
    frame = np.arange(len(frames))
    lag = lags[1:-1][best] + shift[frame, best]
    level = np.sqrt((frames * frames).mean(1))
    is_loud = level > MIN_VOICED_LEVEL * level.max()
    return np.where((height[frame, best] > VOICING_THRESHOLD) & is_loud, SAMPLE_RATE / lag, 0.0)


def median_pitch(samples: np.ndarray) -> float:
    """Median pitch in Hz of the voiced frames of samples [N] at 16 kHz; 0 if there are none."""
    track = pitch_track(samples)
    voiced = track[track > 0]
    return float(np.median(voiced)) if len(voiced) else 0.0


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    # [frames, FRAME] -> [frames, FRAME]
    power = np.square(np.abs(np.fft.rfft(frames, N_FFT)))
    power[:, int(MAX_FREQUENCY * N_FFT / SAMPLE_RATE):] = 0
    return np.fft.irfft(power)[:, :FRAME]
