"""The grammar of an utterance, on models that would break it."""

import numpy as np
import pytest

from sparktts_ms import Sampling, SparkTTS
from sparktts_ms.errors import NoSpeech
from tests.helpers import generate_model

GREEDY = Sampling(temperature=0)


def load(folder, *flags):
    model = generate_model(folder / "model", "--size", "tiny", *flags)
    return SparkTTS.from_pretrained(model, device_target="CPU", mode="pynative")


def test_number_of_global_tokens(tmp_path):
    tts = load(tmp_path, "--n-global", "30")
    assert len(tts.synthesize("Hello.", gender="female", sampling=GREEDY).global_ids) == 32
    unconstrained = Sampling(temperature=0, constrained=False)
    with pytest.raises(NoSpeech, match="30 tokens"):
        tts.synthesize("Hello.", gender="female", sampling=unconstrained)


def test_min_new_tokens(tmp_path):
    tts = load(tmp_path, "--sem-chain", "0")        # ends before the first semantic token
    with pytest.raises(NoSpeech, match="before it spoke"):
        tts.synthesize("Hello.", gender="female", sampling=GREEDY)
    sampling = Sampling(temperature=0, min_new_tokens=60, max_new_tokens=80)
    speech = tts.synthesize("Hello.", gender="female", sampling=sampling)
    assert len(speech.samples) > 0 and np.isfinite(speech.samples).all()
