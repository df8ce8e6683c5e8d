"""BiCodec: padding and windows do not change its output."""

import numpy as np
import pytest

from sparktts_ms.bicodec import codec
from sparktts_ms.bicodec.chunking import plan_windows
from tests.helpers import assert_close

RANDOM = np.random.default_rng(11)


@pytest.fixture(scope="module")
def bicodec(shared_tts, form):
    return shared_tts("pynative").codec


@pytest.mark.parametrize("frames", [1, 2, 12, 63, 64, 65, 130, 300])
def test_decode_is_independent_of_padding_and_windows(bicodec, monkeypatch, frames):
    global_ids = RANDOM.integers(0, 4096, 32)
    semantic_ids = RANDOM.integers(0, 8192, frames)
    actual = bicodec.decode(global_ids, semantic_ids)
    monkeypatch.setattr(codec, "SPEECH_FRAME_BUCKETS", (frames,))
    monkeypatch.setattr(codec, "plan_windows", lambda length, context, sizes: plan_windows(
        length, context, (frames,)))
    assert_close(actual, bicodec.decode(global_ids, semantic_ids), 2e-5)


@pytest.mark.parametrize("frames", [1, 150, 151])
def test_encode_semantic_is_independent_of_padding(bicodec, monkeypatch, frames):
    features = RANDOM.standard_normal((frames, bicodec.config.encoder.input_channels))
    features = features.astype(np.float32)
    ids = bicodec.encode_semantic(features)
    monkeypatch.setattr(codec, "PROMPT_FRAME_BUCKETS", (frames,))
    np.testing.assert_array_equal(ids, bicodec.encode_semantic(features))
