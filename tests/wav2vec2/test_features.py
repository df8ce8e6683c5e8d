"""wav2vec 2.0 features: padding does not change them, nor the ids made from them."""

import numpy as np
import pytest

from sparktts_ms.bicodec import codec
from sparktts_ms.wav2vec2 import features as features_module
from tests.helpers import assert_close


@pytest.fixture(scope="module")
def tts(shared_tts, form):
    return shared_tts("pynative")


@pytest.mark.parametrize("samples", [400, 719, 720, 9000, 48080, 48081, 70000])
def test_features_are_independent_of_padding(tts, monkeypatch, samples):
    noise = 0.1 * np.random.default_rng(samples).standard_normal(samples)
    features = tts.voice_encoder.features(noise)
    monkeypatch.setattr(features_module, "PROMPT_FRAME_BUCKETS", (len(features),))
    assert_close(features, tts.voice_encoder.features(noise), 2e-5)
    ids = tts.codec.encode_semantic(features)
    monkeypatch.setattr(codec, "PROMPT_FRAME_BUCKETS", (len(features),))
    np.testing.assert_array_equal(ids, tts.codec.encode_semantic(features))
