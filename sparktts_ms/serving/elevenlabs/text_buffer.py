"""Text that arrives in pieces of any size, cut into clauses as soon as they are complete.

Where it is cut depends on the text alone, not on the pieces in which it came: characters are looked
at one by one, and a mark ends a clause when what follows it has shown that it does. So no number,
word or abbreviation is cut in two: "3." waits for the space or the digit behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparktts_ms.text.paragraphs import HEADING, LIST_ITEM
from sparktts_ms.text.sentences import (
    AFTER_SENTENCE,
    CLOSING,
    SENTENCE_MARKS,
    WORD_BEFORE,
    ends_sentence,
    is_abbreviation,
)
from sparktts_ms.text.split import (
    CLAUSE_MARKS,
    MAX_SYLLABLES,
    MIN_SYLLABLES,
    PAUSES,
    estimate_syllables,
)
from sparktts_ms.text.syllables import (
    CJK,
    SYLLABIC_CHARACTER,
    SYLLABLES_PER_CHARACTER,
    SYLLABLES_PER_DIGIT,
)

MIN_FIRST_SYLLABLES = 3.0       # of a clause before which nothing is spoken; later MIN_SYLLABLES
LINE_WINDOW = 6                 # characters of a line that tell whether it is a list item
WIDE_MARKS = "，、；：—。！？…"    # nothing has to follow them
MARKS = SENTENCE_MARKS + CLAUSE_MARKS + ".\n"
VOWEL = re.compile("[aeiouy]", re.IGNORECASE)
WORD_END = re.compile(rf"(?<=[^\s0-9.])\s+(?=[^\W\d])|(?<=[{CJK}])(?=[{CJK}])")
WIDE_END = re.compile(rf"[{CJK}{WIDE_MARKS}][{re.escape(CLOSING)}]*$")
SPACE = re.compile(r"(?<=\S)\s+(?=\S)")
SURROGATE = re.compile("[\ud800-\udfff]")
# Abbreviations that split_text takes for words: here it costs little to wait for more text.
ABBREVIATIONS = frozenset("""
    adm assn assoc ave ca cf ed eds esp ext gov incl intl maj messrs misc mme natl op pres ref rep
    sen tel temp univ""".split())


@dataclass(frozen=True)
class Clause:
    """A part of a text that can be spoken by itself.

    gap: the white space before it in the text. tail: a space that no text has brought, after what
    was taken for complete. pause: seconds of silence before it. is_last: a flush has ended the text
    here.
    """

    text: str
    gap: str = ""
    tail: str = ""
    pause: float = 0.0
    is_last: bool = False

    def join(self, other: Clause) -> Clause:
        """This clause and the one that follows it, as one."""
        text = self.text + self.tail + other.gap + other.text
        return Clause(text, self.gap, other.tail, self.pause, other.is_last)


class TextBuffer:
    """What has arrived and is not complete. `add`, `settle` and `flush` return what has become so;
    the clauses, one after the other and with their gaps, are the text.

    Letters and digits make a clause; marks and symbols alone wait for some, or are left out.
    """

    def __init__(self) -> None:
        self._text = ""                     # since the last cut, without white space before it
        self._syllables = 0.0               # of _text, a rough estimate
        self._max_syllables = MAX_SYLLABLES
        self._mark: tuple[int, int] | None = None       # begin and end of one that may be a cut
        self._surrogate = ""                # the first half of a character
        self._gap = ""
        self._has_tail = False              # the clause before
        self._last_kind = ""                # of the clause before, "" before the first one
        self._is_first = True               # since the beginning, or since a flush
        self._clauses: list[Clause] = []

    @property
    def length(self) -> int:
        """Characters that wait."""
        return len(self._text)

    def add(self, text: str) -> list[Clause]:
        """The clauses that a piece of text completes."""
        for character in self._decode(text):
            self._push(character)
        return self._take()

    def settle(self) -> list[Clause]:
        """The clause that is complete if nothing follows for a while: one that ends in a mark, but
        not in a number or an abbreviation."""
        if self._mark is not None and self._can_settle(*self._mark):
            self._cut(self._mark[1], self._kind(self._mark[0]), has_tail=True)
        return self._take()

    def flush(self) -> list[Clause]:
        """All that is left, complete or not."""
        self._surrogate = ""
        if self._text:
            kind = "sentence" if ends_sentence(self._text) else "word"
            self._cut(len(self._text), kind, has_tail=True, is_last=True)
        self._is_first = True
        return self._take()

    def _take(self) -> list[Clause]:
        clauses = self._clauses
        self._clauses = []
        return clauses

    def _decode(self, text: str) -> str:
        """The text with characters that came in two halves put together; half ones are replaced."""
        text = self._surrogate + text
        self._surrogate = ""
        if not SURROGATE.search(text):
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            self._surrogate = text[-1]
            text = text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _push(self, character: str) -> None:
        if character.isspace():
            character = "\n" if character == "\n" else " "
            if not self._text:
                is_end = character == "\n" and self._last_kind in ("sentence", "paragraph")
                if is_end or self._gap == "\n\n":
                    self._gap = "\n\n"
                else:
                    self._gap = "" if self._has_tail else " "
                return
            if self._text[-1].isspace() and character == " ":
                return
        self._text += character
        self._syllables += _estimate(character)
        if self._mark is not None:
            self._follow_mark(character)
        elif character in MARKS:
            self._mark = (len(self._text) - 1, len(self._text))
        if self._syllables > self._max_syllables:
            self._cut_long()

    def _follow_mark(self, character: str) -> None:
        """Decide about the mark if the new character allows it."""
        assert self._mark is not None
        begin, end = self._mark
        if end == len(self._text) - 1 and character in _continuation(self._text[begin]):
            self._mark = (begin, end + 1)
            return
        decision = self._decide(begin, end, character)
        if decision is None:
            return
        rest = self._text[end:]
        if decision and self._is_spoken(end):
            self._cut(end, self._kind(begin))
        else:
            self._text = self._text[:end]
            self._syllables -= sum(map(_estimate, rest))
            self._mark = None
        for other in rest:
            self._push(other)

    def _decide(self, begin: int, end: int, character: str) -> bool | None:
        """Whether the clause ends with the mark at [begin, end), which `character` follows, perhaps
        after white space; None if more of the text must be known."""
        first = self._text[begin]
        if first == "\n":
            return self._decide_line(end)
        is_space = character.isspace()
        has_space = self._text[end].isspace()
        if first in CLAUSE_MARKS:
            if is_space:
                return None
            if character.isdigit() or not (has_space or first in WIDE_MARKS):
                return False
            return self._is_long_enough(end)
        if self._is_dot(begin, end):
            return self._decide_dot(begin, character) if has_space else False
        if has_space or any(mark in WIDE_MARKS for mark in self._text[begin:end]):
            return True
        return SYLLABIC_CHARACTER.match(character) is not None

    def _decide_dot(self, begin: int, character: str) -> bool | None:
        """Whether a sentence ends with the full stop at `begin`; white space follows it."""
        certain = self._is_full_stop(begin)
        if certain is not None or character.isspace():
            return certain
        return not (character.islower() or character.isdigit())

    def _decide_line(self, end: int) -> bool | None:
        """Whether a paragraph ends with the line feed before `end`."""
        following = self._text[end:]
        if "\n" not in following and len(following.strip()) < LINE_WINDOW:
            return None
        line = following.partition("\n")[0]
        if not line.strip() or LIST_ITEM.match(line.strip()):
            return True
        before = self._text[:end].strip().rpartition("\n")[2]
        return bool(HEADING.fullmatch(before))

    def _is_full_stop(self, begin: int) -> bool | None:
        """Whether the dot at `begin` ends a sentence if white space follows; None if that depends
        on what comes after the space."""
        match = WORD_BEFORE.search(self._text[:begin])
        word = match[0] if match else ""
        if is_abbreviation(self._text, begin) or word.lower() in ABBREVIATIONS:
            return False
        if "." in word:                         # U.S., p.m., example.com.
            return False if all(len(part) <= 2 for part in word.split(".")) else None
        if any(character.isdigit() for character in word):
            return None if any(map(str.isalpha, self._text[:begin])) else False
        is_word = word.isascii() and word.isalpha() and not word.isupper()
        return not is_word or VOWEL.search(word) is not None        # no Mt., no Blvd.

    def _can_settle(self, begin: int, end: int) -> bool:
        """Whether the mark at the end of the text is one that nothing can follow directly."""
        first = self._text[begin]
        if first == "\n" or self._text[end:].strip() or not self._is_spoken(end):
            return False
        if first in CLAUSE_MARKS:
            return not self._text[:begin][-1:].isdigit() and self._is_long_enough(end)
        return not self._is_dot(begin, end) or self._is_full_stop(begin) is True

    def _is_dot(self, begin: int, end: int) -> bool:
        """Whether the mark is a single full stop, perhaps with closing quotes and brackets."""
        return self._text[begin] == "." and not self._text[begin + 1:end].strip(CLOSING)

    def _is_long_enough(self, end: int) -> bool:
        """Whether the text before `end` may be spoken by itself, although its sentence goes on."""
        least = MIN_FIRST_SYLLABLES if self._is_first else MIN_SYLLABLES
        return estimate_syllables(self._text[:end]) >= least

    def _kind(self, begin: int) -> str:
        first = self._text[begin]
        if first == "\n":
            return "paragraph"
        return "clause" if first in CLAUSE_MARKS else "sentence"

    def _is_spoken(self, end: int) -> bool:
        return any(character.isalnum() for character in self._text[:end])

    def _cut(self, end: int, kind: str, has_tail: bool = False, is_last: bool = False) -> None:
        """Make a clause of the text before `end`. What follows it is no longer waiting; the caller
        pushes it again."""
        if self._is_spoken(end):
            pause = 0.0
            if self._last_kind:
                pause = PAUSES["paragraph" if self._gap == "\n\n" else self._last_kind]
            text = self._text[:end].rstrip()
            self._has_tail = has_tail and not WIDE_END.search(text)
            tail = " " if self._has_tail else ""
            self._clauses.append(Clause(text, self._gap, tail, pause, is_last))
            self._last_kind = kind
            self._is_first = False
        self._gap = "\n\n" if kind == "paragraph" else ""
        self._text = ""
        self._syllables = 0.0
        self._max_syllables = MAX_SYLLABLES
        self._mark = None

    def _cut_long(self) -> None:
        """Cut a text that gets too long, between words. A word longer than that is cut, too."""
        for boundary in (WORD_END, SPACE):
            found = list(boundary.finditer(self._text))
            if found and found[-1].end() > len(self._text) // 4:
                end = found[-1].end()
                break
        else:
            if self._syllables < 2 * MAX_SYLLABLES:
                self._max_syllables += MIN_SYLLABLES        # before it is looked at again
                return
            end = len(self._text)
        rest = self._text[end:]
        self._cut(end, "word")
        self._gap = " " if found and found[-1].group() else ""
        for character in rest:
            self._push(character)


def _continuation(mark: str) -> str:
    """Characters that belong to a mark if they follow it directly."""
    if mark == "\n":
        return ""
    if mark in CLAUSE_MARKS:
        return CLOSING + "—"
    return AFTER_SENTENCE


def _estimate(character: str) -> float:
    if SYLLABIC_CHARACTER.match(character):
        return 1.0
    return SYLLABLES_PER_DIGIT if character.isdigit() else SYLLABLES_PER_CHARACTER
