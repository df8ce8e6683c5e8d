"""docs/cli.md is up to date."""

from tools.generate_cli_docs import DOCS, MODULES, render


def test_cli_docs_are_up_to_date():
    message = "run `python -m tools.generate_cli_docs` and commit docs/cli.md"
    assert DOCS.read_text(encoding="utf-8") == render(), message


def test_deprecated_flags_are_not_listed():
    text = render()
    assert text.count("\n## ") == len(MODULES)
    for flag in ("--no-normalize", "--weights", "--allow_origin", "--out ", "--holdout"):
        assert f"`{flag}" not in text
