"""A run: lines are read as there is room for them, and their results written as they come."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace

from sparktts_ms.batch.input_file import InputFile
from sparktts_ms.batch.line import Defaults, Line, VoiceSource, check_line, read_line
from sparktts_ms.batch.output import Output
from sparktts_ms.batch.progress import Progress
from sparktts_ms.batch.voices import Voices
from sparktts_ms.batch.work import Result, SpokenLine, Work, Workers
from sparktts_ms.errors import DeviceError, InputError, ModelError, SparkTTSError, quoted
from sparktts_ms.voice import Voice

logger = logging.getLogger("sparktts_ms")

MAX_FAILURES = 32           # of the machine's or the model's making, one after another


class BatchRun:
    """Lines of an input to an output.

    open_workers: called when there is a line to be spoken, not before. retry_failed: lines that
    have failed before are done again, without it only if they were changed. report: called often,
    to show the progress.
    """

    def __init__(self, source: InputFile, defaults: Defaults, output: Output, voices: Voices,
                 open_workers: Callable[[], Workers], retry_failed: bool = False,
                 report: Callable[[Progress], None] | None = None):
        self.progress = Progress(source.size)
        self._source = source
        self._defaults = defaults
        self._output = output
        self._voices = voices
        self._open_workers = open_workers
        self._workers: Workers | None = None
        self._retry_failed = retry_failed
        self._report = report or (lambda progress: None)
        self._speaking: dict[int, Line] = {}                    # by key
        self._making: dict[int, VoiceSource] = {}               # voices, by key
        self._waiting: dict[VoiceSource, list[Line]] = {}       # lines, for a voice
        self._num_waiting = 0
        self._next_key = 0
        self._failures = 0

    def run(self) -> Progress:
        """Do all lines. Raises InputError where a line that is done has been changed
        ("changed_line"), OutputError, and what stops the workers; lines that are not done then have
        no entry."""
        try:
            self._run()
        finally:
            if self._workers is not None:
                self._workers.close()
        return self.progress

    def _run(self) -> None:
        lines = self._lines()
        more = True
        while more or self._in_progress():
            while more and self._has_room():
                line = next(lines, None)
                more = line is not None
                if line is not None:
                    self._start(line)
            if self._workers is not None:
                for key, result in self._workers.finished():
                    self._note(key, result)
            self._report(self.progress)

    def _in_progress(self) -> int:
        """Lines that are read and not done."""
        return len(self._speaking) + self._num_waiting

    def _has_room(self) -> bool:
        return self._workers is None or self._in_progress() < self._workers.capacity

    def _lines(self) -> Iterator[Line]:
        """The lines that are to be done."""
        for content in self._source.lines():
            self.progress.note_read(content.size, self._source.position)
            if not self.progress.lines % 1000:
                self._report(self.progress)
            line = read_line(content)
            claim = self._output.index.claim(line.id, line.digest, line.number)
            if claim.state == "duplicate":
                line = _duplicate(line, claim.number)
                claim = self._output.index.claim(line.id, line.digest, line.number)
            if claim.state == "done" and claim.changed:
                raise InputError(
                    f"{{subject}} line {line.number}, {quoted(line.id)}, was another line when it "
                    "was done.", "Give it another id, or choose another output folder.",
                    subject=self._source.name, code="changed_line")
            failed = claim.state == "failed"
            if claim.state == "done" or (failed and not (claim.changed or self._retry_failed)):
                self.progress.note_skipped(content.size, failed)
                continue
            yield check_line(line, self._defaults, self._source.folder)

    def _start(self, line: Line) -> None:
        if line.error is not None:
            self._fail(line, line.error)
            return
        if line.source is None:
            self._speak(line, None)
            return
        found = self._voices.find(line.source)
        if isinstance(found, Voice | SparkTTSError):
            self._speak(line, found)
            return
        self._num_waiting += 1
        if line.source in self._waiting:
            self._waiting[line.source].append(line)
            return
        self._waiting[line.source] = [line]
        key = self._new_key()
        self._making[key] = line.source
        self._submit(key, found)

    def _speak(self, line: Line, voice: Voice | SparkTTSError | None) -> None:
        try:
            if isinstance(voice, SparkTTSError):
                raise voice
            request = line.request(voice)
        except SparkTTSError as error:
            self._fail(line, error)
            return
        key = self._new_key()
        self._speaking[key] = line
        self._submit(key, request)

    def _submit(self, key: int, work: Work) -> None:
        if self._workers is None:
            self._workers = self._open_workers()
        self.progress.note_started()
        self._workers.submit(key, work)

    def _note(self, key: int, result: Result) -> None:
        """Write a line's result, or start the lines that waited for a voice."""
        if key in self._making:
            assert isinstance(result, Voice | SparkTTSError)
            source = self._making.pop(key)
            self._voices.put(source, result)
            for line in self._waiting.pop(source):
                self._num_waiting -= 1
                self._speak(line, result)
            return
        line = self._speaking.pop(key)
        if isinstance(result, SpokenLine):
            self._output.write(line, result)
            self.progress.note_done(line.size, result.seconds)
            self._failures = 0
        else:
            assert isinstance(result, SparkTTSError)
            self._fail(line, result)

    def _fail(self, line: Line, error: SparkTTSError) -> None:
        """Write what is wrong with a line. Raises the error if it seems that all others fail, too:
        they are left for another run."""
        self._failures = self._failures + 1 if _is_general(error) else 0
        if self._failures > MAX_FAILURES:
            raise error
        self._output.fail(line, error)
        self.progress.note_done(line.size, None)
        if self.progress.failed <= 10:
            logger.warning("line %d, %s: %s", line.number, quoted(line.id), error.message())

    def _new_key(self) -> int:
        self._next_key += 1
        return self._next_key


def _duplicate(line: Line, first: int) -> Line:
    """A line whose id another one has; it gets one of its own."""
    error = InputError(f"Line {first} has the id {quoted(line.id)}, too.",
                       "Give each line an id of its own.", code="duplicate_id")
    return replace(line, id=f"line-{line.number:08}", error=error)


def _is_general(error: SparkTTSError) -> bool:
    """Whether the machine or the model is to blame, not the line."""
    return isinstance(error, ModelError | DeviceError) or error.code in ("internal_error",
                                                                         "worker_died")
