"""What tests of batch work share: an input of lines, and a run with fake workers."""

import json

import pytest

from sparktts_ms.batch.input_file import open_input
from sparktts_ms.batch.line import Defaults
from sparktts_ms.batch.manifest import read_entries
from sparktts_ms.batch.output import open_output
from sparktts_ms.batch.run import BatchRun
from sparktts_ms.batch.voices import Voices
from sparktts_ms.serving.voices.store import VoiceStore
from tests.batch.fake_workers import FakeWorkers


def write_lines(path, lines):
    """Write objects as JSON Lines; bytes as they are. Returns the path."""
    content = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join([*content, b""]))
    return path


def entries(folder):
    """The last entry of each id."""
    return {entry["id"]: entry for entry in read_entries(folder)}


@pytest.fixture
def batch(tmp_path):
    """A run of lines with fake workers in a folder: batch(lines, **options of BatchRun); returns
    its progress and the workers."""

    def run(lines, folder="out", fields=(("voice", "alloy"),), seed=0, workers=None, **options):
        workers = workers or FakeWorkers()
        path = write_lines(tmp_path / "lines.jsonl", lines)
        defaults = Defaults(dict(fields), seed, tmp_path)
        with open_input(str(path)) as source, \
                open_output(tmp_path / folder, "wav", {"seed": seed}) as output:
            voices = Voices(VoiceStore(tmp_path / "voices"))
            progress = BatchRun(source, defaults, output, voices, lambda: workers, **options).run()
        return progress, workers

    return run
