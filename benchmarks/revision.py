"""Another revision of this repository, as a folder whose code is measured."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from benchmarks.worker import ROOT

# What is measured takes the packages and the command line; the rest are texts and test data.
LEFT_OUT = ("pretrained_models", "tests", "docs")


class RevisionError(Exception):
    """A revision that git does not have here."""


def checked_out(revision: str, folder: Path = ROOT / ".cache" / "against") -> Path:
    """The files of a git revision, in a subfolder of `folder` named after its commit: those of an
    earlier call, or complete ones. Raises RevisionError."""
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not commit:
        raise RevisionError(
            f"git has no revision {revision} here; --against takes a commit, a tag or a branch, as "
            "`git log --oneline` lists them.")
    target = folder / commit.decode().strip()
    if target.is_dir():
        return target
    archive = _git("archive", target.name, "--", ".", *(f":(exclude){name}" for name in LEFT_OUT))
    if not archive:
        raise RevisionError(f"git cannot archive the revision {revision}.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        tree = Path(scratch) / "tree"
        tree.mkdir()
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True)
        tree.rename(target)
    return target


def _git(*arguments: str) -> bytes:
    """What git writes to stdout; empty where it fails or is not there."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True).stdout
    except OSError:
        return b""
