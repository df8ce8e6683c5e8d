"""The paragraphs of a text: lines of one sentence, or of one list item, are joined.

A line goes on in the next one unless its sentence ends, an empty line or a list item follows, or
it is a heading. Only line feeds (with or without a carriage return) end lines. Other characters
that separate lines (U+2028, U+0085, form feeds) are white space within a text.
"""

import re

from sparktts_ms.text.sentences import ends_sentence
from sparktts_ms.text.syllables import CJK

LIST_ITEM = re.compile(
    r"(?:[-*+•·‣▪◦●○■□◆]|\d{1,3}\.|#{1,6}|>)\s+\S"              # "- apples", "1. Start."
    r"|[(（]?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[)）]\s*\S"      # "2) Stop.", "(b) later"
    r"|\d{1,3}、|[①-⑳]"
    r"|[一二三四五六七八九十]{1,3}、|[(（][一二三四五六七八九十]{1,3}[)）]")
HEADING = re.compile(
    r"#{1,6}\s.*"
    r"|(?i:chapter|part|section|act|scene|volume|book)\s+(?:\d{1,3}|[IVXLC]{1,6}"
    r"|(?i:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve))(?:[.:]\s.*)?"
    r"|第[0-9零〇一二三四五六七八九十百]{1,5}[章回节卷部篇幕](?:[\s：:].*)?")
INDENT = "\u3000\u3000"         # with which a Chinese paragraph begins
RULE = re.compile(r"[-=_*~#\s]+")                               # "-----" between two parts
WIDE = f"\u2e80-\u303f{CJK}\uff01-\uff65\U00020000-\U0003ffff"   # Hangul has spaces between words
NARROW_OR_WIDE = "“”‘’…—·"                                      # of either kind of script
WIDE_MARKS = "\u3001-\u3003\u3008-\u3011\uff01-\uff0f\uff1a-\uff20\uff5b-\uff65"
NO_SPACE = re.compile(                  # at the join of two lines, which is marked by a line feed
    rf"[{WIDE}]\n[{WIDE}{NARROW_OR_WIDE}]|[{NARROW_OR_WIDE}]\n[{WIDE}]"
    rf"|[{WIDE_MARKS}]\n|.\n[{WIDE_MARKS}]|[^\W\d_]-\n[^\W\d_]|\u00ad\n")


def split_paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each of them one line; white space within them is one space.

    Between two lines there is a space unless they meet in Chinese or Japanese, or in a hyphen.
    """
    paragraphs: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        indented = line.startswith(INDENT)
        parts = [part.strip() for part in line.splitlines()]        # at U+2028 and the like
        line = _join([part for part in parts if part])
        if lines and (not line or indented or LIST_ITEM.match(line) or _ends_paragraph(lines[-1])
                      or RULE.fullmatch(line)):
            paragraphs.append(_join(lines))
            lines = []
        if line:
            lines.append(line)
    if lines:
        paragraphs.append(_join(lines))
    return paragraphs


def _ends_paragraph(line: str) -> bool:
    return bool(ends_sentence(line) or HEADING.fullmatch(line) or RULE.fullmatch(line))


def _join(lines: list[str]) -> str:
    """Lines that belong together, as one; white space is one space."""
    joined = ""
    for line in lines:
        space = " " if joined and not NO_SPACE.search(f"{joined[-2:]}\n{line[0]}") else ""
        joined += space + " ".join(line.split())
    return joined
