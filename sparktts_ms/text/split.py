"""Split a text of any length into segments that the model can speak one by one.

A text is cut at the ends of sentences, where that is not enough at pauses, else between words.
Nothing is lost or changed but white space: the segments, one after the other, are the text.
"""

import math
import re
from dataclasses import dataclass, replace
from itertools import pairwise

from sparktts_ms.text.syllables import SYLLABIC, count_syllables

MAX_SYLLABLES = 90.0    # of a segment: about 20 s, well before the model drifts (at 35 s)
MIN_SYLLABLES = 8.0     # a shorter segment is merged with the one before it, if both fit

CLOSING = "\"'”’」』）)】》〉]"
SENTENCE_MARKS = "。！？!?…"             # end a sentence wherever they stand; a full stop may not
AFTER_SENTENCE = SENTENCE_MARKS + CLOSING + "."     # belong to the sentence before
CLAUSE_MARKS = "，、；：,;:—"
ABBREVIATIONS = frozenset("""
    mr mrs ms dr prof sr jr st vs etc e.g i.e no vol fig al inc ltd co corp gen col lt capt sgt
    rev hon jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun approx
    dept est min max""".split())
CLAUSE_END = re.compile(rf"[{CLAUSE_MARKS}](?=\D|$)[{re.escape(CLOSING)}]*")
WORD_END = re.compile(rf"\s|(?<=[{SYLLABIC}])(?=[{SYLLABIC}])")

PAUSES = {"paragraph": 0.6, "sentence": 0.3, "clause": 0.15, "word": 0.05}        # seconds


@dataclass(frozen=True)
class Segment:
    """A part of a text, and the seconds of silence that follow it."""

    text: str
    pause: float


@dataclass(frozen=True)
class Span:
    """text[begin:end] without white space at its ends; it ends a sentence, a clause or a word."""

    begin: int
    end: int
    kind: str


def split_text(text: str, max_syllables: float = MAX_SYLLABLES) -> list[Segment]:
    """Segments of at most `max_syllables`, as far as they can be estimated; white space inside them
    is one space. A word is cut only if it alone is longer. Empty for a text without characters."""
    segments: list[Segment] = []
    for line in text.splitlines():
        paragraph = " ".join(line.split())
        if not paragraph:
            continue
        spans = []
        for sentence in _sentence_spans(paragraph):
            spans += _split_span(paragraph, sentence, max_syllables)
        for span in _merge_spans(paragraph, spans, max_syllables, MIN_SYLLABLES):
            segments.append(Segment(paragraph[span.begin:span.end], PAUSES[span.kind]))
        segments[-1] = replace(segments[-1], pause=PAUSES["paragraph"])
    if segments:
        segments[-1] = replace(segments[-1], pause=0.0)
    return segments


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of one line of text, with their closing quotes and brackets."""
    return [paragraph[span.begin:span.end] for span in _sentence_spans(paragraph)]


def estimate_syllables(text: str) -> float:
    """Syllables of a text; one in which none can be counted is estimated by its length."""
    return count_syllables(text) or 0.2 * len(text)


def _sentence_spans(paragraph: str) -> list[Span]:
    cuts = []
    position = 0
    while position < len(paragraph):
        mark = paragraph[position]
        position += 1
        if mark in SENTENCE_MARKS or (mark == "." and _ends_sentence(paragraph, position - 1)):
            while position < len(paragraph) and paragraph[position] in AFTER_SENTENCE:
                position += 1
            cuts.append(position)
    return _cut(paragraph, Span(0, len(paragraph), "sentence"), cuts, "sentence")


def _ends_sentence(text: str, dot: int) -> bool:
    """Whether the full stop at `dot` does: not in 3.14, example.com, e.g., Mr. X or J. R. Smith."""
    after = text[dot + 1:dot + 2]
    if after and not after.isspace() and after not in CLOSING + ".":
        return False
    word = re.split(r"[^\w.]", text[:dot])[-1].lower()
    if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"):
        return not text[dot + 1:].strip()
    return True


def _cut(text: str, span: Span, cuts: list[int], kind: str) -> list[Span]:
    """The span cut at positions of the text; all but the last piece are of `kind`."""
    pieces = []
    for begin, end in pairwise([span.begin, *cuts, span.end]):
        piece = text[begin:end]
        if piece.strip():
            leading = len(piece) - len(piece.lstrip())
            pieces.append(Span(begin + leading, begin + len(piece.rstrip()), kind))
    if pieces:
        pieces[-1] = replace(pieces[-1], kind=span.kind)
    return pieces


def _split_span(text: str, span: Span, max_syllables: float) -> list[Span]:
    """The span cut at clauses, else at words, else in the middle, until every piece fits."""
    if _syllables(text, span) <= max_syllables:
        return [span]
    for kind, boundary in (("clause", CLAUSE_END), ("word", WORD_END)):
        cuts = [match.end() for match in boundary.finditer(text, span.begin, span.end)]
        pieces = _cut(text, span, cuts, kind)
        if len(pieces) > 1:
            return _merge_spans(text, _split_all(text, pieces, max_syllables), max_syllables)
    middle = (span.begin + span.end) // 2
    return _split_all(text, _cut(text, span, [middle], "word"), max_syllables)


def _split_all(text: str, spans: list[Span], max_syllables: float) -> list[Span]:
    return [piece for span in spans for piece in _split_span(text, span, max_syllables)]


def _merge_spans(text: str, spans: list[Span], max_syllables: float,
                 min_syllables: float = math.inf) -> list[Span]:
    """Consecutive spans merged where one has fewer than `min_syllables` and both fit."""
    merged: list[Span] = []
    for span in spans:
        if merged:
            both = Span(merged[-1].begin, span.end, span.kind)
            is_short = _syllables(text, merged[-1]) < min_syllables or (
                span is spans[-1] and _syllables(text, span) < min_syllables)
            if is_short and _syllables(text, both) <= max_syllables:
                merged[-1] = both
                continue
        merged.append(span)
    return merged


def _syllables(text: str, span: Span) -> float:
    return estimate_syllables(text[span.begin:span.end])
