"""From recordings to batches: what a sequence says, which recordings go together, and what is read wrongly."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms.errors import InputError
from sparktts_ms.training.batches import LENGTHS, Schedule, batches, stack
from sparktts_ms.training.dataset import EncodedRecording, encode
from sparktts_ms.training.examples import TrainingExample, clone_example, continuation_example, make_examples, style_example
from sparktts_ms.training.garble import garble
from sparktts_ms.training.manifest import Recording
from sparktts_ms.training.warp import warp
from sparktts_ms.voice import Voice


def test_recordings_are_encoded_once(spark, wavs, tmp_path, caplog):
    cache = tmp_path / "encoded.jsonl"
    recordings = [Recording(wavs / "p16k_mono_3s.wav", "One.", "a", "male"), Recording(tmp_path / "gone.wav", "Two.")]
    first = encode(recordings, spark, cache)
    assert len(first) == 1 and "gone.wav" in caplog.text
    voice = spark.encode_voice(recordings[0].audio, "One.")
    assert first[0].semantic_ids == voice.semantic_ids.tolist() and first[0].global_ids == voice.global_ids.tolist()
    cache.write_text(cache.read_text() + '{"key": "cut sh')             # killed while writing

    class Nobody:
        def encode_voice(self, *_):
            raise AssertionError("encoded twice")
    assert encode(recordings[:1], Nobody(), cache) == first
    with pytest.raises(InputError, match="None of"):
        encode(recordings[1:], spark, cache)


def test_sequences_are_what_inference_asks_and_hears(spark, spoken):
    v, one, other = spark.vocabulary, *spoken
    for sequence, who in ((clone_example(v, one), Voice(np.array(one.global_ids))),
                          (continuation_example(v, other, one),
                           Voice(np.array(other.global_ids), np.array(other.semantic_ids), other.text))):
        prompt, phases = spark.generator.prompt(one.text, who)
        np.testing.assert_array_equal(sequence.ids[:sequence.prompt_length], prompt)
        follows(phases, sequence.ids[sequence.prompt_length:])
        assert v.bicodec_semantic.values(sequence.ids[sequence.prompt_length:]).tolist() == one.semantic_ids
    from sparktts_ms.generation.attributes import Style
    voiced = EncodedRecording(**{**vars(one), "pitch": 200.0, "seconds": 0.5})        # moderate for a woman; four syllables a second
    sequence = style_example(v, voiced)
    prompt, phases = spark.generator.prompt(one.text, None, Style("female", "moderate", "moderate"))
    np.testing.assert_array_equal(sequence.ids[:sequence.prompt_length], prompt)
    follows(phases, sequence.ids[sequence.prompt_length:])
    assert v.bicodec_global.values(sequence.ids).tolist() == one.global_ids
    assert style_example(v, EncodedRecording(**{**vars(voiced), "gender": None})) is None
    assert style_example(v, EncodedRecording(**{**vars(voiced), "pitch": 0.0})) is None


def follows(phases, answer):
    """`answer` is something the phases of inference would let the model say, to its end."""
    at = 0
    for phase in phases:
        if phase.stops:
            length = len(answer) - at
            assert answer[-1] in phase.stops and not set(answer[at:-1]) & set(phase.stops)
        else:
            length = phase.count
        assert set(answer[at:at + length]) <= set(phase.allowed.tolist())
        at += length
    assert at == len(answer)


def paced(text, seconds, speaker="a", **more):
    """As if somebody had said `text` in so many seconds."""
    return EncodedRecording(text, speaker, "female", list(range(32)), list(range(int(50 * seconds))), 200.0, seconds, **more)


def test_a_recording_continues_others_of_its_pace(spark):
    v, random = spark.vocabulary, np.random.default_rng(7)
    slow, usual = [paced(f"Slow {n}", 4.0) for n in "abcdef"], [paced(f"Usual {n}", 2.0) for n in "abcdefghijklmnop"]
    stranger = paced("Stranger", 4.0, "b")

    def parts(sequence):
        """The texts before the last, which is learnt, and that; none for sequences by labels."""
        text = v.plain.decode(sequence.ids[1:np.flatnonzero(sequence.ids == v.end_content)[0]].tolist())
        names = re.findall(r"Slow .|Usual .|Stranger", text)
        return None if v.start_style_label in sequence.ids else (names[:-1], names[-1])
    clones = [found for _ in range(20) for s in make_examples(v, [*slow, *usual, stranger], random, 1024) if (found := parts(s))]
    prompt_length = [before for before, text in clones if text.startswith("Usual")]
    assert {len(before) for before in prompt_length} == {0, 1, 2} and 0.2 < np.mean([bool(before) for before in prompt_length]) < 0.5
    assert len(prompt_length) == 20 * len(usual)
    drawn = [before for before, text in clones if text.startswith("Slow")]
    assert {len(before) for before in drawn} == {1, 2} and len(drawn) == 20 * len(slow)
    assert all(text not in before for before, text in clones) and ([], "Stranger") in clones
    assert np.mean([before[0][:4] == text[:4] for before, text in clones if before]) > 0.95     # of those that were looked at
    tight = [parts(s) for s in make_examples(v, [*slow, *usual], random, 330)]
    assert {len(found[0]) for found in tight if found and found[1].startswith("Usual")} == {0, 1}
    assert not any(found and found[1].startswith("Slow") for found in tight)


@given(st.integers(1, 400), st.integers(0, 2**20))
def test_warped_speech_says_the_same_in_another_time(length, seed):
    """Frame n of a recording is said by phone n // 7 in word n // 21: so it is afterwards, wherever the frame has gone."""
    seconds = length / 50
    words, phones = max(1, length // 21), max(1, length // 7)
    one = EncodedRecording(" ".join("word" for _ in range(words)), "a", "female", [0] * 32, list(range(length)), 200.0, seconds,
                  tuple((n + 1) * 0.42 if n + 1 < words else seconds for n in range(words)),
                  tuple((str(n), (n + 1) * 0.14 if n + 1 < phones else seconds) for n in range(phones)))
    new = warp(one, np.random.default_rng(seed))
    taken = np.array(new.semantic_ids)
    assert len(new.loss_mask) == len(taken) and (np.diff(taken) >= 0).all()
    kept = taken[new.loss_mask]
    assert (np.diff(kept) > 0).all() and set(kept) | set(taken[~new.loss_mask]) == set(taken)
    assert 3 * new.loss_mask.sum() >= len(taken) and new.loss_mask.all() == (length < 20)     # half is drawn out to twice its length
    np.testing.assert_array_equal(new.frame_phones, np.array([str(min(n // 7, phones - 1)) for n in taken]))
    np.testing.assert_array_equal(new.phone_positions[:, 0], [words - min(n // 21, words - 1) for n in taken])
    assert new.word_alignment[-1, 0] == pytest.approx(len(taken), abs=1) and (np.diff(new.word_alignment[:, 0]) >= 0).all()
    assert (one.pitch, one.seconds, one.text, one.global_ids) == (new.pitch, new.seconds, new.text, new.global_ids)


def test_what_is_warped_is_read_and_not_learnt(spark, spoken):
    v, one = spark.vocabulary, warp(spoken[0], np.random.default_rng(3))
    for sequence in (clone_example(v, one), continuation_example(v, spoken[1], one)):
        batch = stack([sequence], 640, 1)
        at = np.flatnonzero(batch.counts[0])
        loss_mask = np.array(one.semantic_ids)[one.loss_mask]
        assert v.bicodec_semantic.values(batch.targets[0, at]).tolist() == loss_mask.tolist()
        assert batch.targets[0, at[-1]] == v.end and len(loss_mask) < len(one.semantic_ids)
        assert v.bicodec_semantic.values(batch.ids[0]).tolist()[-len(one.semantic_ids):] == one.semantic_ids
    plain, half = ([s.loss_mask is not None for s in make_examples(v, [spoken[0]] * 50, np.random.default_rng(0), 640, share)]
                   for share in (0.0, 0.5))
    assert not any(plain) and 20 < sum(half) < 80


@settings(deadline=None)
@given(st.lists(st.integers(3, 400), min_size=1, max_size=60), st.integers(64, 2000), st.integers(1, 2**20))
def test_batches_hold_every_sequence_in_fixed_shapes(lengths, tokens, seed):
    random = np.random.default_rng(seed)
    epoch = [TrainingExample(random.integers(1, 1000, n).astype(np.int32), int(random.integers(1, n))) for n in lengths]
    shapes, seen = {}, []
    for batch in batches(epoch, tokens, 400):
        rows, length = batch.ids.shape
        assert shapes.setdefault(length, rows) == rows and (length in LENGTHS or length == 400)
        assert rows == 1 or rows * length <= tokens
        for row in range(rows):
            n = int(batch.counts[row].nonzero()[0].max(initial=-1)) + 1
            if n:
                seen.append((*batch.ids[row, :n], batch.targets[row, n - 1]))
                np.testing.assert_array_equal(batch.ids[row, 1:n], batch.targets[row, :n - 1])
    everything = [tuple(s.ids) for s in epoch]
    assert len(seen) <= len(everything) and all(s in everything for s in seen)
    assert {next(b for b in (*LENGTHS, 400) if b >= min(n - 1, 400)) for n in lengths} >= set(shapes)
    assert len(everything) - len(seen) < sum(max(1, tokens // length) for length in shapes)


def test_the_schedule_goes_on_anywhere(spark, spoken):
    def epoch(random):
        return make_examples(spark.vocabulary, spoken, random, 512)
    schedule, again = Schedule(epoch, 600, 512, 5), Schedule(epoch, 600, 512, 5)
    run = schedule(0)
    first = [next(run) for _ in range(9)]
    rest = again(6)
    for batch in first[6:]:
        np.testing.assert_array_equal(batch.ids, next(rest).ids)
    assert any(a.ids.shape != b.ids.shape or (a.ids != b.ids).any() for a, b in zip(first[:4], first[4:8], strict=True))
    with pytest.raises(InputError, match="--longest"):
        make_examples(spark.vocabulary, spoken, np.random.default_rng(0), 5)


@given(st.integers(0, 200), st.integers(0, 99), st.floats(0, 0.5))
def test_garbled_speech_comes_from_the_same_utterance(length, seed, share):
    random = np.random.default_rng(seed)
    ids, speech = random.integers(0, 1000, (3, 220)), np.zeros((3, 220), bool)
    speech[0, 10:10 + length], speech[1, 5:200] = True, True
    before = ids.copy()
    heard = garble(ids, speech, share, np.random.default_rng(seed))
    np.testing.assert_array_equal(ids, before)
    np.testing.assert_array_equal(heard[~speech], ids[~speech])
    for row in range(3):
        assert set(heard[row, speech[row]]) <= set(ids[row, speech[row]])
    np.testing.assert_array_equal(garble(ids, speech, share, np.random.default_rng(seed)), heard)


def test_as_much_is_garbled_as_was_asked():
    ids, speech = np.arange(400_000).reshape(100, 4000), np.ones((100, 4000), bool)
    for share in (0.1, 0.3):
        wrong = (garble(ids, speech, share, np.random.default_rng(0)) != ids).mean()
        assert 0.75 * share < wrong <= share        # stretches overlap now and then
