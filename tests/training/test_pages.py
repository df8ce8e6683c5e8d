"""Pages of words: what is on them, that phones are learnt from them, and that a killed run reads the same ones again."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sparktts_ms.config_files import read_config
from sparktts_ms.errors import InputError
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.guide import text_pieces
from sparktts_ms.training.pages import Pages
from sparktts_ms.training.phones import inventory, pronunciations
from sparktts_ms.training.trainer import Settings
from tests.training.conftest import Killed, killed_at, trainer

SPOKEN = {"tip": "t ih p", "toe": "t ow", "through.": "th r uw"}
HOW = Settings(steps=24, rate=3e-3, warmup=2, tokens=400, longest=512, holdout=8, save_every=5, phones=1.0)


def said(text):
    """As if an aligner had found these words, one a second."""
    words = [SPOKEN[word].split() for word in text.split()]
    phones = tuple((name, second + (n + 1) / len(word)) for second, word in enumerate(words) for n, name in enumerate(word))
    return EncodedRecording(text, "a", "female", [0] * 32, [7] * 50 * len(words), 200.0, float(len(words)),
                   tuple(float(n + 1) for n in range(len(words))), phones)


ONES = [said("tip toe"), said("toe through."), said("tip toe toe"), said("through.")]


@pytest.fixture(scope="module")
def vocabulary(tiny_model):
    llm = read_config(tiny_model).llm
    return Vocabulary(tiny_model / "LLM" / "tokenizer.json", llm.eos_token_id, llm.vocab_size)


def test_a_page_is_words_with_the_phones_they_were_spoken_with(vocabulary):
    pages, names = Pages(vocabulary, ONES, 800, 3), inventory(ONES)
    batch = pages(5)
    assert batch.ids.shape == (4, 192) and not batch.counts.any()
    spelt = pronunciations(batch, names, vocabulary).reshape(4, 192, -1)
    for row in range(4):
        _, pieces = text_pieces(batch.ids[row], vocabulary)
        words = re.split(r"[\u0120 ]", "".join(pieces))
        taught = spelt[row][(spelt[row] >= 0).any(1)]
        assert [" ".join(names[n] for n in word if n) for word in taught] == [SPOKEN[word] for word in words]
        assert len(words) > 20


def test_rare_words_come_more_often_than_they_are_said(vocabulary):
    common = [said("toe")] * 99 + [said("tip")]
    drawn = Counter(word for n in range(20) for row in Pages(vocabulary, common, 2000, 0)(n).pronunciations for word in row)
    assert 0.05 < drawn["t", "ih", "p"] / drawn.total() < 0.15         # 1 : sqrt(99)


def test_pages_follow_from_seed_and_number(vocabulary):
    one, same, other = Pages(vocabulary, ONES, 400, 1), Pages(vocabulary, ONES, 400, 1), Pages(vocabulary, ONES, 400, 2)
    np.testing.assert_array_equal(one(7).ids, same(7).ids)
    assert (one(7).ids != one(8).ids).any() and (one(7).ids != other(7).ids).any()


def test_phones_are_learnt_from_pages_alone_and_layers_above_stay(tiny_model, tmp_path):
    run = trainer(tiny_model, tmp_path, ONES, replace(HOW, pages=1, decay=0.0))
    before = {name: p.asnumpy().copy() for name, p in run.network.parameters_and_names()}
    entries = []
    run.train(report=entries.append)
    misread = [entry["misread"] for entry in entries if "misread" in entry]
    assert len(misread) == 2 and misread[1] < 0.7 * misread[0]
    assert not any("loss" in entry for entry in entries)
    moved = {name for name, p in run.network.parameters_and_names() if (p.asnumpy() != before[name]).any()}
    assert "speller.weight" in moved and "layers.0.self_attn.q_proj.weight" in moved
    assert not any(name.startswith((f"layers.{run.network.middle}.", "norm.", "reader.")) for name in moved)


def test_a_killed_run_reads_the_same_pages_again(tiny_model, tmp_path):
    trainer(tiny_model, tmp_path / "whole", ONES, replace(HOW, pages=3)).train()
    with pytest.raises(Killed):
        trainer(tiny_model, tmp_path / "killed", ONES, replace(HOW, pages=3)).train(killed_at(13))
    trainer(tiny_model, tmp_path / "killed", ONES, replace(HOW, pages=3)).train()
    whole, killed = ((tmp_path / name / "state.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == killed


def test_pages_need_phones(tiny_model, vocabulary):
    with pytest.raises(InputError, match="--phones"):
        Settings(pages=2)
    with pytest.raises(InputError, match="word_ends and phones"):
        Pages(vocabulary, [EncodedRecording("tip", None, None, [], [], 0.0, 1.0)], 400, 0)
