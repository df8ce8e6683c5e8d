"""Files are written completely or not at all, and settings are read with one clear error."""

import errno
import os

import pytest

from sparktts_ms.errors import ModelError, OutputError, quoted
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


def test_atomic_write_claims_no_name_where_it_fails_at_last(tmp_path, monkeypatch):
    """On a file system without hard links the name is claimed before the file gets it."""
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", fail)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="Input/output error"), \
            atomic_write(tmp_path / "a.bin") as stream:
        stream.write(b"new")
    assert not list(tmp_path.iterdir())


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


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("name, content", [
    ("a.json", b'\xef\xbb\xbf{"a": 1}'), ("a.yaml", b"\xef\xbb\xbfa: 1")])
def test_byte_order_mark_is_left_out(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read_mapping(tmp_path / name) == {"a": 1}


MERGE_BOMB = "a0: &a0 {k: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))
ALIAS_BOMB = "a0: &a0 [1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
HOSTILE = {
    "lfs pointer": ("a.json", LFS_POINTER, "git-lfs pointer"),
    "lfs pointer as YAML": ("a.yaml", LFS_POINTER, "git-lfs pointer"),
    "lfs pointer with a BOM": ("a.json", b"\xef\xbb\xbf" + LFS_POINTER, "git-lfs pointer"),
    "UTF-16": ("a.json", '{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "empty": ("a.json", b"", "cannot be read"),
    "zeros": ("a.json", bytes(100), "cannot be read"),
    "deep JSON": ("a.json", b'{"a":' + b"[" * 200_000, "nested too deeply"),
    "deep flow YAML": ("a.yaml", b"a: " + b"[" * 60_000, "nested too deeply"),
    "deep block YAML": ("a.yaml", b"- " * 30_000, "nested too deeply"),
    "deep mapping YAML": ("a.yaml", b"{a: " * 15_000, "nested too deeply"),
    "merge bomb": ("a.yaml", MERGE_BOMB.encode(), "merge keys"),
    "number of many digits": ("a.json", b'{"a": ' + b"9" * 5000 + b"}", "cannot be read"),
    "YAML number of many digits": ("a.yaml", b"a: " + b"9" * 5000, "cannot be read"),
    "empty YAML int": ("a.yaml", b"a: !!int ''", "cannot be read"),
    "YAML bool of nothing": ("a.yaml", b"a: !!bool x", "cannot be read"),
    "YAML date of nothing": ("a.yaml", b"a: !!timestamp x", "cannot be read"),
    "Python object": ("a.yaml", b"a: !!python/object/apply:os.system ['id']", "cannot be read"),
    "control characters": ("a.yaml", b"a: \x1b[31m", "cannot be read"),
    "large JSON": ("a.json", b'{"a": "' + b"x" * (2 << 20) + b'"}', "larger than 1 MB"),
    "large YAML": ("a.yaml", b"a: " + b"x" * (1 << 20), "larger than"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_settings_are_one_short_line(tmp_path, what):
    name, content, problem = HOSTILE[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=problem) as caught:
        read_mapping(tmp_path / name)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_aliases_are_not_expanded(tmp_path):
    (tmp_path / "a.yaml").write_text(ALIAS_BOMB)
    values = read_mapping(tmp_path / "a.yaml")
    assert len(quoted(values)) <= 80 and len(quoted(values["a39"])) <= 80


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "loop.json").symlink_to("loop.json")
    (tmp_path / "nothing.json").symlink_to("none")
    for name, problem in (("pipe", "no regular file"), ("folder", "folder"),
                          ("device", "no regular file"), ("loop", "symbolic links"),
                          ("nothing", "missing")):
        with pytest.raises(ModelError, match=problem):
            read_mapping(tmp_path / f"{name}.json")


def test_links_lead_to_a_file_of_the_folder(tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text('{"a": 1}')
    model = tmp_path / "model"
    model.mkdir()
    (model / "a.json").symlink_to("../outside.json")
    with pytest.raises(ModelError, match="link that leads out"):
        read_mapping(model / "a.json")
    (model / "b.json").write_text('{"a": 2}')
    (model / "c.json").symlink_to("b.json")
    assert read_mapping(model / "c.json") == {"a": 2}
    (tmp_path / "link").symlink_to("model")
    assert read_mapping(tmp_path / "link" / "c.json") == {"a": 2}


def test_links_of_a_hugging_face_cache(tmp_path):
    """Its layout: a snapshot's files are links to blobs."""
    cache = tmp_path / "models--a--b"
    snapshot = cache / "snapshots" / "0123" / "LLM"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    (cache / "blobs" / "4567").write_text('{"a": 1}')
    (snapshot / "config.json").symlink_to("../../../blobs/4567")
    assert read_mapping(snapshot / "config.json") == {"a": 1}


@pytest.mark.parametrize("value", [
    "x" * 10**6, "\x1b[31m\n" * 50, ["x" * 10**6] * 10**5, {n: n for n in range(10**5)},
    1 << 10**5, b"\xff" * 10**6, None, 1.5, "短" * 200, "\ud800"], ids=range(10))
def test_quoted_values_are_short(value):
    assert quoted(value).isprintable() and len(quoted(value)) <= 80


def test_quoted_looks_as_in_python():
    assert [quoted(value) for value in ("a\n", 3, None, [1, 2], {"a": "b"})] == [
        r"'a\n'", "3", "None", "[1, 2]", "{'a': 'b'}"]
    nested = []
    nested.append(nested)
    assert quoted(nested).startswith("[[[")
