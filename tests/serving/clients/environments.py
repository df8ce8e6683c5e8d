"""Client libraries in environments of their own (make speech-clients), which call the server."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.helpers import ROOT

FOLDER = Path(__file__).parent


def python_of(environment):
    """The Python of an environment, such as "wyoming"; skips the test where it is missing."""
    python = ROOT / f".venv-clients-{environment}" / "bin" / "python"
    if not (python.parents[1] / ".ready").exists():
        pytest.skip(f"needs .venv-clients-{environment}: make speech-clients")
    return python


def call(environment, script, *arguments, timeout=300):
    """Run a script of this folder in an environment; returns what it writes as its last line, which
    is JSON."""
    command = [str(python_of(environment)), str(FOLDER / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def spoken_seconds(server):
    """Of speech that the server has made for clients of OpenAI's protocol."""
    return server.metrics.audio_seconds.labels("openai")._value.get()
