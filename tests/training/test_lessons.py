"""What is taught beside the speech tokens: where in the text to look, and the phones of words."""

from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms import SparkTTS
from sparktts_ms.errors import InputError
from sparktts_ms.training.batches import stack
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.examples import clone_example, continuation_example, style_example
from sparktts_ms.training.guide import guide, text_pieces
from sparktts_ms.training.model import TELLING
from sparktts_ms.training.phones import frame_phones, inventory, pronunciations, words
from tests.training.conftest import SMALL, trainer


def test_the_guide_leads_along_the_text(spark, spoken):
    v, one = spark.vocabulary, spoken[0]
    clone = clone_example(v, EncodedRecording(**{**vars(one), "text": "one two three four five six seven eight"}))
    batch = stack([clone], 320, 1)
    lead, ends = guide(batch, v)[0]
    begin, end = (int(np.flatnonzero(clone.ids == mark)[0]) for mark in (v.start_content, v.end_content))
    speech, last = clone.prompt_length, len(clone.ids) - 2
    assert lead[speech].argmax() == begin + 1 and lead[last].argmax() == end - 1
    assert not lead[speech:last + 1, end:].any() and not lead[speech:last + 1, :begin + 1].any()
    assert (np.diff(lead[speech:last + 1].argmax(1)) >= 0).all()
    assert (lead[:speech] == 1).all() and (lead[last + 1:] == 1).all()
    assert (ends[:speech] == 1).all() and (ends[last + 1:] == 1).all()
    pieces = [v.plain.id_to_token(int(t)) for t in clone.ids[begin + 1:end]]
    after = [n for n, piece in enumerate(pieces) if n and piece[0] == "\u0120"] + [len(pieces) - 1]
    looked = ends[speech:last + 1].argmax(1) - begin - 1
    assert sorted(set(looked.tolist())) == sorted(set(after)) and (np.diff(looked) >= 0).all()


def test_the_guide_follows_words_whose_ends_are_known(spark, spoken):
    v, one = spark.vocabulary, spoken[0]
    seconds = len(one.semantic_ids) / 50
    ends = (0.1 * seconds, 0.8 * seconds, 0.9 * seconds)            # the second word is drawn out
    timed = EncodedRecording(**{**vars(one), "text": "tip toe through", "word_ends": ends})
    pieces = v.encode("tip toe through")
    word = np.cumsum([v.plain.id_to_token(t).startswith("\u0120") for t in pieces])
    for sequence, offset in ((clone_example(v, timed), 0), (continuation_example(v, timed, timed), len(one.semantic_ids))):
        lead, ends = guide(stack([sequence], 512, 1), v)[0]
        assert sequence.word_alignment is not None and sequence.word_alignment[-1, 0] <= offset + len(one.semantic_ids)
        begin = int(np.flatnonzero(sequence.ids == v.start_content)[0]) + 1 + (0 if not offset else len(v.encode(
            "tip toe through tip toe through")) - len(pieces))
        start = int(np.flatnonzero(sequence.ids == v.start_semantic_token)[0]) + offset
        for n, (a, b) in enumerate(((0, 0.1), (0.1, 0.8), (0.8, 0.9))):
            at = start + int((a + b) / 2 * len(one.semantic_ids))
            assert word[lead[at].argmax() - begin] == n
            looked = ends[at].argmax() - begin
            assert looked == len(word) - 1 or word[looked - 1] == n != word[looked]


def test_a_guided_head_follows(tiny_model, spoken, tmp_path):
    runs = {}
    for weight in (0.0, 0.3):
        run = trainer(tiny_model, tmp_path / str(weight), spoken, replace(SMALL, steps=12, guide=weight))
        batch = next(run.schedule(0))
        lead = Tensor(guide(batch, run.vocabulary)), Tensor(0.0, ms.float32)
        before = float(run.network(*run._inputs(batch), *lead)[2].asnumpy())
        run.train()
        runs[weight] = before, float(run.network(*run._inputs(batch), *lead)[2].asnumpy())
    assert runs[0.0][0] == pytest.approx(runs[0.3][0])
    assert runs[0.3][1] < 0.8 * runs[0.3][0] and runs[0.3][1] < 0.8 * runs[0.0][1]


def timed(one, text="tip toe through"):
    """As if an aligner had found these words."""
    at = len(one.semantic_ids) / 50
    phones = (("pau", 0.02 * at), ("t", 0.05 * at), ("ih", 0.1 * at), ("p", 0.3 * at), ("t", 0.4 * at), ("ow", 0.8 * at),
              ("th", 0.85 * at), ("r", 0.86 * at), ("uw", 0.9 * at), ("pau", at))
    return EncodedRecording(**{**vars(one), "text": text, "word_ends": (0.3 * at, 0.8 * at, 0.9 * at), "phones": phones})


def test_every_frame_that_is_learnt_has_its_phone(spark, spoken):
    v, one = spark.vocabulary, timed(spoken[0])
    names = inventory([one, spoken[1]])
    assert names == ["", "ih", "ow", "p", "pau", "r", "t", "th", "uw"]
    for sequence in (clone_example(v, one), continuation_example(v, one, one), style_example(v, one)):
        batch = stack([sequence, clone_example(v, spoken[1])], 512, 3)
        said = frame_phones(batch, names).reshape(3, 512)
        known = np.flatnonzero(said[0] >= 0)
        np.testing.assert_array_equal(batch.targets[0, known], [v.bicodec_semantic[s] for s in one.semantic_ids])
        assert batch.targets[0, known[-1] + 1] == v.end and (said[1:] == -1).all()
        heard = said[0, known]
        starts = np.flatnonzero(np.diff(heard, prepend=-1))
        assert [names[n] for n in heard[starts]] == [name for name, _ in one.phones]
        np.testing.assert_allclose(starts[1:], [end * 50 for _, end in one.phones[:-1]], atol=1)


def test_every_frame_that_is_learnt_knows_its_word(spark, spoken):
    v, one, stop = spark.vocabulary, timed(spoken[0]), timed(spoken[0], "tip toe through.")
    names = inventory([one])
    for sequence, first in ((clone_example(v, one), 0), (style_example(v, stop), 0), (continuation_example(v, one, stop), 0),
                            (continuation_example(v, stop, one), 1)):        # "through.tip" is no word that anybody has spelt
        batch = stack([sequence, clone_example(v, spoken[1])], 512, 3)
        told, heard = words(batch, names).reshape(3, 512, 11), frame_phones(batch, names).reshape(3, 512)
        known = (told[0] >= 0).all(1)
        assert (told[1:] == -1).all() and (told[0][~known] == -1).all()
        speaks = (heard[0] >= 0) & (heard[0] != names.index("pau"))
        said = ["t ih p", "t ow", "th r uw"]
        spelt = [" ".join(names[n] for n in row[:10] if n) for row in told[0][known]]
        assert [word for n, word in enumerate(spelt) if spelt[n - 1:n] != [word]] == said[first:]
        np.testing.assert_array_equal(told[0][known, told[0][known, 10]], heard[0][known])
        assert first or (known == speaks).all()


def test_every_word_is_spelt_where_it_has_been_read(spark, spoken):
    v, one, stop = spark.vocabulary, timed(spoken[0]), timed(spoken[0], "tip toe through.")
    names = inventory([one])
    said = ("t ih p", "t ow", "th r uw")
    for sequence, ends in ((clone_example(v, one), (3, 7, 14)), (style_example(v, stop), (3, 7, 15)),
                           (continuation_example(v, one, stop), (3, 7, 15, 19, 23, 31)),
                           (continuation_example(v, stop, one), (3, 7, -1, 23, 30))):
        batch = stack([sequence, clone_example(v, spoken[1])], 512, 3)
        spelt = pronunciations(batch, names, v).reshape(3, 512, -1)
        begin, pieces = text_pieces(batch.ids[0], v)
        taught = np.flatnonzero((spelt[0] >= 0).any(1)) - begin
        after = np.cumsum([len(piece) for piece in pieces])
        expected = [int(np.searchsorted(after, min(end, after[-1] - 1), "right")) for end in ends if end >= 0]
        assert taught.tolist() == expected and (spelt[1:] == -1).all()
        prompt_length = [word for word, end in zip(said * 2, ends, strict=False) if end >= 0]
        if -1 in ends:                          # "through.tip" is no word that anybody has spelt
            prompt_length = [*said[:2], *said[1:]]
        assert [" ".join(names[n] for n in spelt[0, begin + place] if n) for place in taught] == prompt_length


@pytest.mark.parametrize("pull", [0.0, 0.3])
def test_phones_are_learnt_and_their_readers_are_not_kept(tiny_model, spoken, tmp_path, pull):
    how = replace(SMALL, steps=24, phones=0.5, guide=pull)
    run = trainer(tiny_model, tmp_path, [timed(one) for one in spoken], how)
    batch = next(run.schedule(0))
    lessons = (pronunciations(batch, run.phones, run.vocabulary), frame_phones(batch, run.phones), words(batch, run.phones))

    def misread():
        return float(run.network(*run._inputs(batch), None, None, *map(Tensor, lessons))[3].asnumpy())
    before = misread()
    taught = sum(weight * (lesson >= 0).sum() for lesson, weight in zip(lessons, (1, 1, TELLING), strict=True))
    assert before == pytest.approx(np.log(len(run.phones)) * taught, rel=1e-4)
    run.train()
    assert misread() < 0.8 * before
    SparkTTS.from_pretrained(run.write_model(), device_target="CPU")
    with pytest.raises(InputError, match="--phones"):
        trainer(tiny_model, tmp_path, spoken, how)
