"""Speech is found, and what is not speech is not taken for it."""

import numpy as np
import pytest

from sparktts_ms.audio.loudness import measure_offset
from sparktts_ms.audio.voice_activity import (
    FRAME_SECONDS,
    first_speech,
    speech_probabilities,
    voice_level,
)
from tests.audio.signals import RATE, read_speech, sounds

SOUNDS = sounds(4)


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_are_not_speech(name):
    assert first_speech(speech_probabilities(SOUNDS[name])) is None


@pytest.mark.parametrize("name", SOUNDS)
def test_speech_begins_where_it_begins(name):
    samples = np.concatenate([SOUNDS[name], read_speech()])
    first = first_speech(speech_probabilities(samples))
    assert first * FRAME_SECONDS == pytest.approx(4.1, abs=0.25)


@pytest.mark.parametrize("speaker", ["awb_0", "kal16_0", "rms_0", "slt_0"])
@pytest.mark.parametrize("decibels", [0, -20, -40, -60])
def test_every_level(speaker, decibels):
    samples = 10 ** (decibels / 20) * read_speech(speaker)
    first = first_speech(speech_probabilities(samples - measure_offset(samples)))
    assert first * FRAME_SECONDS == pytest.approx(0.1, abs=0.15)


def test_a_short_sound_is_no_speech():
    """A piece of a vowel, as a cough or the click of a key would be."""
    samples = np.zeros(RATE)
    samples[8000:8000 + 1600] = read_speech()[8000:9600]
    assert first_speech(speech_probabilities(samples)) is None
    assert first_speech(speech_probabilities(np.zeros(100))) is None


def test_analysis_ends_after_enough_speech():
    samples = np.concatenate([read_speech()] * 8)
    probabilities = speech_probabilities(samples, seconds_after=3.0)
    assert 3.0 <= len(probabilities) * FRAME_SECONDS <= 4.2


def test_the_voice_is_louder_than_noise_and_crosstalk():
    speech = read_speech()
    noise = sounds(len(speech) / RATE)["white noise"]

    def level(samples):
        return voice_level(samples, speech_probabilities(samples))

    assert level(speech) > level(0.1 * speech) + 15
    assert level(speech) > level(speech + 3 * noise) + 6
    assert level(noise) == -np.inf
