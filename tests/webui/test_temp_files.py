"""Temporary files: what is removed when."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from io import BytesIO

import pytest

from sparktts_ms.errors import OutputError
from tests.helpers import ROOT
from webui.temp_files import DAY, LOCK, PREFIX, TempFiles

HOLD = "import sys; from webui.temp_files import TempFiles; t = TempFiles(); t.write('a', b'x'); " \
       "print(t.workspace, flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    """Stands for the system's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def temp_files():
    temp_files = TempFiles(max_age=100)
    yield temp_files
    temp_files.close()


def test_old_files_are_removed(temp_files):
    old = temp_files.write("a.wav", b"x")
    new = temp_files.write("a.wav", b"x")
    private = temp_files.private / "voices" / "a.json"
    private.parent.mkdir()
    private.touch()
    for path in (old, private, private.parent, temp_files.folder, temp_files.private):
        os.utime(path, (time.time() - 200,) * 2)
    temp_files.remove_old()
    assert not old.exists() and not private.exists() and new.exists()
    assert temp_files.folder.exists() and temp_files.private.exists()


def test_closing_removes_everything(temporary_folder):
    temp_files = TempFiles()
    temp_files.write("a.wav", b"x")
    temp_files.close()
    assert not list(temporary_folder.iterdir())


def test_remove_leaves_nothing_of_a_file(temp_files):
    path = temp_files.copy(temp_files.write("a.wav", b"x"))
    temp_files.remove(path)
    assert not path.parent.exists() and len(list(temp_files.folder.iterdir())) == 1


def test_files_are_written_from_bytes_and_from_files(temp_files):
    source = BytesIO(b"content")
    source.read()
    assert temp_files.write("a", source).read_bytes() == b"content"
    assert temp_files.write("a", b"content").read_bytes() == b"content"


def test_a_copy_of_what_is_missing_is_one_error(temp_files, tmp_path):
    with pytest.raises(OutputError, match="cannot be read"):
        temp_files.copy(tmp_path / "missing.wav")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_no_temporary_folder_is_one_error(temporary_folder):
    temporary_folder.chmod(0o500)
    with pytest.raises(OutputError, match="no temporary folder"):
        TempFiles()


def test_a_start_sweeps_what_killed_processes_left(temporary_folder):
    env = {**os.environ, "TMPDIR": str(temporary_folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD]
    options = {"env": env, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen(command, **options) as killed,
        subprocess.Popen(command, **options) as living,
    ):
        dead = killed.stdout.readline().strip()
        kept = living.stdout.readline().strip()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert os.listdir(os.path.join(dead, "files"))
        TempFiles().close()
        assert [str(path) for path in temporary_folder.iterdir()] == [kept]
        assert os.listdir(os.path.join(kept, "files"))
        living.stdin.close()


def test_a_start_sweeps_only_workspaces(temporary_folder):
    old = time.time() - 2 * DAY
    others = temporary_folder / "other"
    made_now = temporary_folder / f"{PREFIX}made-now"           # not locked yet
    of_earlier_version = temporary_folder / f"{PREFIX}earlier"
    for folder in (others, made_now, of_earlier_version):
        folder.mkdir()
    os.utime(of_earlier_version, (old, old))
    link = temporary_folder / f"{PREFIX}link"
    (others / LOCK).touch()
    link.symlink_to(others)
    file = temporary_folder / f"{PREFIX}file"
    file.touch()
    TempFiles().close()
    assert not of_earlier_version.exists()
    assert (others / LOCK).exists() and made_now.exists() and link.is_symlink() and file.exists()
