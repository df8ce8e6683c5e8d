"""The documents: short READMEs that agree, links that resolve, commands that exist."""

import re

import pytest

from tests.helpers import ROOT

READMES = [ROOT / "README.md", ROOT / "README_zh.md"]
DOCUMENTS = [
    *READMES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "tests" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "recipes").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)|src=\"([^\"]+)\"")
DIALECT = re.compile(
    r"\b(garbl|drill|stray|astray|shelf|luck|in company|made[- ]up|teacher(?!-forc)|wires|pupil"
    r"|misread|listener|practise|surroundings|coloured|the house|voice in the box)", re.IGNORECASE)


def by_path(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def commands(text: str) -> list[str]:
    """The lines of all bash blocks without comments; what is spoken differs by language."""
    lines = []
    for block in text.split("```bash")[1:]:
        for line in block.split("```")[0].splitlines():
            lines.append(re.sub(r'--text ".*?"', "--text", line.split("#")[0]).strip())
    return lines


@by_path(READMES)
def test_readme_is_at_most_150_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 150


def test_readmes_show_the_same_commands():
    english, chinese = (path.read_text(encoding="utf-8") for path in READMES)
    assert commands(english) == commands(chinese)


@by_path(DOCUMENTS)
def test_links_resolve(path):
    for match in LINK.finditer(path.read_text(encoding="utf-8")):
        target = match[1] or match[2]
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), target


@by_path(sorted((ROOT / "docs" / "zh").glob("*.md")))
def test_chinese_documents_show_the_same_commands(path):
    english = (ROOT / "docs" / path.name).read_text(encoding="utf-8")
    assert commands(english) == commands(path.read_text(encoding="utf-8"))


@by_path([path for path in DOCUMENTS if path.name != "CHANGELOG.md"])       # it has old names
def test_documents_use_standard_terms(path):
    assert not DIALECT.findall(path.read_text(encoding="utf-8"))


def test_flags_in_documents_exist():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    known = set(re.findall(r"`(--[a-z_0-9]+)", text))
    for path in DOCUMENTS:
        if path.name in ("CHANGELOG.md", "CONTRIBUTING.md", "dependencies.md"):
            continue                    # they also name old flags and other tools'
        for command in commands(path.read_text(encoding="utf-8")):
            if re.search(r"python (-m (cli|evaluation)|convert\.py)", command):
                for flag in re.findall(r"(?<!\S)--[a-z_0-9]+", command):
                    assert flag in known, f"{path.name}: {flag}"
