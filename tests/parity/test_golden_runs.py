"""Complete runs, from recording and text to ids and samples, against the public implementation.

In graph mode, on the same checkpoint, with the CPU kernels and with MindSpore's operators.
"""

import functools
import json

import numpy as np
import pytest

from sparktts_ms import Sampling
from sparktts_ms.bicodec.speaker import FiniteScalarQuantizer
from sparktts_ms.generation.attributes import Style
from sparktts_ms.generation.prompt import clone_prompt, style_prompt
from tests.helpers import SingleSequence, assert_close, probabilities

RECORDINGS = {"codec_16k_3s": "p16k_mono_3s.wav", "codec_24k_0s5": "p24k_mono_0s5.wav",
              "codec_44k_9s": "p44k_stereo_9s.wav"}
GREEDY = ("clone_no_text", "clone_prompt_text", "clone_short_prompt", "control_female",
          "control_male")
SAMPLED = ("sample_clone", "sample_control")
BOTH_FORMS = ("clone_prompt_text", "control_female")
GREEDY_RUNS = tuple(
    pytest.param(run, marks=pytest.mark.both_forms) if run in BOTH_FORMS else run for run in GREEDY)
close = functools.partial(assert_close, tolerance=1e-4)


@pytest.fixture(scope="module")
def tts(shared_tts, form):
    return shared_tts()


def load_run(tts, golden, run):
    """The golden arrays of a run, its text, and its voice or style."""
    arrays = np.load(golden / f"tts_{run}.npz")
    call = json.loads(str(arrays["args"]))
    voice = None
    if "wav" in call:
        voice = tts.encode_voice(golden / "wavs" / call["wav"], call.get("prompt_text"))
    style = {key: call[key] for key in ("gender", "pitch", "speed") if key in call}
    return arrays, call["text"], voice, style


@pytest.mark.parametrize("name", RECORDINGS)
def test_encode_voice(tts, golden, name):
    arrays = np.load(golden / f"{name}.npz")
    voice = tts.encode_voice(golden / "wavs" / RECORDINGS[name], "a transcript")
    np.testing.assert_array_equal(voice.global_ids, arrays["global_ids"])
    np.testing.assert_array_equal(voice.semantic_ids, arrays["semantic_ids"])


@pytest.mark.parametrize("name", RECORDINGS)
def test_decode(tts, golden, name):
    arrays = np.load(golden / f"{name}.npz")
    samples = tts.decode(global_ids=arrays["global_ids"], semantic_ids=arrays["semantic_ids"])
    if "dec.wav" in arrays:
        close(samples, arrays["dec.wav"])
    else:
        assert len(samples) == arrays["dec.wav_len"]
        close(samples[:16000], arrays["dec.wav_head"])
        close(samples[-8000:], arrays["dec.wav_tail"])


def test_decode_of_one_token_and_many_voices(tts, golden):
    arrays = np.load(golden / "decode_batch.npz")
    rows = zip(arrays["semantic"], arrays["global"], arrays["wav"], strict=True)
    for semantic_ids, global_ids, expected in rows:
        close(tts.decode(global_ids=global_ids, semantic_ids=semantic_ids), expected)
    samples = tts.decode(global_ids=arrays["global"][0], semantic_ids=arrays["semantic"][0, :1])
    close(samples, arrays["one_token_wav"])


@pytest.mark.parametrize("run", GREEDY + SAMPLED)
def test_prompt(tts, golden, run):
    arrays, text, voice, style = load_run(tts, golden, run)
    if voice is None:
        prompt = style_prompt(tts.vocabulary, text, Style(**style))
    else:
        prompt = clone_prompt(tts.vocabulary, text, voice.global_ids, voice.transcript,
                              voice.semantic_ids)
    np.testing.assert_array_equal(prompt, arrays["input_ids"])


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("run", GREEDY_RUNS)
def test_greedy_run(tts, golden, run, constrained):
    arrays, text, voice, style = load_run(tts, golden, run)
    sampling = Sampling(temperature=0, constrained=constrained)
    speech = tts.synthesize(text, voice, **style, sampling=sampling, normalize=False)
    np.testing.assert_array_equal(speech.generated_ids, arrays["generated_ids"])
    np.testing.assert_array_equal(speech.semantic_ids, arrays["semantic_ids"])
    np.testing.assert_array_equal(speech.global_ids, arrays["global_ids"])
    close(speech.samples, arrays["wav"])
    assert speech.complete


@pytest.mark.parametrize("run", GREEDY + SAMPLED)
def test_logits(tts, golden, run):
    """The logits of the prompt, then of the first steps with the golden ids."""
    arrays = np.load(golden / f"tts_{run}.npz")
    prompt = arrays["input_ids"]
    sequence = SingleSequence(tts.llm, tts.llm.head(np.arange(tts.config.llm.vocab_size)))
    logits = sequence.prefill(prompt).astype(np.float64)
    largest = logits.max(-1, keepdims=True)
    close(largest[:, 0], arrays["prefill.all_max"][:-1])
    np.testing.assert_array_equal(logits.argmax(-1), arrays["prefill.all_argmax"][:-1])
    log_sum_exp = np.log(np.exp(logits - largest).sum(-1)) + largest[:, 0]
    close(log_sum_exp, arrays["prefill.all_lse"][:-1])
    token = int(prompt[-1])
    for step, following in enumerate(arrays["generated_ids"][:8]):
        logits = sequence.decode_step(token)
        close(logits[arrays["steps.top_ids"][step]], arrays["steps.top_logits"][step])
        if run in SAMPLED:
            ids = arrays["steps.warped_ids"][step]
            expected = np.zeros(len(logits))
            expected[ids[ids >= 0]] = arrays["steps.warped_probs"][step][ids >= 0]
            actual = probabilities(logits, Sampling())
            np.testing.assert_array_equal(np.flatnonzero(actual), np.flatnonzero(expected))
            close(actual, expected)
        token = int(following)


def test_sampling_distribution(golden):
    arrays = np.load(golden / "sampler.npz")
    rows = [0, 1, 3, 4]                 # row 2 is all ties, whose order is not defined
    for name in arrays.files:
        if not name.startswith("probs_"):
            continue
        temperature, top_k, top_p = (float(part[1:]) for part in name.split("_")[1:])
        sampling = Sampling(temperature, int(top_k), top_p)
        for logits, expected in zip(arrays["logits"][rows], arrays[name][rows], strict=True):
            close(probabilities(logits, sampling), expected)


def test_finite_scalar_quantizer(tts, golden):
    arrays = np.load(golden / "quantizers.npz")
    quantizer = FiniteScalarQuantizer(tts.config.bicodec.speaker_encoder.fsq_levels)
    close(quantizer.bound(arrays["fsq.in"]), arrays["fsq.bound"])
    np.testing.assert_array_equal(quantizer.quantize(arrays["fsq.in"]), arrays["fsq.indices"])
    codes = quantizer.dequantize(np.arange(70))
    np.testing.assert_array_equal(codes, arrays["fsq.codebook_first_70"])
    codes = quantizer.dequantize(arrays["fsq.indices"])
    np.testing.assert_array_equal(codes, arrays["fsq.codes"])


def test_tokenizer(tts, golden):
    cases = json.loads((golden / "tokenizer.json").read_text(encoding="utf-8"))["cases"]
    added = tts.vocabulary.end - 2                      # the first added token
    plain = [case for case in cases if max(case["ids"], default=0) < added]
    assert len(plain) > 10
    for case in plain:
        assert tts.vocabulary.encode(case["text"]) == case["ids"], case["text"]


def test_special_tokens_in_a_text_are_escaped(tts, golden):
    cases = json.loads((golden / "tokenizer.json").read_text(encoding="utf-8"))["cases"]
    texts = [case["text"] for case in cases if "<|" in case["text"]]
    assert texts
    for text in [*texts, "a<|end_content|><|bicodec_semantic_7|>b<|im_end|>"]:
        ids = tts.vocabulary.encode(text)
        assert max(ids) < tts.vocabulary.end - 2        # no added token
        assert tts.vocabulary.plain.decode(ids) == text
