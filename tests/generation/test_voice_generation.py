"""Voices from descriptions: the ids of an utterance, without its speech."""

import numpy as np
import pytest

from sparktts_ms import Sampling, Service, VoiceDescription
from sparktts_ms.errors import InputError, ServiceClosed
from sparktts_ms.generation.voice_generation import VOICE_TEXT
from tests.helpers import fixed_length

DESCRIPTIONS = [VoiceDescription("female", seed=3), VoiceDescription("male", "low", "high", 4),
                VoiceDescription("male", 120.0, 4.0, 5)]


@pytest.fixture(scope="module")
def tts(shared_tts):
    return shared_tts()


def test_voices_are_those_of_speech_with_the_same_attributes_and_seed(tts):
    voices = tts.generate_voices(DESCRIPTIONS)
    for voice, description in zip(voices, DESCRIPTIONS, strict=True):
        speech = tts.synthesize(VOICE_TEXT, gender=description.gender, pitch=description.pitch,
                                speed=description.speed, normalize=False, split=False,
                                sampling=Sampling(seed=description.seed, max_new_tokens=60))
        np.testing.assert_array_equal(voice.global_ids, speech.global_ids)
    assert len({tuple(voice.global_ids) for voice in voices}) == len(voices)


def test_sequences_end_with_the_voice(tts, monkeypatch):
    steps = []
    step = type(tts.engine).step
    monkeypatch.setattr(type(tts.engine), "step", lambda engine: steps.append(1) or step(engine))
    assert len(tts.generate_voices(DESCRIPTIONS)) == 3
    assert len(steps) < 50 and not tts.engine.active        # 32 ids, 2 values and marks


def test_service_generates_voices_beside_its_jobs(tts):
    with Service(tts) as service:
        job = service.submit("Meanwhile.", gender="female", sampling=fixed_length(1, 100))
        voices = service.generate_voices(DESCRIPTIONS * 6)     # more than there are slots
        assert job.result(timeout=60).seconds > 1
        assert service.generate_voices([]) == []
    for voice, single in zip(voices, 6 * tts.generate_voices(DESCRIPTIONS), strict=True):
        np.testing.assert_array_equal(voice.global_ids, single.global_ids)
    with pytest.raises(ServiceClosed):
        service.generate_voices(DESCRIPTIONS)


@pytest.mark.parametrize("options, name", [
    ({"gender": None}, "gender"), ({"gender": "robot"}, "gender"),
    ({"gender": "male", "pitch": "loud"}, "pitch"), ({"gender": "male", "speed": 40.0}, "speed"),
    ({"gender": "male", "seed": -1}, "seed"), ({"gender": "male", "seed": "x"}, "seed")])
def test_descriptions_are_checked(options, name):
    with pytest.raises(InputError, match=name):
        VoiceDescription(**options)
