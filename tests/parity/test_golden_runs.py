"""From recording and text to ids and samples, in graph mode, against the public implementation on the same checkpoint; with
the CPU kernels and with MindSpore's own operators."""

import json

import numpy as np
import pytest

from sparktts_ms import Sampling
from sparktts_ms.bicodec.speaker import FiniteScalarQuantizer
from sparktts_ms.generation.attributes import Style
from sparktts_ms.generation.prompt import clone_prompt, style_prompt
from tests.helpers import SingleSequence, probabilities

RECORDINGS = {"codec_16k_3s": "p16k_mono_3s.wav", "codec_24k_0s5": "p24k_mono_0s5.wav",
              "codec_44k_9s": "p44k_stereo_9s.wav"}
GREEDY = ("clone_no_text", "clone_prompt_text", "clone_short_prompt", "control_female", "control_male")
SAMPLED = ("sample_clone", "sample_control")
RUNS = tuple(pytest.param(run, marks=pytest.mark.both_forms) if run in ("clone_prompt_text", "control_female") else run
             for run in GREEDY)


@pytest.fixture(scope="module")
def spark(shared_tts, form):
    return shared_tts()


def close(actual, expected, tolerance=1e-4):
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    assert error <= tolerance, f"relative error {error:.1e}"


def request(spark, golden, run):
    """The golden arrays of a run, its text, and its voice or style."""
    arrays = np.load(golden / f"tts_{run}.npz")
    call = json.loads(str(arrays["args"]))
    voice = spark.encode_voice(golden / "wavs" / call["wav"], call.get("prompt_text")) if "wav" in call else None
    return arrays, call["text"], voice, {key: call[key] for key in ("gender", "pitch", "speed") if key in call}


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_becomes_the_same_ids(spark, golden, name):
    arrays = np.load(golden / f"{name}.npz")
    voice = spark.encode_voice(golden / "wavs" / RECORDINGS[name], "a transcript")
    np.testing.assert_array_equal(voice.global_ids, arrays["global_ids"])
    np.testing.assert_array_equal(voice.semantic_ids, arrays["semantic_ids"])


@pytest.mark.parametrize("name", RECORDINGS)
def test_ids_become_the_same_samples(spark, golden, name):
    arrays = np.load(golden / f"{name}.npz")
    samples = spark.decode(global_ids=arrays["global_ids"], semantic_ids=arrays["semantic_ids"])
    if "dec.wav" in arrays:
        close(samples, arrays["dec.wav"])
    else:
        assert len(samples) == arrays["dec.wav_len"]
        close(samples[:16000], arrays["dec.wav_head"])
        close(samples[-8000:], arrays["dec.wav_tail"])


def test_one_token_and_many_voices_become_the_same_samples(spark, golden):
    arrays = np.load(golden / "decode_batch.npz")
    for semantic_ids, global_ids, expected in zip(arrays["semantic"], arrays["global"], arrays["wav"], strict=True):
        close(spark.decode(global_ids=global_ids, semantic_ids=semantic_ids), expected)
    close(spark.decode(global_ids=arrays["global"][0], semantic_ids=arrays["semantic"][0, :1]), arrays["one_token_wav"])


@pytest.mark.parametrize("run", GREEDY + SAMPLED)
def test_the_prompt_is_the_same_ids(spark, golden, run):
    arrays, text, voice, style = request(spark, golden, run)
    prompt = (style_prompt(spark.vocabulary, text, Style(**style)) if voice is None else
              clone_prompt(spark.vocabulary, text, voice.global_ids, voice.transcript, voice.semantic_ids))
    np.testing.assert_array_equal(prompt, arrays["input_ids"])


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("run", RUNS)
def test_a_greedy_run_says_the_same(spark, golden, run, constrained):
    arrays, text, voice, style = request(spark, golden, run)
    speech = spark.synthesize(text, voice, **style, sampling=Sampling(temperature=0, constrained=constrained),
                              normalize=False)
    np.testing.assert_array_equal(speech.generated_ids, arrays["generated_ids"])
    np.testing.assert_array_equal(speech.semantic_ids, arrays["semantic_ids"])
    np.testing.assert_array_equal(speech.global_ids, arrays["global_ids"])
    close(speech.samples, arrays["wav"])
    assert speech.complete


@pytest.mark.parametrize("run", GREEDY + SAMPLED)
def test_logits_are_the_same_at_every_step(spark, golden, run):
    """The prompt's own logits, then the first steps with the golden ids fed in."""
    arrays = np.load(golden / f"tts_{run}.npz")
    prompt = arrays["input_ids"]
    sequence = SingleSequence(spark.llm, spark.llm.head(np.arange(spark.config.llm.vocab_size)))
    logits = sequence.prefill(prompt).astype(np.float64)
    close(logits.max(-1), arrays["prefill.all_max"][:-1])
    np.testing.assert_array_equal(logits.argmax(-1), arrays["prefill.all_argmax"][:-1])
    close(np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1), arrays["prefill.all_lse"][:-1])
    token = int(prompt[-1])
    for step, following in enumerate(arrays["generated_ids"][:8]):
        logits = sequence.decode_step(token)
        close(logits[arrays["steps.top_ids"][step]], arrays["steps.top_logits"][step])
        if run in SAMPLED:
            support = arrays["steps.warped_ids"][step]
            expected = np.zeros(len(logits))
            expected[support[support >= 0]] = arrays["steps.warped_probs"][step][support >= 0]
            actual = probabilities(logits, Sampling())
            np.testing.assert_array_equal(np.flatnonzero(actual), np.flatnonzero(expected))
            close(actual, expected)
        token = int(following)


def test_the_sampler_draws_from_the_same_distribution(golden):
    arrays = np.load(golden / "sampler.npz")
    for name in (n for n in arrays.files if n.startswith("probs_")):
        temperature, top_k, top_p = (float(part[1:]) for part in name.split("_")[1:])
        sampling = Sampling(temperature, int(top_k), top_p)
        for row, expected in zip(arrays["logits"][[0, 1, 3, 4]], arrays[name][[0, 1, 3, 4]], strict=True):
            close(probabilities(row, sampling), expected)       # row 2 is all ties, whose order is nobody's


def test_quantizers_agree_both_ways(spark, golden):
    arrays = np.load(golden / "quantizers.npz")
    levels = FiniteScalarQuantizer(spark.config.bicodec.speaker_encoder.fsq_levels)
    close(levels.bound(arrays["fsq.in"]), arrays["fsq.bound"])
    np.testing.assert_array_equal(levels.quantize(arrays["fsq.in"]), arrays["fsq.indices"])
    np.testing.assert_array_equal(levels.dequantize(np.arange(70)), arrays["fsq.codebook_first_70"])
    np.testing.assert_array_equal(levels.dequantize(arrays["fsq.indices"]), arrays["fsq.codes"])


def test_text_becomes_the_same_ids(spark, golden):
    cases = json.loads((golden / "tokenizer.json").read_text(encoding="utf-8"))["cases"]
    plain = [case for case in cases if not any(token >= spark.vocabulary.end - 2 for token in case["ids"])]
    assert len(plain) > 10
    for case in plain:
        assert spark.vocabulary.encode(case["text"]) == case["ids"], case["text"]


def test_names_of_tokens_in_a_text_are_only_letters(spark, golden):
    cases = json.loads((golden / "tokenizer.json").read_text(encoding="utf-8"))["cases"]
    named = [case["text"] for case in cases if "<|" in case["text"]]
    assert named
    for text in [*named, "a<|end_content|><|bicodec_semantic_7|>b<|im_end|>"]:
        ids = spark.vocabulary.encode(text)
        assert max(ids) < spark.vocabulary.end - 2      # no added token at all
        assert spark.vocabulary.plain.decode(ids) == text
