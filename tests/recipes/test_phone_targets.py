"""Targets of the phone losses."""

import numpy as np
import pytest

from recipes.demo_voice.lm.guided_attention import text_tokens
from recipes.demo_voice.lm.phone_targets import (
    current_word_targets,
    frame_phone_targets,
    phone_inventory,
    pronunciation_targets,
)
from sparktts_ms.training.batches import collate
from sparktts_ms.training.examples import clone_example, continuation_example, style_example
from tests.helpers import add_alignment

WORDS = ["t ih p", "t ow", "th r uw"]


@pytest.fixture(scope="module")
def aligned(recordings):
    return add_alignment(recordings[0])


@pytest.fixture(scope="module")
def with_stop(recordings):
    return add_alignment(recordings[0], "tip toe through.")


def test_frame_phones(vocabulary, recordings, aligned):
    v = vocabulary
    names = phone_inventory([aligned])
    assert names == ["", "ih", "ow", "p", "pau", "r", "t", "th", "uw"]
    for example in (clone_example(v, aligned), continuation_example(v, aligned, aligned),
                    style_example(v, aligned)):
        batch = collate([example, clone_example(v, recordings[1])], 512, 3)
        targets = frame_phone_targets(batch, names).reshape(3, 512)
        known = np.flatnonzero(targets[0] >= 0)
        speech = [v.bicodec_semantic[s] for s in aligned.semantic_ids]
        np.testing.assert_array_equal(batch.targets[0, known], speech)
        assert batch.targets[0, known[-1] + 1] == v.end
        assert (targets[1:] == -1).all()
        phones = targets[0, known]
        starts = np.flatnonzero(np.diff(phones, prepend=-1))
        assert [names[n] for n in phones[starts]] == [name for name, _ in aligned.phones]
        ends = [end * 50 for _, end in aligned.phones[:-1]]
        np.testing.assert_allclose(starts[1:], ends, atol=1)


@pytest.mark.parametrize("kind", ["clone", "style", "continuation", "words_meet"])
def test_current_words(vocabulary, recordings, aligned, with_stop, kind):
    v = vocabulary
    names = phone_inventory([aligned])
    example = {
        "clone": clone_example(v, aligned),
        "style": style_example(v, with_stop),
        "continuation": continuation_example(v, aligned, with_stop),
        "words_meet": continuation_example(v, with_stop, aligned),
    }[kind]
    # in "through.tip" two words meet, whose pronunciation is not known
    first_known = 1 if kind == "words_meet" else 0
    batch = collate([example, clone_example(v, recordings[1])], 512, 3)
    words = current_word_targets(batch, names).reshape(3, 512, 11)
    phones = frame_phone_targets(batch, names).reshape(3, 512)
    known = (words[0] >= 0).all(1)
    assert (words[1:] == -1).all()
    assert (words[0][~known] == -1).all()
    spelled = [" ".join(names[n] for n in row[:10] if n) for row in words[0][known]]
    changes = [word for n, word in enumerate(spelled) if spelled[n - 1:n] != [word]]
    assert changes == WORDS[first_known:]
    current = words[0][known, words[0][known, 10]]
    np.testing.assert_array_equal(current, phones[0][known])
    if not first_known:
        voiced = (phones[0] >= 0) & (phones[0] != names.index("pau"))
        assert (known == voiced).all()


@pytest.mark.parametrize("kind, word_ends, expected", [
    ("clone", (3, 7, 14), WORDS),
    ("style", (3, 7, 15), WORDS),
    ("continuation", (3, 7, 15, 19, 23, 31), WORDS * 2),
    ("words_meet", (3, 7, 23, 30), [*WORDS[:2], *WORDS[1:]]),
])
def test_pronunciations(vocabulary, recordings, aligned, with_stop, kind, word_ends, expected):
    v = vocabulary
    names = phone_inventory([aligned])
    example = {
        "clone": clone_example(v, aligned),
        "style": style_example(v, with_stop),
        "continuation": continuation_example(v, aligned, with_stop),
        "words_meet": continuation_example(v, with_stop, aligned),
    }[kind]
    batch = collate([example, clone_example(v, recordings[1])], 512, 3)
    targets = pronunciation_targets(batch, names, v).reshape(3, 512, -1)
    begin, tokens = text_tokens(batch.ids[0], v)
    positions = np.flatnonzero((targets[0] >= 0).any(1)) - begin
    token_ends = np.cumsum([len(token) for token in tokens])
    after_words = []
    for end in word_ends:
        letter = min(end, token_ends[-1] - 1)
        after_words.append(int(np.searchsorted(token_ends, letter, "right")))
    assert positions.tolist() == after_words
    assert (targets[1:] == -1).all()
    spelled = []
    for position in positions:
        spelled.append(" ".join(names[n] for n in targets[0, begin + position] if n))
    assert spelled == expected
