"""Fixtures every room shares: where the golden arrays lie, and the generated model they were made on."""

import subprocess
import sys
from pathlib import Path

import pytest

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
