"""Temporary files: what is removed when."""

import os
import time

from webui.temp_files import TempFiles


def test_old_files_are_removed():
    temp_files = TempFiles(max_age=100)
    old = temp_files.write("a.wav", b"x")
    new = temp_files.write("a.wav", b"x")
    os.utime(old, (time.time() - 200,) * 2)
    temp_files.remove_old()
    assert not old.exists() and new.exists()
    temp_files.close()
    assert not temp_files.folder.exists()


def test_remove_leaves_nothing_of_a_file():
    temp_files = TempFiles()
    path = temp_files.copy(temp_files.write("a.wav", b"x"))
    temp_files.remove(path)
    assert not path.parent.exists() and len(list(temp_files.folder.iterdir())) == 1
    temp_files.close()
