"""Show what will be said for a text: python -m cli.normalize "Room 5, 3:30 pm"

Numbers and symbols become words as they do before synthesis; no model is loaded.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from cli.common import Parser, run_command
from sparktts_ms.errors import InputError
from sparktts_ms.text.normalize import Step, explain, normalize
from sparktts_ms.text.paragraphs import split_paragraphs


def build_parser() -> Parser:
    parser = Parser(
        prog="python -m cli.normalize",
        description="Show what will be said for texts: their numbers and symbols in words, one "
                    "line for each paragraph; for each line of standard input.")
    parser.add_argument("text", nargs="*", metavar="TEXT",
                        help="a text; - or none at all: the lines of standard input, in UTF-8")
    parser.add_argument("--explain", action="store_true",
                        help="also show which rule said which part, by the rule's example")
    parser.add_argument("--language", choices=("auto", "zh", "en"), default="auto",
                        help="auto: that of each clause")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0: done, 2: error, 130: Ctrl-C."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    if not args.text and sys.stdin.isatty():
        parser.error("give a text, or - for standard input")
    return run_command(lambda: run(args), "Interrupted.")


def run(args: argparse.Namespace) -> None:
    language = None if args.language == "auto" else args.language
    try:
        for text in read_texts(args.text or ["-"]):
            print(normalize(text, language))
            if args.explain:
                for step in explain(text, language):
                    print(describe(step))
        sys.stdout.flush()
    except BrokenPipeError:             # of a pager or `head` that has seen enough
        sys.stdout = None               # type: ignore[assignment]


def read_texts(arguments: Sequence[str]) -> Iterator[str]:
    """The paragraphs of the texts, and the lines of standard input; raises InputError for what is
    not Unicode."""
    for argument in arguments:
        if argument == "-":
            yield from read_standard_input()
            continue
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise not_unicode("A text") from None
        yield from split_paragraphs(argument) or [""]


def read_standard_input() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise not_unicode(f"Line {number} of standard input") from None
        yield text.rstrip("\r\n")


def not_unicode(subject: str) -> InputError:
    return InputError(f"{subject} is not UTF-8.", "Save or convert it as UTF-8.",
                      code="not_unicode")


def describe(step: Step) -> str:
    """`$5 -> five dollars    by: $3 million -> three million dollars`, in one line."""
    return f"    {step.matched} -> {step.spoken}    by: {step.rule.example}"


if __name__ == "__main__":
    sys.exit(main())
