"""Fixtures of the recipe's tests: the tiny model in PyNative mode and two encoded recordings."""

import pytest

from sparktts_ms.config_files import read_config
from sparktts_ms.generation.vocabulary import Vocabulary
from tests.helpers import encode_two_recordings


@pytest.fixture(scope="session")
def vocabulary(tiny_model):
    llm = read_config(tiny_model).llm
    return Vocabulary(tiny_model / "LLM" / "tokenizer.json", llm.eos_token_id, llm.vocab_size)


@pytest.fixture(scope="session")
def recordings(shared_tts, wavs, tmp_path_factory):
    tts = shared_tts(mode="pynative")
    return encode_two_recordings(tts, wavs, tmp_path_factory.mktemp("encoded"))
