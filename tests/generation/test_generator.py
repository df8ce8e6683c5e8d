"""Generator: attributes and voices in prompts and in what is generated."""

import numpy as np
import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.generation.attributes import Style
from sparktts_ms.voice import Voice
from tests.helpers import fixed_length

VOICE = Voice(np.random.default_rng(5).integers(0, 4096, 32))


@pytest.fixture(scope="module")
def tts(shared_tts):
    return shared_tts()


@pytest.mark.parametrize("pitch, speed, level", [(100.0, 3.0, 1), (300, 6, 4)])
def test_numeric_attributes_fix_their_tokens(tts, pitch, speed, level):
    v = tts.vocabulary
    prompt, _ = tts.generator.prompt("Any.", None, Style("male", pitch, speed))
    assert v.pitch_label[level] in prompt.tolist()
    speech = tts.synthesize("Any.", gender="male", pitch=pitch, speed=speed,
                            sampling=fixed_length(1, 90))
    mel = int(2595 * np.log10(1 + pitch / 700))
    assert v.pitch_value.values(speech.generated_ids).tolist() == [mel]
    assert v.speed_value.values(speech.generated_ids).tolist() == [int(speed)]


def test_cloned_voice_takes_levels_only(tts):
    v = tts.vocabulary
    prompt, _ = tts.generator.prompt("Any.", VOICE, Style(None, "high", "very_low"))
    start = prompt.tolist().index(v.end_content) + 1
    labels = [v.start_style_label, v.pitch_label[3], v.speed_label[0], v.end_style_label]
    assert prompt[start:start + 4].tolist() == labels
    assert tts.synthesize("Any.", VOICE, pitch="high", sampling=fixed_length(1)).seconds > 1
    with pytest.raises(InputError, match="gender") as error:
        tts.synthesize("Any.", VOICE, pitch=150)
    assert error.value.code == "number_needs_gender"
