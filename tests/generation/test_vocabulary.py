"""Vocabulary: token families, and tokenizers that are not Spark-TTS's."""

import json
import os

import numpy as np
import pytest

from sparktts_ms.config_files import read_config
from sparktts_ms.errors import InputError, ModelError
from sparktts_ms.generation.vocabulary import TokenRange, Vocabulary, read_ahead, read_tokenizer


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


def with_token(description, **fields):
    """The description with other fields in its first added token."""
    first, *others = description["added_tokens"]
    return {**description, "added_tokens": [{**first, **fields}, *others]}


@pytest.mark.parametrize("fields", [
    {"id": -1}, {"id": 10**30}, {"id": 1.5}, {"id": float("inf")}, {"id": "3"}, {"id": None},
    {"id": True}, {"content": None}, {"content": ["a"]}, {"content": 7}])
def test_added_token_without_sense(load, description, fields):
    with pytest.raises(ModelError, match="not a Spark-TTS tokenizer") as error:
        load(with_token(description, **fields))
    assert str(error.value).isprintable() and len(str(error.value)) < 400


def test_number_of_many_digits_in_a_token(load, description):
    with pytest.raises(ModelError, match="missing or not consecutive"):
        load(rename(description, "<|gender_0|>", "<|gender_" + "9" * 5000 + "|>"))


@pytest.mark.parametrize("change", [
    {"added_tokens": {}}, {"added_tokens": [3]}, {"added_tokens": "x"}, {"model": None},
    {"model": {"type": "x" * 10**4}}, {"model": {"type": "BPE", "vocab": {"a": 10**9}}},
    {"version": "x" * 10**6}, {"pre_tokenizer": {"type": "Split", "pattern": "x" * 10**5}},
    {"normalizer": [[[]]]}])
def test_description_without_sense(load, description, change):
    with pytest.raises(ModelError, match="not a Spark-TTS tokenizer") as error:
        load({**description, **change})
    assert str(error.value).isprintable() and len(str(error.value)) < 400


def test_ids_of_the_vocabulary_beyond_the_embedding(load, description, config):
    table = description["model"]["vocab"]
    unused = {f"surplus {n}": len(table) + n for n in range(config.llm.vocab_size)}
    with pytest.raises(ModelError, match="beyond the language model"):
        load({**description, "model": {**description["model"], "vocab": {**table, **unused}}})
    table = {**table, "Z": config.llm.vocab_size}
    vocabulary = load({**description, "model": {**description["model"], "vocab": table}})
    assert vocabulary.encode("A")
    with pytest.raises(ModelError, match="beyond the language model"):
        vocabulary.encode("Z")


def test_added_tokens_may_come_anywhere_but_once(load, description, tmp_path):
    fields = list(description.items())
    last = [*(field for field in fields if field[0] != "added_tokens"),
            ("added_tokens", description["added_tokens"])]
    assert load(dict(last)).encode("Hi <|gender_0|>") == load(description).encode("Hi <|gender_0|>")
    path = tmp_path / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    again = json.dumps({"added_tokens": description["added_tokens"]})
    path.write_text(f"{text[:-1]},{again[1:]}", encoding="utf-8")
    with pytest.raises(ModelError, match="not a Spark-TTS tokenizer"):
        read_tokenizer(path)


def test_reading_ahead(load, description, config, tmp_path):
    ids = load(description).encode("Hi.")
    path = tmp_path / "tokenizer.json"
    read_ahead(path)
    vocabulary = Vocabulary(path, config.llm.eos_token_id, config.llm.vocab_size)
    assert vocabulary.encode("Hi.") == ids
    missing = tmp_path / "missing" / "tokenizer.json"
    read_ahead(missing)
    with pytest.raises(ModelError, match="is missing"):
        Vocabulary(missing, 0, 10)


def test_files_that_are_no_tokenizer(tmp_path):
    path = tmp_path / "tokenizer.json"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    deep = b'{"version":' + b"[" * 10**6
    for content, problem in ((pointer, "git-lfs pointer"), (deep, "nested too deeply"),
                             (b"x" * (33 << 20), "larger than 32 MB"), (b"", "cannot be read")):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=problem):
            Vocabulary(path, 0, 10)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match="no regular file"):
        Vocabulary(path, 0, 10)


def test_tokenizer_with_a_byte_order_mark(tmp_path, description, config):
    path = tmp_path / "tokenizer.json"
    path.write_text("\ufeff" + json.dumps(description), encoding="utf-8")
    assert Vocabulary(path, config.llm.eos_token_id, config.llm.vocab_size).encode("Hi.")


def test_slow_tokenizer_alone_is_named(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(ModelError, match=r"vocab\.json and merges\.txt alone .*AutoTokenizer"):
        Vocabulary(tmp_path / "tokenizer.json", 0, 10)
