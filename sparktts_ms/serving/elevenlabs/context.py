"""Contexts: several orders of speech side by side on one connection. No input or output happens
here; times are arguments, in seconds.

    open -> flush -> close: finishing, final when the last clause is spoken
    open -> close: stopped, final at once

A close that follows a flush directly is how clients end a turn: what was flushed is spoken to its
end. Any other close, and a second one, is an interruption.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from sparktts_ms.errors import InputError
from sparktts_ms.serving.elevenlabs.messages import Message
from sparktts_ms.serving.elevenlabs.text_buffer import Clause, TextBuffer
from sparktts_ms.text.split import MAX_SYLLABLES, estimate_syllables

MAX_CONTEXTS = 16
MAX_AHEAD = 2               # clauses of a context in the engine at a time: one to hear, one ahead
CLOSE_SECONDS = 0.1         # between a flush and the close that belongs to it
SETTLE_SECONDS = 0.3        # after which a text that ends in a mark is taken for complete


@dataclass(frozen=True)
class ContextLimits:
    """contexts: open or finishing at a time. text: characters of a context that wait.
    inactivity: seconds without a message after which a context, and an idle connection, is
    closed."""

    contexts: int = MAX_CONTEXTS
    text: int = 20_000
    inactivity: float = 20.0


@dataclass(eq=False)
class Context:
    """One order of speech: its clauses come out of `next_clause` in the order of the text.

    predecessor: a context of the same id that has to finish first.
    """

    id: str
    auto_mode: bool = False
    speed: float = 1.0
    predecessor: Context | None = None
    last_active: float = 0.0        # a message for it came, or something of it had been spoken
    settle_time: float | None = None    # when its text is taken for complete if no more comes
    is_closed: bool = False         # no more text comes
    is_stopped: bool = False        # nothing of it may be sent any more
    is_audible: bool = False          # some of its audio has been sent
    num_spoken: int = 0             # clauses
    _buffer: TextBuffer = field(default_factory=TextBuffer)
    _waiting: deque[Clause] = field(default_factory=deque)
    _num_waiting: int = 0           # characters of _waiting
    _num_started: int = 0
    _flush_time: float | None = None    # None if text has come since
    _has_audio: bool = False        # has been sent since the flush

    @property
    def num_characters(self) -> int:
        """Of text that has not been started."""
        return self._buffer.length + self._num_waiting

    @property
    def num_ahead(self) -> int:
        """Clauses that were started and have not been spoken."""
        return self._num_started - self.num_spoken

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being spoken or about to be."""
        return not self._waiting and not self.num_ahead

    @property
    def is_final(self) -> bool:
        """Whether nothing of it follows."""
        return self.is_stopped or (self.is_closed and self.is_idle)

    def add(self, text: str, now: float) -> None:
        """More of the text."""
        self._flush_time = None
        self._extend(self._buffer.add(text))
        if self.auto_mode:
            self.settle()
        else:
            self.settle_time = now + SETTLE_SECONDS if self._buffer.length else None

    def settle(self) -> None:
        """Nothing has followed for a while, or the text came as a whole phrase."""
        self._extend(self._buffer.settle())
        self.settle_time = None

    def flush(self, now: float) -> None:
        """Speak what there is."""
        self._extend(self._buffer.flush())
        self.settle_time = None
        self._flush_time = now
        self._has_audio = False

    def close(self, now: float) -> None:
        """Take no more text. What was flushed just now is spoken to its end, else nothing more."""
        is_end = self._flush_time is not None and (
            not self._has_audio or now - self._flush_time <= CLOSE_SECONDS)
        if self.is_closed or not is_end:
            self.stop()
        self.is_closed = True

    def finish(self, now: float) -> None:
        """Take no more text, and speak what there is."""
        self.flush(now)
        self.is_closed = True

    def stop(self) -> None:
        """Nothing of it may be sent any more."""
        self.is_stopped = self.is_closed = True
        self.settle_time = None
        self._waiting.clear()
        self._num_waiting = 0

    def next_clause(self) -> Clause | None:
        """What to start next, if enough has been spoken of what was started; nothing beside the
        first clause, which it would delay. Clauses that wait become one as far as a segment
        allows."""
        blocked = self.predecessor is not None and not self.predecessor.is_final
        max_ahead = MAX_AHEAD if self.is_audible or self.num_spoken else 1
        if blocked or not self._waiting or self.num_ahead >= max_ahead:
            return None
        self.predecessor = None
        clause = self._take()
        while self._waiting:
            joined = clause.join(self._waiting[0])
            if estimate_syllables(joined.text) > MAX_SYLLABLES:
                break
            self._take()
            clause = joined
        self._num_started += 1
        return clause

    def _extend(self, clauses: list[Clause]) -> None:
        self._waiting.extend(clauses)
        self._num_waiting += sum(len(clause.text) for clause in clauses)

    def _take(self) -> Clause:
        clause = self._waiting.popleft()
        self._num_waiting -= len(clause.text)
        return clause

    def note_audio(self) -> None:
        """Some of its audio has been sent."""
        self._has_audio = self.is_audible = True

    def note_spoken(self, now: float) -> None:
        """All audio of the oldest clause that was started has been sent."""
        self.num_spoken += 1
        self.last_active = now


class Contexts:
    """Those of one connection, by id; iterate over those that are not final.

    auto_mode: texts come as whole phrases. is_single: the protocol of one context, which an empty
    text ends. is_closing: when the last context is final, the connection ends.
    """

    def __init__(self, limits: ContextLimits, now: float, auto_mode: bool = False,
                 is_single: bool = False):
        self.limits = limits
        self.auto_mode = auto_mode
        self.is_single = is_single
        self.is_closing = False
        self._last_active = now
        self._newest: dict[str, Context] = {}
        self._active: list[Context] = []

    def __iter__(self) -> Iterator[Context]:
        self._active = [context for context in self._active if not context.is_final]
        return iter(list(self._active))

    def receive(self, message: Message, now: float) -> Context | None:
        """The context that a message has changed; it may be final now. Raises InputError
        ("max_active_conversations", "text_too_long")."""
        self._last_active = now
        if message.close_socket:
            self.close(now)
        context = None if self.is_closing else self._find(message)
        if context is None:
            return None
        context.last_active = now
        if message.text:
            if context.num_characters + len(message.text) > self.limits.text:
                raise InputError(
                    f"More than {self.limits.text:,} characters of a context wait to be spoken.",
                    "Send the rest later.", code="text_too_long")
            context.add(message.text, now)
        if message.flush:
            context.flush(now)
        if message.close_context:
            context.close(now)
        if self.is_single and message.text == "":
            context.finish(now)
            self.is_closing = True
        return context

    def close(self, now: float) -> None:
        """Close all contexts, and the connection when those that were flushed are final."""
        self.is_closing = True
        for context in self:
            if not context.is_closed:
                context.close(now)

    def note_spoken(self, context: Context, now: float) -> None:
        """All audio of a context's oldest clause has been sent."""
        context.note_spoken(now)
        self._last_active = now

    def expire(self, now: float) -> list[Context]:
        """Contexts that the time has changed: a text is complete, or the context has been idle for
        too long and is closed."""
        changed = []
        for context in self:
            if context.settle_time is not None and now >= context.settle_time:
                context.settle()
                changed.append(context)
            if not self.is_single and now >= self._idle_end(context):
                context.finish(now)
                changed.append(context)
        return changed

    def is_expired(self, now: float) -> bool:
        """Whether the connection has been idle for too long."""
        return now >= self._end()

    def deadline(self) -> float:
        """When to call `expire` and `is_expired` next."""
        times = [self._end()]
        for context in self:
            if context.settle_time is not None:
                times.append(context.settle_time)
            if not self.is_single:
                times.append(self._idle_end(context))
        return min(times)

    def _end(self) -> float:
        """When the connection has been idle for too long."""
        is_idle = all(context.is_idle for context in self) if self.is_single else not list(self)
        return self._last_active + self.limits.inactivity if is_idle else math.inf

    def _idle_end(self, context: Context) -> float:
        if context.is_closed or not context.is_idle:
            return math.inf
        return context.last_active + self.limits.inactivity

    def _find(self, message: Message) -> Context | None:
        """The context that a message is for, a new one if it brings text; None if there is none."""
        context = self._newest.get(message.context_id)
        if context is not None and context.is_final:
            context = None
        if context is not None and not (context.is_closed and message.text):
            return context
        if not message.text and not (self.is_single and message.text == ""):
            return None
        if len(list(self)) >= self.limits.contexts:
            raise InputError(
                f"At most {self.limits.contexts} contexts may be open on a connection.",
                "Close one before you open another.", code="max_active_conversations")
        context = Context(message.context_id, self.auto_mode, message.speed or 1.0, context)
        self._newest = {key: known for key, known in self._newest.items() if not known.is_final}
        self._newest[message.context_id] = context
        self._active.append(context)
        return context
