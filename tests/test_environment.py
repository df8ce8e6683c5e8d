"""Libraries of other versions: one line before MindSpore is imported, for every command."""

import subprocess
import sys

import pytest

import sparktts_ms
from tests.helpers import ROOT

COMMANDS = (*(f"cli.{path.stem}" for path in sorted((ROOT / "cli").glob("[a-z]*.py"))
              if path.stem != "common"), "convert", "evaluation")


@pytest.fixture
def other_numpy(tmp_path, monkeypatch):
    """A NumPy 2 before the installed one; MindSpore must not be imported."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text('__version__ = "2.2.6"')
    (tmp_path / "mindspore.py").write_text("raise AssertionError('imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_name_the_numpy_to_install(other_numpy, command):
    done = subprocess.run([sys.executable, "-m", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: NumPy 2.2.6 is installed")
    assert f"numpy=={sparktts_ms.NUMPY}" in line


def test_import_of_the_library_is_refused(other_numpy):
    program = ("import sparktts_ms\n"
               "try: sparktts_ms.SparkTTS\n"
               "except ImportError as error: print(error)")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("NumPy 2.2.6 is installed") and not done.stderr


def test_missing_library_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError(\"No module named 'numpy'\")")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, "-m", "cli.inference"], cwd=ROOT, capture_output=True,
                          text=True)
    assert done.returncode == 2
    assert done.stderr == "error: No module named 'numpy'. pip install -r requirements.txt\n"


def test_named_version_is_the_pinned_one():
    assert f"numpy=={sparktts_ms.NUMPY}" in (ROOT / "requirements.txt").read_text().splitlines()
