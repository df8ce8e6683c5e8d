"""The released dimensions, against the public implementation's outputs on the generated full-size checkpoint.

4 GB and minutes, so it runs only where both lie ready:
    python tools/make_checkpoint.py FULL --size full
    SPARKTTS_FULL_MODEL=FULL SPARKTTS_FULL_GOLDEN=golden_full python -m pytest tests/parity/test_full_size.py
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from sparktts_ms import Sampling, SparkTTS

MODEL, ARRAYS = os.environ.get("SPARKTTS_FULL_MODEL"), os.environ.get("SPARKTTS_FULL_GOLDEN")
pytestmark = pytest.mark.skipif(not (MODEL and ARRAYS), reason="the full-size model and its outputs are not named")


@pytest.fixture(scope="module")
def full_tts():
    return SparkTTS.from_pretrained(MODEL, device_target="CPU")


def close(actual, expected):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("recording, wav", [("16k_3s", "p16k_mono_3s"), ("24k_0s5", "p24k_mono_0s5")])
def test_a_recording_to_ids_and_back(full_tts, wavs, recording, wav):
    expected = np.load(Path(ARRAYS) / f"codec_{recording}.npz")
    voice = full_tts.encode_voice(wavs / f"{wav}.wav", "a transcript")
    np.testing.assert_array_equal(voice.global_ids, expected["global_ids"])
    np.testing.assert_array_equal(voice.semantic_ids, expected["semantic_ids"])
    close(full_tts.decode(global_ids=voice.global_ids, semantic_ids=voice.semantic_ids), expected["dec.wav"])


@pytest.mark.parametrize("run", ["clone_no_text", "clone_prompt_text", "control_female"])
@pytest.mark.parametrize("constrained", [True, False])
def test_whole_runs(full_tts, wavs, run, constrained):
    expected = np.load(Path(ARRAYS) / f"tts_{run}.npz")
    call = json.loads(str(expected["args"]))
    voice = full_tts.encode_voice(wavs / call["wav"], call.get("prompt_text")) if "wav" in call else None
    style = {key: call[key] for key in ("gender", "pitch", "speed") if key in call}
    speech = full_tts.synthesize(call["text"], voice, **style, sampling=Sampling(
        temperature=0, max_new_tokens=call["max_new"], constrained=constrained))
    np.testing.assert_array_equal(speech.generated_ids, expected["generated_ids"])
    close(speech.samples, expected["wav"])
