"""A text of any length as parts that can be spoken one by one: cut at sentence ends, else at pauses, else between words.

Nothing is lost or changed but white space: the parts, one after the other, are the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

LONGEST = 90.0          # of a part, in syllables: about 20 s, well before the model drifts (SPEC 16: 35 s)
SHORTEST = 8.0          # a part below this joins its neighbour, so that no part is only a word

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3040-\u30ff"
CLOSING = "\"'”’」』）)】》〉]"
STOPS = "。！？!?…"                     # end a sentence wherever they stand
CLAUSES = "，、；：,;:—"
ABBREVIATIONS = frozenset("""mr mrs ms dr prof sr jr st vs etc e.g i.e no vol fig al inc ltd co corp gen col lt capt sgt rev hon
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun approx dept est min max""".split())  # noqa: SIM905
SYLLABLES = re.compile(rf"[{HAN}]|[aeiouyAEIOUY]+|\d|[A-Z](?![a-z])")

PAUSES = {"paragraph": 0.6, "sentence": 0.3, "clause": 0.15, "word": 0.05}        # seconds


@dataclass(frozen=True)
class Part:
    """A stretch of text, and the seconds of silence that belong behind it."""

    text: str
    pause: float


def parts(text: str, longest: float = LONGEST) -> list[Part]:
    """The text as parts of at most `longest` syllables (about; one word is never cut unless it is longer than that)."""
    found: list[Part] = []
    paragraphs = [" ".join(line.split()) for line in text.splitlines()]
    for paragraph in filter(None, paragraphs):
        pieces: list[Part] = []
        for sentence in sentences(paragraph):
            pieces += _shortened(sentence, longest)
        pieces = _joined(pieces, longest)
        found += [*pieces[:-1], Part(pieces[-1].text, PAUSES["paragraph"])]
    return [*found[:-1], Part(found[-1].text, 0.0)] if found else []


def sentences(paragraph: str) -> list[str]:
    """A line of text cut behind each sentence; closing quotes and brackets stay with it."""
    cuts, at = [], 0
    while at < len(paragraph):
        mark = paragraph[at]
        at += 1
        if mark in STOPS or (mark == "." and _ends_sentence(paragraph, at - 1)):
            while at < len(paragraph) and paragraph[at] in STOPS + CLOSING + ".":
                at += 1
            cuts.append(at)
    return _cut(paragraph, cuts)


def syllables(text: str) -> float:
    """About how long a text takes to say: Han characters, groups of vowels, digits, capitals that are spelled."""
    return float(len(SYLLABLES.findall(text))) or 0.2 * len(text)


def _ends_sentence(text: str, dot: int) -> bool:
    """Whether a full stop ends a sentence: not in 3.14, example.com, e.g., Mr. X or J. R. Smith."""
    after = text[dot + 1:dot + 2]
    if after and not after.isspace() and after not in CLOSING + ".":
        return False
    word = re.split(r"[^\w.]", text[:dot])[-1].lower()
    if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"):
        return not text[dot + 1:].strip()
    return True


def _cut(text: str, cuts: list[int]) -> list[str]:
    return [piece for begin, end in pairwise([0, *cuts, len(text)]) if (piece := text[begin:end].strip())]


def _shortened(sentence: str, longest: float) -> list[Part]:
    """A sentence, cut at clauses, then words, then anywhere, until every piece is short enough."""
    if syllables(sentence) <= longest:
        return [Part(sentence, PAUSES["sentence"])]
    for kind, cuts in (("clause", [m.end() for m in re.finditer(rf"[{CLAUSES}](?=\D|$)[{re.escape(CLOSING)}]*", sentence)]),
                       ("word", [m.end() for m in re.finditer(rf"\s|(?<=[{HAN}])(?=[{HAN}])", sentence)])):
        pieces = _cut(sentence, cuts)
        if len(pieces) > 1:
            small = [part for piece in pieces for part in _shortened(piece, longest)]
            small = [Part(part.text, min(part.pause, PAUSES[kind])) for part in small]
            packed = _packed(small, longest)
            return [*packed[:-1], Part(packed[-1].text, PAUSES["sentence"])]
    middle = len(sentence) // 2
    return [part for piece in (sentence[:middle], sentence[middle:]) for part in _shortened(piece, longest)]


def _packed(pieces: list[Part], longest: float) -> list[Part]:
    """Neighbours put together as long as they fit."""
    packed: list[Part] = []
    for piece in pieces:
        if packed and syllables(both := _together(packed[-1].text, piece.text)) <= longest:
            packed[-1] = Part(both, piece.pause)
        else:
            packed.append(piece)
    return packed


def _joined(pieces: list[Part], longest: float) -> list[Part]:
    """Very short sentences put together with the one before, or behind them."""
    joined: list[Part] = []
    for piece in pieces:
        short = joined and min(syllables(joined[-1].text), syllables(piece.text)) < SHORTEST
        if short and syllables(both := _together(joined[-1].text, piece.text)) <= longest:
            joined[-1] = Part(both, piece.pause)
        else:
            joined.append(piece)
    return joined


def _together(left: str, right: str) -> str:
    space = "" if re.search(rf"[{HAN}。！？，、；：…）」』】》]$", left) or re.match(rf"[{HAN}]", right) else " "
    return left + space + right
