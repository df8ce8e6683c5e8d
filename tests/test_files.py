"""Files are written completely or not at all, and settings are read with one clear error."""

import pytest

from sparktts_ms.errors import ModelError, OutputError
from sparktts_ms.files import atomic_write, check_writable, read_mapping, unused_path


def test_atomic_write_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "a.bin"
    with atomic_write(path) as stream:
        stream.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_atomic_write_leaves_nothing_after_an_error(tmp_path, overwrite):
    with pytest.raises(ValueError), atomic_write(tmp_path / "a.bin", overwrite) as stream:
        stream.write(b"abc")
        raise ValueError
    assert not list(tmp_path.iterdir())


def test_atomic_write_keeps_existing_files(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OutputError, match="exists already") as caught, atomic_write(path) as stream:
        stream.write(b"new")
        path.write_bytes(b"old")        # another process is faster
    assert caught.value.subject == path
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_overwrites_the_target_of_a_link(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(path)
    with atomic_write(link, overwrite=True) as stream:
        stream.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


def test_check_writable_refuses_a_file(tmp_path):
    check_writable(tmp_path / "folder")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file has that name"):
        check_writable(tmp_path / "file")


def test_unused_path(tmp_path):
    names = []
    for _ in range(3):
        path = unused_path(tmp_path, "take.1", ".wav")
        path.touch()
        names.append(path.name)
    assert names == ["take.1.wav", "take.1-2.wav", "take.1-3.wav"]


@pytest.mark.parametrize("name, text, problem", [
    ("a.json", "{", "cannot be read"),
    ("a.yaml", "{ not: [settings", "cannot be read"),
    ("a.json", "[1]", "holds no settings"),
    ("a.yaml", "", "holds no settings")])
def test_read_mapping_errors(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=problem) as caught:
        read_mapping(tmp_path / name)
    assert caught.value.subject == tmp_path / name
    assert "\n" not in str(caught.value)


def test_read_mapping_of_a_missing_file(tmp_path):
    with pytest.raises(OutputError, match=r"missing\. Make one\."):
        read_mapping(tmp_path / "a.json", error=OutputError, missing_hint="Make one.")


def test_read_mapping(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    (tmp_path / "a.yaml").write_text("a: 1")
    assert read_mapping(tmp_path / "a.json") == read_mapping(tmp_path / "a.yaml") == {"a": 1}
