"""Split a text of any length into segments that the model can speak one by one.

A text is cut at the ends of paragraphs and sentences, where that is not enough at pauses, else
between words. Nothing is lost or changed but white space: the segments, one after the other, are
the text. The time is linear in its length.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from sparktts_ms.text.paragraphs import split_paragraphs
from sparktts_ms.text.sentences import CLOSING, sentence_ends
from sparktts_ms.text.syllables import SYLLABIC, SyllableCounts

MAX_SYLLABLES = 90.0    # of a segment: about 20 s, well before the model drifts (at 35 s)
MIN_SYLLABLES = 8.0     # a shorter segment is merged with the one before it, if both fit

CLAUSE_MARKS = "，、；：,;:—"
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
    for paragraph in split_paragraphs(text):
        segments += split_paragraph(paragraph, max_syllables)
    if segments:
        segments[-1] = replace(segments[-1], pause=0.0)
    return segments


def split_paragraph(paragraph: str, max_syllables: float = MAX_SYLLABLES) -> list[Segment]:
    """The segments of a paragraph, which is one line; the last one's pause is a paragraph's."""
    counts = SyllableCounts(paragraph)
    sentences = _cut(paragraph, Span(0, len(paragraph), "paragraph"), sentence_ends(paragraph),
                     "sentence")
    spans = _split_all(counts, sentences, max_syllables)
    segments = []
    for span in _merge_spans(counts, spans, max_syllables, MIN_SYLLABLES):
        segments.append(Segment(paragraph[span.begin:span.end], PAUSES[span.kind]))
    return segments


def split_sentences(paragraph: str) -> list[str]:
    """The sentences of one line of text, with their closing quotes and brackets."""
    spans = _cut(paragraph, Span(0, len(paragraph), "sentence"), sentence_ends(paragraph),
                 "sentence")
    return [paragraph[span.begin:span.end] for span in spans]


def estimate_syllables(text: str) -> float:
    """Syllables of a text; in scripts in which they cannot be counted, by its length."""
    return SyllableCounts(text).estimate(0, len(text))


def _cut(text: str, span: Span, cuts: Iterable[int], kind: str) -> list[Span]:
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


def _split_span(counts: SyllableCounts, span: Span, max_syllables: float) -> list[Span]:
    """The span cut at clauses, else at words, else in the middle, until every piece fits."""
    if counts.estimate(span.begin, span.end) <= max_syllables:
        return [span]
    for kind, boundary in (("clause", CLAUSE_END), ("word", WORD_END)):
        cuts = [match.end() for match in boundary.finditer(counts.text, span.begin, span.end)]
        pieces = _cut(counts.text, span, cuts, kind)
        if len(pieces) > 1:
            return _merge_spans(counts, _split_all(counts, pieces, max_syllables), max_syllables)
    middle = (span.begin + span.end) // 2
    return _split_all(counts, _cut(counts.text, span, [middle], "word"), max_syllables)


def _split_all(counts: SyllableCounts, spans: list[Span], max_syllables: float) -> list[Span]:
    return [piece for span in spans for piece in _split_span(counts, span, max_syllables)]


def _merge_spans(counts: SyllableCounts, spans: list[Span], max_syllables: float,
                 min_syllables: float = math.inf) -> list[Span]:
    """Consecutive spans merged where one has fewer than `min_syllables` and both fit."""
    merged: list[Span] = []
    for span in spans:
        if merged:
            last = merged[-1]
            is_short = counts.estimate(last.begin, last.end) < min_syllables or (
                span is spans[-1] and counts.estimate(span.begin, span.end) < min_syllables)
            if is_short and counts.estimate(last.begin, span.end) <= max_syllables:
                merged[-1] = Span(last.begin, span.end, span.kind)
                continue
        merged.append(span)
    return merged
