"""Fixtures that all tests share."""

from pathlib import Path

import pytest

from sparktts_ms.ops.native import library
from sparktts_ms.runtime import Runtime
from tests.helpers import GOLDEN, generate_model


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN / "tiny"


@pytest.fixture(scope="session")
def wavs(golden) -> Path:
    return golden / "wavs"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return generate_model(tmp_path_factory.mktemp("model") / "tiny", "--size", "tiny")


@pytest.fixture(scope="module", params=["native", "plain"])
def form(request):
    """Both forms of every operator: the CPU kernels, and MindSpore's own operators."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setenv("SPARKTTS_NATIVE", "0")
        Runtime.start("CPU")
        if request.param == "native" and not library.enabled():
            pytest.skip("no C++ compiler here")
        yield request.param
    Runtime.start("CPU")


@pytest.fixture
def kernels(monkeypatch):
    """The CPU kernels, whatever the tests around this one use."""
    with monkeypatch.context() as patch:
        patch.delenv("SPARKTTS_NATIVE", raising=False)
        Runtime.start("CPU")
        if not library.enabled():
            pytest.skip("no C++ compiler here")
        yield library
    Runtime.start("CPU")
