"""Sounds for tests of recordings: speech from the test recordings, and what is not speech."""

import numpy as np
import soundfile

from tests.helpers import ROOT

RATE = 16000
RECORDINGS = ROOT / "tests" / "evaluation" / "recordings"


def read_speech(name="rms_1"):
    """A sentence, [N] at 16 kHz, with 0.1 s of silence before it."""
    return soundfile.read(RECORDINGS / f"{name}.flac")[0]


def sounds(seconds, rate=RATE):
    """What is not speech, by name, [N] each."""
    count = int(seconds * rate)
    random = np.random.default_rng(4)
    time = np.arange(count) / rate
    noise = random.standard_normal(count)
    spectrum = np.fft.rfft(noise) / np.sqrt(np.maximum(np.arange(count // 2 + 1), 1))
    pink = np.fft.irfft(spectrum, count)
    clicks = np.zeros(count)
    for position in random.integers(0, count - 200, 5):
        clicks[position:position + 160] += noise[:160] * np.exp(-np.arange(160) / 30)
    hum = np.zeros(count)
    for harmonic in range(1, 20):
        hum += 0.1 / harmonic * np.sin(2 * np.pi * 50 * harmonic * time)
    return {
        "silence": np.zeros(count),
        "white noise": 0.03 * noise,
        "pink noise": 0.1 * pink / pink.std(),
        "clicks": 0.5 * clicks,
        "hum": hum,
        "beeps": 0.3 * np.sin(2 * np.pi * 1000 * time) * (time % 1 < 0.2),
        "music": chords(count, rate),
    }


def chords(count, rate=RATE):
    """Struck chords of three notes with overtones, two a second."""
    random = np.random.default_rng(5)
    music = np.zeros(count)
    step = rate // 2
    time = np.arange(step) / rate
    for begin in range(0, count - step + 1, step):
        for note in random.choice([220, 262, 330, 392, 440, 523], 3, replace=False):
            for overtone in range(1, 6):
                tone = np.sin(2 * np.pi * note * overtone * time)
                music[begin:begin + step] += 0.08 / overtone * tone * np.exp(-3 * time)
    return music
