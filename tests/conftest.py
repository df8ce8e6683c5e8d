"""Fixtures every room shares: where the golden arrays lie, and the generated model they were made on."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.ops.native import library
from sparktts_ms.qwen2.language_model import CHUNK
from sparktts_ms.qwen2.sampling import survivors
from sparktts_ms.runtime import Runtime

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


def generate_model(folder: Path, *flags: str) -> Path:
    """Write a seeded random-weight model directory in the released layout (see tools/make_checkpoint.py)."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "make_checkpoint.py"), str(folder), *flags],
                   check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN / "tiny"


@pytest.fixture(scope="session")
def wavs(golden) -> Path:
    return golden / "wavs"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return generate_model(tmp_path_factory.mktemp("model") / "tiny", "--size", "tiny")


class OneSequence:
    """A sequence in slot 0, fed by hand."""

    def __init__(self, model, head):
        self.model, self.head, self.length = model, head, 0

    def open(self, prompt):
        """Read all of `prompt` but its last id; returns the logits [N - 1, R] of every position."""
        logits, everything = [], np.tile(np.int32([[0, len(self.head.ids)]]), (CHUNK, 1))
        for start in range(0, len(prompt) - 1, CHUNK):
            ids = np.asarray(prompt[start:min(start + CHUNK, len(prompt) - 1)])
            states = self.model.read(0, ids, start)
            logits.append(self.head.logits(states, Tensor(everything[:len(states)])).asnumpy()[:len(ids)])
        self.length = len(prompt) - 1
        return np.concatenate(logits) if logits else None

    def feed(self, token):
        """Append one id; returns the logits [R] of what may follow."""
        rows = np.arange(len(self.head.ids))
        scores = self.head.step(np.array([token]), np.array([self.length]), np.array([0]), np.array([[0, len(rows)]]))
        self.length += 1
        return scores.of(0, rows, 0)[1]


def probabilities(logits, sampling):
    """What is drawn from, as a distribution [N] over all of `logits`."""
    kept, weights = survivors(logits, sampling)
    result = np.zeros(len(logits))
    result[kept] = weights
    return result


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
