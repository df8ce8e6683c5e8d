"""Write docs/cli.md from the argument parsers: python -m tools.generate_cli_docs

A test compares the file with what this makes, so run it after changing an option.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
MODULES = (
    "cli.inference",
    "cli.batch",
    "cli.serve",
    "cli.webui",
    "cli.download",
    "cli.finetune",
    "cli.doctor",
    "cli.normalize",
    "convert",
    "evaluation.__main__",
)
HEADER = """# Command lines

Generated from the argument parsers by `python -m tools.generate_cli_docs`; do not edit.
Exit status of all commands: 0, 2 after an error (one line on stderr), 130 after Ctrl-C; of
`cli.batch` 1 where lines failed.
"""


def render() -> str:
    """The Markdown of all commands."""
    parsers = [import_module(name).build_parser() for name in MODULES]
    return "\n".join([HEADER, *map(command_section, parsers)])


def command_section(parser: argparse.ArgumentParser) -> str:
    lines = [f"## `{parser.prog}`", "", (parser.description or "").strip(), ""]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if is_listed(action)]
        if not actions:
            continue
        if group.title not in ("options", "positional arguments"):
            lines += [f"### {str(group.title).capitalize()}", ""]
        lines += ["| Option | Default | Meaning |", "|---|---|---|"]
        lines += [table_row(parser, action) for action in actions]
        lines.append("")
    if parser.epilog:
        lines += [parser.epilog.strip(), ""]
    return "\n".join(lines)


def is_listed(action: argparse.Action) -> bool:
    is_help = isinstance(action, argparse._HelpAction)
    return not is_help and action.help != argparse.SUPPRESS


def table_row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    option = " ".join([", ".join(action.option_strings), *value_names(action)]).strip()
    values = {**vars(action), "prog": parser.prog}
    meaning = (action.help or "") % values
    cells = [f"`{option}`", default_text(action), meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def value_names(action: argparse.Action) -> list[str]:
    """What follows the flag: nothing, one of the choices, or the name of a value."""
    if action.nargs == 0:
        return []
    if action.metavar is not None:
        return [str(action.metavar)]
    if action.choices is not None:
        return ["{" + ",".join(map(str, action.choices)) + "}"]
    return [action.dest.upper()]


def default_text(action: argparse.Action) -> str:
    if action.required:
        return "required"
    if action.nargs == 0 or action.default in (None, "", []):
        return ""
    return f"`{action.default}`"


if __name__ == "__main__":
    DOCS.write_text(render(), encoding="utf-8")
    print(DOCS)
