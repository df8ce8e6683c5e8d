"""One process in an output folder at a time, also after a kill."""

import os
import signal
import subprocess
import sys

import pytest

from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.storage.output_lock import LOCK_FILE, lock_output
from tests.helpers import ROOT

HOLD = ("import sys, pathlib\n"
        "from sparktts_ms.storage.output_lock import lock_output\n"
        "with lock_output(pathlib.Path(sys.argv[1])):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()")


@pytest.fixture
def other_process(tmp_path):
    """Another process that holds the lock until it is killed or its input ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "out"], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_second_process_is_refused(tmp_path, other_process):
    with pytest.raises(InputError, match=f"process {other_process.pid}.*another folder"), \
            lock_output(tmp_path / "out"):
        pass
    other_process.communicate("")
    with lock_output(tmp_path / "out"):
        pass


def test_lock_of_a_killed_process_is_taken_over(tmp_path, other_process):
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    assert (tmp_path / "out" / LOCK_FILE).exists()
    with lock_output(tmp_path / "out"):
        assert (tmp_path / "out" / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / "out" / LOCK_FILE).exists()


def test_one_process_may_lock_again(tmp_path):
    with lock_output(tmp_path), lock_output(tmp_path / "."):
        pass
    assert not list(tmp_path.iterdir())


def test_folder_that_stays_empty_goes(tmp_path):
    with lock_output(tmp_path / "empty"):
        pass
    with lock_output(tmp_path / "used"):
        (tmp_path / "used" / "state").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("content")
    (tmp_path / LOCK_FILE).symlink_to("precious")
    with pytest.raises(OutputError), lock_output(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "content"
