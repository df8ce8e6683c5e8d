"""Fixtures that all tests share: golden data, the tiny model, and one loaded model per process."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:         # the workers share the cores: one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests keep nothing in the user's cache of weights; those of the cache name a folder.
os.environ["SPARKTTS_WEIGHT_CACHE"] = "0"

import pytest
from hypothesis import settings

from sparktts_ms import SparkTTS
from sparktts_ms.ops.native import library
from sparktts_ms.runtime import Runtime
from tests.helpers import GOLDEN, generate_model

settings.register_profile("ci", max_examples=25, deadline=None)
settings.register_profile("nightly", max_examples=100, deadline=None)
settings.load_profile("ci")             # --hypothesis-profile=nightly chooses the other one


def pytest_configure() -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        library.build()                 # once, before all workers need it


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN / "tiny"


@pytest.fixture(scope="session")
def wavs(golden) -> Path:
    return golden / "wavs"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return generate_model(tmp_path_factory.mktemp("model") / "tiny", "--size", "tiny")


@contextmanager
def operators(form: str) -> Iterator[None]:
    """Compute with the CPU kernels ("native") or with MindSpore's own operators ("plain")."""
    with pytest.MonkeyPatch.context() as patch:
        if form == "plain":
            patch.setenv("SPARKTTS_NATIVE", "0")
        else:
            patch.delenv("SPARKTTS_NATIVE", raising=False)
        Runtime.start("CPU")
        if form == "native" and not library.enabled():
            pytest.skip("no C++ compiler here")
        yield
    Runtime.start("CPU")


@pytest.fixture(scope="module", params=["native", "plain"])
def form(request):
    """Both forms of every operator: the CPU kernels, and MindSpore's own operators.

    The operators' own tests, the codec's stages and a few golden runs prove the plain form (marker
    `both_forms`); in all other tests it is `slow`.
    """
    with operators(request.param):
        yield request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        callspec = getattr(item, "callspec", None)
        plain = callspec is not None and callspec.params.get("form") == "plain"
        if plain and item.get_closest_marker("both_forms") is None:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def kernels():
    """The CPU kernels."""
    with operators("native"):
        yield library


@pytest.fixture(scope="session")
def shared_tts(tiny_model) -> Callable[..., SparkTTS]:
    """The tiny model, loaded and compiled once per process for each form, mode and data type.

    shared_tts(mode="graph", quantize="none") returns it. Tests leave it as they found it: nothing
    active in its engine, attributes patched by monkeypatch only. Whoever counts compiled graphs or
    cached voices loads a model of his own.
    """
    loaded: dict[tuple, SparkTTS] = {}

    def load(mode: str = "graph", quantize: str = "none") -> SparkTTS:
        key = os.environ.get("SPARKTTS_NATIVE"), mode, quantize
        if key not in loaded:
            loaded[key] = SparkTTS.from_pretrained(
                tiny_model, device_target="CPU", mode=mode, quantize=quantize)
        return loaded[key]

    return load
