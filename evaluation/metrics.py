"""Simple measures of voices and of copies of speech."""

from __future__ import annotations

import numpy as np
from pystoi import stoi
from scipy.fft import dct

from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.generation.attributes import PITCH_THRESHOLDS

MEL = MelSpectrogram(16000, 1024, 400, 160, 40, 60.0, 7600.0)
CEPSTRA = slice(1, 20)
AUDIBLE = 40.0          # dB below the loudest frame that still count


def log_mel(samples: np.ndarray) -> np.ndarray:
    """[40, frames] in dB."""
    return 20 * np.log10(np.maximum(MEL(np.pad(samples, (0, max(0, 1024 - len(samples))))), 1e-5))


def timbre(samples: np.ndarray) -> np.ndarray:
    """Mean cepstrum [19] of the audible frames: the spectrum's average shape, whatever was said, without its level."""
    decibels = log_mel(samples)
    loud = decibels.mean(0) > decibels.mean(0).max() - AUDIBLE
    return dct(decibels[:, loud], axis=0, norm="ortho")[CEPSTRA].mean(1)


class Voices:
    """Known voices, each by recordings of it; tells which of them samples resemble most."""

    def __init__(self, recordings: dict[str, list[np.ndarray]]):
        self.names = list(recordings)
        features = [np.stack([timbre(x) for x in group]) for group in recordings.values()]
        self.centres = np.stack([f.mean(0) for f in features])
        self.spread = np.sqrt(np.mean([f.var(0) for f in features], 0) + 1e-6)

    def nearest(self, samples: np.ndarray) -> str:
        distance = np.square((timbre(samples) - self.centres) / self.spread).sum(1)
        return self.names[int(distance.argmin())]


def mel_distance(made: np.ndarray, true: np.ndarray) -> float:
    """Mean absolute difference in dB of two recordings of the same length, where the true one is audible."""
    n = min(len(made), len(true))
    a, b = log_mel(made[:n]), log_mel(true[:n])
    loud = b.mean(0) > b.mean(0).max() - AUDIBLE
    return float(np.abs(a - b)[:, loud].mean())


def intelligibility(made: np.ndarray, true: np.ndarray) -> float:
    """STOI (Taal et al., 2011): how well the envelopes of the true recording are kept, 0 to 1."""
    n = min(len(made), len(true))
    return float(stoi(true[:n], made[:n], 16000))


def pitch_off(made: np.ndarray, true: np.ndarray) -> float:
    """By what share of it the median pitch of a recording's copy is off."""
    return abs(median_pitch(made) / median_pitch(true) - 1)


def gender_by_pitch(hertz: float, label: int) -> str:
    """Whether a median f0 lies nearer to the female or to the male range of a pitch label (0 to 4), on a log scale."""
    return min(PITCH_THRESHOLDS, key=lambda gender: abs(np.log(max(hertz, 1.0) / centre(gender, label))))


def centre(gender: str, label: int) -> float:
    """The middle of a label's range in Hz; the two open ranges are taken as wide as their neighbours."""
    low, *_ = edges = np.log(np.array(PITCH_THRESHOLDS[gender]))
    edges = np.concatenate([[2 * low - edges[1]], edges, [2 * edges[-1] - edges[-2]]])
    return float(np.exp((edges[label] + edges[label + 1]) / 2))
