"""The released sizes against the public implementation, on the generated full-size checkpoint.

It takes 4 GB and minutes, so it runs only where the checkpoint and the golden output exist:
    python tools/make_checkpoint.py FULL --size full
    SPARKTTS_FULL_MODEL=FULL SPARKTTS_FULL_GOLDEN=golden_full python -m pytest tests/parity
"""

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from sparktts_ms import Sampling, SparkTTS
from tests.helpers import assert_close

MODEL = os.environ.get("SPARKTTS_FULL_MODEL")
ARRAYS = os.environ.get("SPARKTTS_FULL_GOLDEN")
pytestmark = pytest.mark.skipif(not (MODEL and ARRAYS), reason="no full-size model")
close = functools.partial(assert_close, tolerance=1e-4)


@pytest.fixture(scope="module")
def full_tts():
    return SparkTTS.from_pretrained(MODEL, device_target="CPU")


@pytest.mark.parametrize("recording, wav", [
    ("16k_3s", "p16k_mono_3s"), ("24k_0s5", "p24k_mono_0s5")])
def test_encode_and_decode(full_tts, wavs, recording, wav):
    expected = np.load(Path(ARRAYS) / f"codec_{recording}.npz")
    voice = full_tts.encode_voice(wavs / f"{wav}.wav", "a transcript")
    np.testing.assert_array_equal(voice.global_ids, expected["global_ids"])
    np.testing.assert_array_equal(voice.semantic_ids, expected["semantic_ids"])
    samples = full_tts.decode(global_ids=voice.global_ids, semantic_ids=voice.semantic_ids)
    close(samples, expected["dec.wav"])


@pytest.mark.parametrize("run", ["clone_no_text", "clone_prompt_text", "control_female"])
@pytest.mark.parametrize("constrained", [True, False])
def test_synthesize(full_tts, wavs, run, constrained):
    expected = np.load(Path(ARRAYS) / f"tts_{run}.npz")
    call = json.loads(str(expected["args"]))
    voice = None
    if "wav" in call:
        voice = full_tts.encode_voice(wavs / call["wav"], call.get("prompt_text"))
    style = {key: call[key] for key in ("gender", "pitch", "speed") if key in call}
    sampling = Sampling(temperature=0, max_new_tokens=call["max_new"], constrained=constrained)
    speech = full_tts.synthesize(call["text"], voice, **style, sampling=sampling)
    np.testing.assert_array_equal(speech.generated_ids, expected["generated_ids"])
    close(speech.samples, expected["wav"])
