"""The segments of a text, prepared part by part, so that the first does not wait for the last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace

from sparktts_ms.generation.request import SpeechRequest, check_text
from sparktts_ms.text.normalize import normalize
from sparktts_ms.text.paragraphs import split_paragraphs
from sparktts_ms.text.sentences import sentence_ends
from sparktts_ms.text.split import PAUSES, Segment, split_text

PART_LENGTH = 1000      # characters, at least: shorter texts are prepared in one piece
FIRST_SEGMENTS = 8      # prepared at once


class Segments:
    """The segments of a request's text, normalized and split, for any thread.

    ready: those that are prepared so far, at least one; the list only grows.
    executor: prepares those that are asked for; None: `prepare` does it itself.
    Raises InputError ("no_text") for a text of which nothing is left.
    """

    def __init__(self, request: SpeechRequest, executor: Executor | None = None):
        self.ready: list[Segment] = []
        self._complete = False
        self._remaining = iterate_segments(request)
        self._lock = threading.Lock()
        self._extend(FIRST_SEGMENTS)
        if not self.ready:
            check_text("")              # raises
        self._executor = executor
        self._future: Future | None = None

    @property
    def complete(self) -> bool:
        """Whether all segments are ready."""
        return self._complete

    def prepare(self, count: int) -> None:
        """Have at least the first `count` segments prepared, now or soon. Raises what went wrong
        before."""
        if self._complete or len(self.ready) >= count:
            return
        if self._executor is None:
            self._extend(count)
        elif self._future is None or self._future.done():
            if self._future is not None:
                self._future.result()
            self._future = self._executor.submit(self._extend, count)

    def _extend(self, count: int) -> None:
        with self._lock:
            while not self._complete and len(self.ready) < count:
                segment = next(self._remaining, None)
                if segment is None:
                    self._complete = True
                else:
                    self.ready.append(segment)


def iterate_segments(request: SpeechRequest) -> Iterator[Segment]:
    """The segments of a request's text; no pause follows the last one."""
    if not request.split:
        text = normalize(request.text) if request.normalize else request.text
        yield Segment(check_text(text), 0.0)
        return
    last: Segment | None = None
    for part, pause in split_parts(request.text):
        for segment in split_text(normalize(part) if request.normalize else part):
            if last is not None:
                yield last
            last = segment
        if last is not None:
            last = replace(last, pause=pause)
    if last is not None:
        yield replace(last, pause=0.0)


def split_parts(text: str) -> Iterator[tuple[str, float]]:
    """Parts of a text that are normalized by themselves, of whole sentences, with the seconds of
    silence after them. The lines of a paragraph are joined, an empty line separates paragraphs."""
    part: list[str] = []
    length = 0
    for paragraph in split_paragraphs(text):
        begin = 0
        for end in sentence_ends(paragraph):
            if length + end - begin >= PART_LENGTH and len(paragraph) - end >= PART_LENGTH:
                yield "\n\n".join([*part, paragraph[begin:end].strip()]), PAUSES["sentence"]
                part = []
                length = 0
                begin = end
        part.append(paragraph[begin:].strip())
        length += len(part[-1])
        if length >= PART_LENGTH:
            yield "\n\n".join(part), PAUSES["paragraph"]
            part = []
            length = 0
    if part:
        yield "\n\n".join(part), PAUSES["paragraph"]
