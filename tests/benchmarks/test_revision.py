"""The files of another revision."""

import subprocess

import pytest

from benchmarks import revision
from benchmarks.revision import RevisionError, checked_out


@pytest.fixture
def repository(tmp_path, monkeypatch):
    root = tmp_path / "repository"

    def git(*arguments):
        identity = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)

    for name in ("sparktts_ms/a.py", "tests/big.py", "pretrained_models/big.bin"):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text("old")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("tag", "old")
    (root / "sparktts_ms" / "a.py").write_text("new")
    git("commit", "-q", "-a", "-m", "two")
    monkeypatch.setattr(revision, "ROOT", root)
    return root


def test_the_files_of_a_revision(repository, tmp_path):
    tree = checked_out("old", tmp_path / "against")
    assert (tree / "sparktts_ms" / "a.py").read_text() == "old"
    assert sorted(path.name for path in tree.iterdir()) == ["sparktts_ms"]


def test_an_earlier_checkout_is_used_again(repository, tmp_path):
    first = checked_out("old", tmp_path / "against")
    (first / "mark").touch()
    assert checked_out("old", tmp_path / "against") == first and (first / "mark").exists()
    assert checked_out("HEAD", tmp_path / "against") != first


@pytest.mark.parametrize("name", ["absent", "--output=x", ""])
def test_an_unknown_revision_is_one_line(repository, tmp_path, name):
    with pytest.raises(RevisionError, match=r"git has no revision .* here; --against takes"):
        checked_out(name, tmp_path / "against")
    assert not (tmp_path / "against").exists()


def test_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RevisionError):
        checked_out("HEAD", tmp_path / "against")
