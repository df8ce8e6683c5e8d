"""Fixtures of the training tests: the tiny model in PyNative mode and two encoded recordings."""

import pytest

from tests.helpers import encode_two_recordings


@pytest.fixture(scope="session")
def tts(shared_tts):
    return shared_tts(mode="pynative")


@pytest.fixture(scope="session")
def recordings(tts, wavs, tmp_path_factory):
    return encode_two_recordings(tts, wavs, tmp_path_factory.mktemp("encoded"))
