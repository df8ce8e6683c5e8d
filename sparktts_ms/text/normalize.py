"""Numbers and symbols as the words that are said for them, in Chinese and in English.

A text is cut into runs of one language. In each, the rules of the language are applied in order:
one rule a line, each with its example. What no rule matches stays as it is, so no word is lost.

    normalize("It costs $5.")       # It costs five dollars.
    explain("It costs $5.")         # what each rule matched, and what became of it
"""

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import NamedTuple

from sparktts_ms.text.language import clause_languages
from sparktts_ms.text.rules import PLAIN_CHARACTERS, Grammar, Rule
from sparktts_ms.text.syllables import CJK
from sparktts_ms.text.traditional import is_traditional, to_simplified, to_traditional
from sparktts_ms.text.triggers import TRIGGERS


class _Grammars(dict[str, Grammar]):
    """By language; imported when they are first needed."""

    def __missing__(self, language: str) -> Grammar:
        self[language] = import_module(f"sparktts_ms.text.normalize_{language}").GRAMMAR
        return self[language]


GRAMMARS = _Grammars()

# Rules see at most so many characters at once, which bounds the time of every pattern.
MAX_PIECE = 400
# Where a longer run is cut, the best first.
BOUNDARIES = tuple(map(re.compile, (
    r"[。！？；\n]|[.!?;]\s", r"[，、：]|,\s", r"(?<=[^\s0-9])\s(?=[^\W\d])", r"\s",
    rf"(?<=[{CJK}])(?=[{CJK}])", r"\b")))


class Step(NamedTuple):
    """A rule that was applied."""

    rule: Rule
    position: int       # in the text, of what became `matched`
    matched: str        # in the text, or what earlier rules made of it
    spoken: str


def normalize(text: str, language: str | None = None) -> str:
    """The text with its numbers and symbols in words; clauses in other scripts than Han and Latin
    stay as they are.

    language: "zh" or "en" for all of the text; None finds that of each clause.
    """
    traditional = is_traditional(text)
    spoken = []
    for name, _, piece in _pieces(text, language):
        spoken.append(_apply_grammar(name, piece, traditional))
    return "".join(spoken)


def explain(text: str, language: str | None = None) -> list[Step]:
    """What each rule does in `normalize`, in the order of the text, then of the rules."""
    traditional = is_traditional(text)
    steps: list[Step] = []
    for name, position, piece in _pieces(text, language):
        trace = _Trace(range(position, position + len(piece)), [])
        _apply_grammar(name, piece, traditional, trace)
        steps += sorted(trace.steps, key=lambda step: step.position)
    return steps


def _pieces(text: str, language: str | None) -> Iterator[tuple[str, int, str]]:
    """(language, position, piece) in order; a piece is in one language, of at most MAX_PIECE
    characters."""
    clauses = [(language, text)] if language else clause_languages(text)
    position = 0
    for name, run in _merge(clauses):
        begin = 0
        while len(run) - begin > MAX_PIECE:
            end = _boundary(run, begin)
            yield name, position + begin, run[begin:end]
            begin = end
        yield name, position + begin, run[begin:]
        position += len(run)


def _merge(clauses: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Consecutive clauses of a language as one run."""
    language = None
    run: list[str] = []
    for found, clause in clauses:
        if language is not None and found != language:
            yield language, "".join(run)
            run = []
        language = found
        run.append(clause)
    if language is not None:
        yield language, "".join(run)


def _boundary(run: str, begin: int) -> int:
    """Where a piece ends that begins there and would be too long: as late as possible, but at the
    end of a clause or between words if there is one in its second half."""
    for boundary in BOUNDARIES:
        found = list(boundary.finditer(run, begin + MAX_PIECE // 2, begin + MAX_PIECE))
        if found:
            return found[-1].end()
    return begin + MAX_PIECE


class _Trace:
    """Keeps where in the text each character comes from, while rules replace parts of it."""

    def __init__(self, positions: Sequence[int], steps: list[Step]):
        self.positions = positions
        self.steps = steps
        self.replaced: list[tuple[int, int, int]] = []      # begin, end, length of replacement

    def add(self, rule: Rule, match: re.Match[str], spoken: str) -> None:
        begin, end = match.span()
        if spoken != match[0]:
            position = self.positions[begin] if self.positions else 0
            self.steps.append(Step(rule, position, match[0], spoken))
        self.replaced.append((begin, end, len(spoken)))

    def finish_rule(self) -> None:
        positions: list[int] = []
        last = 0
        for begin, end, length in self.replaced:
            positions += self.positions[last:begin]
            source = self.positions[begin] if begin < len(self.positions) else 0
            positions += [source] * length
            last = end
        self.positions = [*positions, *self.positions[last:]]
        self.replaced = []


def _apply_grammar(name: str, text: str, traditional: bool, trace: _Trace | None = None) -> str:
    trigger = TRIGGERS.get(name)
    if trigger is None or not trigger.search(text):
        return text
    grammar = GRAMMARS[name]
    convert = traditional and name == "zh"
    if convert:
        text = to_simplified(text)
    found: dict[re.Pattern[str], bool] = {}         # what rules need, in the text as it is
    for rule in (*PLAIN_CHARACTERS, *grammar.rules):
        if not _has_needs(rule, text, found):
            continue
        replaced = _apply_rule(rule, text, grammar.spaced, trace)
        if replaced != text:
            text = replaced
            found.clear()
    if convert and trace is not None:
        trace.steps = [step._replace(matched=to_traditional(step.matched),
                                     spoken=to_traditional(step.spoken)) for step in trace.steps]
    return to_traditional(text) if convert else text


def _has_needs(rule: Rule, text: str, found: dict[re.Pattern[str], bool]) -> bool:
    for needed in rule.needs or ():
        if needed not in found:
            found[needed] = needed.search(text) is not None
        if not found[needed]:
            return False
    return True


def _apply_rule(rule: Rule, text: str, spaced: bool, trace: _Trace | None) -> str:
    """`spaced` keeps a replacement apart from the letters beside it."""
    def replace(match: re.Match[str]) -> str:
        replacement = rule.replacement
        spoken = match.expand(replacement) if isinstance(replacement, str) else replacement(match)
        if spaced and spoken[:1].isalnum() and text[match.start() - 1:match.start()].isalpha():
            spoken = " " + spoken
        if spaced and spoken[-1:].isalnum() and text[match.end():match.end() + 1].isalpha():
            spoken += " "
        if trace is not None:
            trace.add(rule, match, spoken)
        return spoken

    text = rule.pattern.sub(replace, text)
    if trace is not None and trace.replaced:
        trace.finish_rule()
    return text
