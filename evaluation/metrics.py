"""Objective metrics of recordings [N] at 16 kHz: speaker, mel distance, STOI, pitch."""

from __future__ import annotations

import numpy as np
import pystoi
from scipy.fft import dct

from sparktts_ms.audio.mel import MelSpectrogram
from sparktts_ms.audio.pitch import median_pitch
from sparktts_ms.generation.attributes import PITCH_THRESHOLDS

MEL = MelSpectrogram(16000, 1024, 400, 160, 40, 60.0, 7600.0)
MFCC = slice(1, 20)             # coefficients used; number 0 is the level
DYNAMIC_RANGE = 40.0            # dB: frames more than that below the loudest one are silence


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Mel spectrogram [40, T] in dB."""
    padded = np.pad(samples, (0, max(0, 1024 - len(samples))))
    return 20 * np.log10(np.maximum(MEL(padded), 1e-5))


def speech_frames(decibels: np.ndarray) -> np.ndarray:
    """Which frames [T] of a log mel spectrogram [M, T] are not silence."""
    level = decibels.mean(0)
    return level > level.max() - DYNAMIC_RANGE


def mean_mfcc(samples: np.ndarray) -> np.ndarray:
    """Mean MFCCs [19] of the frames that are not silence: the long-term spectrum without level."""
    decibels = log_mel(samples)
    voiced = decibels[:, speech_frames(decibels)]
    return dct(voiced, axis=0, norm="ortho")[MFCC].mean(1)


class SpeakerClassifier:
    """Nearest known speaker by mean MFCCs, given some recordings of each."""

    def __init__(self, recordings: dict[str, list[np.ndarray]]):
        self.names = list(recordings)
        centroids = []
        variances = []
        for group in recordings.values():
            features = np.stack([mean_mfcc(samples) for samples in group])
            centroids.append(features.mean(0))
            variances.append(features.var(0))
        self.centroids = np.stack(centroids)
        self.scale = np.sqrt(np.mean(variances, 0) + 1e-6)

    def nearest(self, samples: np.ndarray) -> str:
        """Name of the speaker that the samples resemble most."""
        distances = np.square((mean_mfcc(samples) - self.centroids) / self.scale).sum(1)
        return self.names[int(distances.argmin())]


def mel_distance(samples: np.ndarray, reference: np.ndarray) -> float:
    """Mean absolute difference of log mel spectrograms in dB, where the reference is not silent.

    Both recordings are of the same utterance and begin together.
    """
    length = min(len(samples), len(reference))
    expected = log_mel(reference[:length])
    difference = np.abs(log_mel(samples[:length]) - expected)
    return float(difference[:, speech_frames(expected)].mean())


def stoi(samples: np.ndarray, reference: np.ndarray) -> float:
    """Short-time objective intelligibility, 0 to 1 (Taal et al., 2011)."""
    length = min(len(samples), len(reference))
    return float(pystoi.stoi(reference[:length], samples[:length], 16000))


def pitch_error(samples: np.ndarray, reference: np.ndarray) -> float:
    """Relative error of the median F0."""
    return abs(median_pitch(samples) / median_pitch(reference) - 1)


def gender_by_pitch(f0: float, level: int) -> str:
    """The gender whose range for a pitch level (0 to 4) is nearer to a median F0 in Hz."""
    def distance(gender: str) -> float:
        return abs(np.log(max(f0, 1.0) / level_center(gender, level)))

    return min(PITCH_THRESHOLDS, key=distance)


def level_center(gender: str, level: int) -> float:
    """Geometric middle of a pitch level's range in Hz.

    The two open ranges are taken to be as wide as those beside them.
    """
    edges = np.log(np.array(PITCH_THRESHOLDS[gender]))
    first = 2 * edges[0] - edges[1]
    last = 2 * edges[-1] - edges[-2]
    edges = np.concatenate([[first], edges, [last]])
    return float(np.exp((edges[level] + edges[level + 1]) / 2))
