"""A text of any length as parts that can be spoken one by one: cut at sentence ends, else at pauses, else between words.

Nothing is lost or changed but white space: the parts, one after the other, are the text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from itertools import pairwise

from sparktts_ms.text.syllables import SYLLABIC, count_syllables

MAX_SYLLABLES = 90.0          # of a part, in syllables: about 20 s, well before the model drifts (SPEC 16: 35 s)
MIN_SYLLABLES = 8.0          # a part below this joins its neighbour, so that no part is only a word

CLOSING = "\"'”’」』）)】》〉]"
STOPS = "。！？!?…"                     # end a sentence wherever they stand
CLAUSES = "，、；：,;:—"
ABBREVIATIONS = frozenset("""mr mrs ms dr prof sr jr st vs etc e.g i.e no vol fig al inc ltd co corp gen col lt capt sgt rev hon
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun approx dept est min max""".split())  # noqa: SIM905
CLAUSE_END = re.compile(rf"[{CLAUSES}](?=\D|$)[{re.escape(CLOSING)}]*")
WORD_END = re.compile(rf"\s|(?<=[{SYLLABIC}])(?=[{SYLLABIC}])")

PAUSES = {"paragraph": 0.6, "sentence": 0.3, "clause": 0.15, "word": 0.05}        # seconds


@dataclass(frozen=True)
class Segment:
    """A stretch of text, and the seconds of silence that belong behind it."""

    text: str
    pause: float


def split_text(text: str, longest: float = MAX_SYLLABLES) -> list[Segment]:
    """The text as parts of at most `longest` syllables (about; one word is never cut unless it is longer than that)."""
    found: list[Segment] = []
    paragraphs = [" ".join(line.split()) for line in text.splitlines()]
    for paragraph in filter(None, paragraphs):
        spans = [span for whole in _sentence_spans(paragraph) for span in _shortened(paragraph, whole, longest)]
        spans = _packed(paragraph, spans, longest, enough=MIN_SYLLABLES)
        found += [Segment(paragraph[span.begin:span.end], PAUSES[span.kind]) for span in spans]
        found[-1] = Segment(found[-1].text, PAUSES["paragraph"])
    return [*found[:-1], Segment(found[-1].text, 0.0)] if found else []


def split_sentences(paragraph: str) -> list[str]:
    """A line of text cut behind each sentence; closing quotes and brackets stay with it."""
    return [paragraph[span.begin:span.end] for span in _sentence_spans(paragraph)]


def estimate_syllables(text: str) -> float:
    """About how long a text takes to say, in syllables; what has no known ones counts by its length."""
    return count_syllables(text) or 0.2 * len(text)


@dataclass(frozen=True)
class Span:
    """A stretch of a paragraph, without white space at its ends, and what it ends with: a sentence, a clause, a word."""

    begin: int
    end: int
    kind: str


def _sentence_spans(paragraph: str) -> list[Span]:
    cuts, at = [], 0
    while at < len(paragraph):
        mark = paragraph[at]
        at += 1
        if mark in STOPS or (mark == "." and _ends_sentence(paragraph, at - 1)):
            while at < len(paragraph) and paragraph[at] in STOPS + CLOSING + ".":
                at += 1
            cuts.append(at)
    return _cut(paragraph, Span(0, len(paragraph), "sentence"), cuts, "sentence")


def _ends_sentence(text: str, dot: int) -> bool:
    """Whether a full stop ends a sentence: not in 3.14, example.com, e.g., Mr. X or J. R. Smith."""
    after = text[dot + 1:dot + 2]
    if after and not after.isspace() and after not in CLOSING + ".":
        return False
    word = re.split(r"[^\w.]", text[:dot])[-1].lower()
    if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"):
        return not text[dot + 1:].strip()
    return True


def _cut(text: str, span: Span, cuts: list[int], kind: str) -> list[Span]:
    """The span cut at places of the text, all but its last piece ending with a `kind`."""
    pieces = []
    for begin, end in pairwise([span.begin, *cuts, span.end]):
        inside = text[begin:end]
        if inside.strip():
            pieces.append(Span(begin + len(inside) - len(inside.lstrip()), begin + len(inside.rstrip()), kind))
    return [*pieces[:-1], replace(pieces[-1], kind=span.kind)] if pieces else []


def _shortened(text: str, span: Span, longest: float) -> list[Span]:
    """A span, cut at clauses, then words, then anywhere, until every piece is short enough."""
    if estimate_syllables(text[span.begin:span.end]) <= longest:
        return [span]
    for kind, mark in (("clause", CLAUSE_END), ("word", WORD_END)):
        pieces = _cut(text, span, [m.end() for m in mark.finditer(text, span.begin, span.end)], kind)
        if len(pieces) > 1:
            return _packed(text, [small for piece in pieces for small in _shortened(text, piece, longest)], longest)
    pieces = _cut(text, span, [(span.begin + span.end) // 2], "word")
    return [small for piece in pieces for small in _shortened(text, piece, longest)]


def _packed(text: str, spans: list[Span], longest: float, enough: float = math.inf) -> list[Span]:
    """Neighbours put together as long as they fit, and until there is enough of them."""
    def long(span: Span) -> float:
        return estimate_syllables(text[span.begin:span.end])

    packed: list[Span] = []
    for span in spans:
        if packed and (long(packed[-1]) < enough or (span is spans[-1] and long(span) < enough)):
            both = Span(packed[-1].begin, span.end, span.kind)
            if long(both) <= longest:
                packed[-1] = both
                continue
        packed.append(span)
    return packed
