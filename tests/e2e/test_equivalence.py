"""What may not change the result: padding, windows, chunks, caches, modes, seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparktts_ms.bicodec.codec as codec_room
from sparktts_ms import Sampling, SparkTTS
from sparktts_ms.bicodec.chunking import WINDOW_SIZES, plan_windows
from sparktts_ms.errors import InputError, NoSpeech
from sparktts_ms.generation.prompt import join_transcript
from sparktts_ms.qwen2.language_model import LanguageModel
from sparktts_ms.qwen2.sampling import sample
from tests.helpers import SingleSequence, generate_model, probabilities, start_utterance

RANDOM = np.random.default_rng(11)
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def graph(shared_tts, form):
    return shared_tts()


@pytest.fixture(scope="module")
def pynative(shared_tts, form):
    return shared_tts("pynative")


def close(actual, expected, tolerance=2e-5):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def test_graph_and_pynative_mode_give_the_same_ids(graph, pynative, wavs):
    for prompt in ({"gender": "male", "pitch": "high", "speed": "low"}, None):
        speeches = []
        for tts in (graph, pynative):
            voice = None if prompt else tts.encode_voice(wavs / "p24k_mono_0s5.wav", "公园")
            speeches.append(tts.synthesize("Both say this.", voice, **(prompt or {}), sampling=Sampling(seed=5)))
        np.testing.assert_array_equal(speeches[0].generated_ids, speeches[1].generated_ids)
        close(speeches[0].samples, speeches[1].samples)


@pytest.mark.parametrize("frames", [1, 2, 12, 63, 64, 65, 130, 300])
def test_buckets_and_windows_leave_no_trace(pynative, monkeypatch, frames):
    """Exactly fitting shapes, without any padding or cut, against the buckets and windows of the product."""
    global_ids, semantic_ids = RANDOM.integers(0, 4096, 32), RANDOM.integers(0, 8192, frames)
    usual = pynative.decode(global_ids=global_ids, semantic_ids=semantic_ids)
    monkeypatch.setattr(codec_room, "SPEECH_FRAME_BUCKETS", (frames,))
    monkeypatch.setattr(codec_room, "plan_windows", lambda length, context, sizes: plan_windows(length, context, (frames,)))
    close(usual, pynative.decode(global_ids=global_ids, semantic_ids=semantic_ids))


@pytest.mark.parametrize("samples", [400, 719, 720, 9000, 48080, 48081, 70000])
def test_a_padded_recording_has_the_features_of_the_bare_one(pynative, monkeypatch, samples):
    noise = 0.1 * RANDOM.standard_normal(samples)
    usual = pynative.voice_encoder.features(noise)
    monkeypatch.setattr("sparktts_ms.wav2vec2.features.PROMPT_FRAME_BUCKETS", (len(usual),))
    close(usual, pynative.voice_encoder.features(noise))
    ids = pynative.codec.encode_semantic(usual)
    monkeypatch.setattr(codec_room, "PROMPT_FRAME_BUCKETS", (len(usual),))
    np.testing.assert_array_equal(ids, pynative.codec.encode_semantic(usual))


@given(frames=st.integers(1, 4000), context=st.integers(0, 20))
def test_windows_cover_an_utterance_once_with_context_on_both_sides(frames, context):
    reached = 0
    for window in plan_windows(frames, context):
        assert window.size in WINDOW_SIZES and window.valid_start == reached < window.valid_end
        assert window.start <= max(0, window.valid_start - context) and window.start >= 0
        assert window.valid_end == frames or window.start + window.size >= window.valid_end + context
        reached = window.valid_end
    assert reached == frames


def test_the_number_of_graphs_does_not_grow_with_the_number_of_lengths(tiny_model, form, wavs):
    tts = SparkTTS.from_pretrained(tiny_model, device_target="CPU")
    voice = tts.encode_voice(wavs / "p24k_mono_0s5.wav", "公园")
    for length in range(20, 300, 20):
        tts.decode(global_ids=voice.global_ids, semantic_ids=np.zeros(length, np.int32))
        tts.synthesize("word " * (length // 10), voice, sampling=Sampling(seed=1, max_new_tokens=5, min_new_tokens=5))
    assert len(tts.runtime.graphs) == len(set(tts.runtime.graphs)) <= (1 if form == "native" else 10), tts.runtime.graphs


def test_a_prompt_read_in_chunks_equals_one_fed_token_by_token(graph, form):
    prompt = RANDOM.integers(0, 1400, 150)
    sequence = SingleSequence(graph.llm, graph.llm.head(np.arange(graph.config.llm.vocab_size)))
    sequence.prefill(prompt)
    chunked = sequence.decode_step(int(prompt[-1]))
    sequence.length = 0
    for token in prompt:
        single = sequence.decode_step(int(token))
    close(single, chunked, 0 if form == "native" else 2e-5)     # the kernels' rows do not depend on their company


def test_a_full_cache_ends_speech_and_too_long_a_prompt_is_refused(pynative, monkeypatch):
    monkeypatch.setattr(pynative.llm, "max_length", 128)
    speech = pynative.synthesize("Hello.", gender="female", sampling=Sampling(seed=0, min_new_tokens=2000))
    assert not speech.complete and len(speech.generated_ids) < 128
    with pytest.raises(InputError, match="tokens"):
        start_utterance(pynative, "long " * 200, gender="female")


def test_the_language_model_never_holds_the_whole_embedding(pynative):
    assert isinstance(pynative.llm, LanguageModel) and not pynative.llm.embedding.flags.owndata


def test_the_same_seed_gives_the_same_ids_and_no_seed_gives_others(pynative):
    def say(seed):
        return pynative.synthesize("Hello.", gender="female", sampling=Sampling(seed=seed)).generated_ids.tolist()
    assert say(7) == say(7) != say(8)
    assert len({tuple(say(None)) for _ in range(3)}) == 3


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 2), st.integers(0, 30), st.floats(0.05, 1))
def test_what_is_drawn_follows_the_definition(seed, temperature, top_k, top_p):
    """The support and the distribution against one written down here, in plain loops."""
    sampling = Sampling(temperature, top_k, top_p, seed=seed)
    logits = np.random.default_rng(seed).standard_normal(25).astype(np.float32) * 3
    order = sorted(range(25), key=lambda i: -logits[i])[:top_k or 25]
    weights = {i: np.exp(float(logits[i]) / temperature - float(logits.max()) / temperature) for i in order}
    total, kept, mass = sum(weights.values()), [], 0.0
    for i in order:
        if mass / total >= top_p and kept:
            break
        kept.append(i)
        mass += weights[i]
    actual = probabilities(logits, sampling)
    borderline = abs(mass / total - top_p) < 1e-9 or abs((mass - weights[kept[-1]]) / total - top_p) < 1e-9
    if not borderline:
        assert set(np.flatnonzero(actual)) == set(kept)
        np.testing.assert_allclose(actual[kept], [weights[i] / mass for i in kept], rtol=1e-9)
    assert sample(logits, sampling, sampling.generator()) in np.flatnonzero(actual)
    assert sample(logits, Sampling(temperature=0), sampling.generator()) == logits.argmax()


def test_draws_have_the_frequencies_they_should():
    logits, sampling = np.float32([0, 1, 2, 3, -1, 2]), Sampling(1.0, 0, 1.0, seed=3)
    generator, draws = sampling.generator(), 20000
    counts = np.bincount([sample(logits, sampling, generator) for _ in range(draws)], minlength=6)
    expected = np.exp(logits) / np.exp(logits).sum() * draws
    assert ((counts - expected) ** 2 / expected).sum() < 20.5      # chi-square, 5 degrees: p = 0.001


def test_a_model_that_makes_too_few_voice_tokens_is_held_to_32(tmp_path):
    tts = SparkTTS.from_pretrained(generate_model(tmp_path / "m", "--size", "tiny", "--n-global", "30"), mode="pynative",
                                   device_target="CPU")
    assert len(tts.synthesize("Hello.", gender="female", sampling=GREEDY).global_ids) == 32
    with pytest.raises(NoSpeech, match="30 tokens"):
        tts.synthesize("Hello.", gender="female", sampling=Sampling(temperature=0, constrained=False))


def test_a_model_that_ends_at_once_speaks_when_it_must(tmp_path):
    tts = SparkTTS.from_pretrained(generate_model(tmp_path / "m", "--size", "tiny", "--sem-chain", "0"), mode="pynative",
                                   device_target="CPU")
    with pytest.raises(NoSpeech, match="before it spoke"):
        tts.synthesize("Hello.", gender="female", sampling=GREEDY)
    must = Sampling(temperature=0, min_new_tokens=60, max_new_tokens=80)
    speech = tts.synthesize("Hello.", gender="female", sampling=must)
    assert len(speech.samples) > 0 and np.isfinite(speech.samples).all()


@pytest.mark.parametrize("transcript, text, joined", [
    ("Hello there", "friend", "Hello there friend"), ("Hello.", "Friend", "Hello.Friend"), ("公园", "短的", "公园短的"),
    ("in 1999", "he", "in 1999 he"), ("公园", "ok", "公园ok"), ("ok", "公园", "ok公园"), ("", "text", "text"),
    ("안녕", "하세요", "안녕 하세요"), ("привет", "мир", "привет мир")])
def test_words_do_not_merge_where_transcript_and_text_meet(transcript, text, joined):
    assert join_transcript(transcript, text) == joined


@pytest.mark.parametrize("change", [
    {"temperature": -0.1}, {"temperature": float("inf")}, {"top_k": -1}, {"top_k": 2.5}, {"top_p": 0}, {"top_p": 1.1},
    {"max_new_tokens": 0}, {"max_new_tokens": 1.5}, {"min_new_tokens": 4000}, {"seed": -1}, {"seed": 1.0}])
def test_sampling_that_makes_no_sense_is_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        Sampling(**change)


@pytest.mark.parametrize("ids, word", [
    ({"global_ids": np.zeros(31, int)}, "global_ids"), ({"global_ids": np.full(32, 4096)}, "4095"),
    ({"semantic_ids": np.zeros(0, int)}, "semantic_ids"), ({"semantic_ids": np.array([8192])}, "8191"),
    ({"semantic_ids": np.array([-1])}, "semantic_ids"), ({"semantic_ids": np.array([0.5])}, "semantic_ids")])
def test_ids_that_the_codec_does_not_have_are_refused(pynative, ids, word):
    with pytest.raises(InputError, match=word):
        pynative.decode(**{"global_ids": np.zeros(32, int), "semantic_ids": np.zeros(3, int), **ids})
