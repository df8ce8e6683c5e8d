"""Vocabulary: token families, and tokenizers that are not Spark-TTS's."""

import json

import numpy as np
import pytest

from sparktts_ms.config_files import read_config
from sparktts_ms.errors import InputError, ModelError
from sparktts_ms.generation.vocabulary import TokenRange, Vocabulary


@pytest.fixture(scope="module")
def config(tiny_model):
    return read_config(tiny_model)


@pytest.fixture(scope="module")
def description(tiny_model):
    return json.loads((tiny_model / "LLM" / "tokenizer.json").read_text(encoding="utf-8"))


@pytest.fixture
def load(tmp_path, config):
    def load(description):
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(description), encoding="utf-8")
        return Vocabulary(path, config.llm.eos_token_id, config.llm.vocab_size)
    return load


def rename(description, old, new):
    tokens = [{**token, "content": new if token["content"] == old else token["content"]}
              for token in description["added_tokens"]]
    return {**description, "added_tokens": tokens}


def test_token_range():
    family = TokenRange(100, 5)
    assert 104 in family and 105 not in family and family[2] == 102
    assert family.values([99, 100, 7, 104]).tolist() == [0, 4]
    for number in (-1, 5):
        with pytest.raises(IndexError):
            family[number]


def test_utterance_ids_are_unique_and_begin_with_speech(load, description):
    vocabulary = load(description)
    ids = vocabulary.utterance_ids()
    count = vocabulary.bicodec_semantic.count
    assert len(np.unique(ids)) == len(ids)
    np.testing.assert_array_equal(ids[:count], vocabulary.bicodec_semantic.ids())
    assert ids[count:count + 2].tolist() == [vocabulary.end_semantic_token, vocabulary.end]
    assert {*vocabulary.gender.ids(), vocabulary.start_content} <= set(ids.tolist())


@pytest.mark.parametrize("old, new, match", [
    ("<|start_content|>", "<|other|>", "start_content"),
    ("<|gender_0|>", "<|other|>", "gender"),
    ("<|pitch_value_7|>", "<|pitch_value_2000|>", "pitch_value"),
])
def test_missing_tokens_are_named(load, description, old, new, match):
    with pytest.raises(ModelError, match=match):
        load(rename(description, old, new))


@pytest.mark.parametrize("added", [None, [1], [{"content": "x"}], [{"content": [], "id": 1}]])
def test_malformed_added_tokens(load, description, added):
    with pytest.raises(ModelError, match="added_tokens"):
        load({**description, "added_tokens": added})


def test_sizes_must_agree_with_the_model(load, description, tiny_model, config):
    with pytest.raises(ModelError, match="beyond"):
        Vocabulary(tiny_model / "LLM" / "tokenizer.json", config.llm.eos_token_id, 100)
    vocabulary = load(description)
    vocabulary.check_codec(config.bicodec)
    vocabulary.bicodec_semantic = TokenRange(0, 3)
    with pytest.raises(ModelError, match="belong together"):
        vocabulary.check_codec(config.bicodec)


def test_text_must_be_unicode(load, description):
    with pytest.raises(InputError) as error:
        load(description).encode("\ud800")
    assert error.value.code == "not_unicode"
