"""Numbers and symbols as the words that are said for them, in Chinese and in English.

A text is cut into runs of one language. In each, the rules of the language are applied in order;
the last rule lets wetext read what is left. wetext gets numbers with their units, never the words
around them, so that no word can be lost.
"""

import re
import unicodedata
from collections.abc import Iterator

from sparktts_ms.text import normalize_en, normalize_zh
from sparktts_ms.text.language import CLAUSE_END, clause_language
from sparktts_ms.text.rules import Rule

RULES = {"zh": normalize_zh.RULES, "en": normalize_en.RULES}

# A text without any of these stays as it is.
TRIGGER = re.compile(r"[0-9０-９½⅓⅔¼¾&＆@＠+＋=＝]|www\.|://")
CHINESE_SIGN = re.compile("[，。！？、；：¥￥]")

FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
FULL_WIDTH = "０１２３４５６７８９％＄＆＠＃＋＝￥℃℉㎡㎏㎝㎜㎞"
PLAIN = {ord(c): unicodedata.normalize("NFKC", c) for c in FULL_WIDTH} | {ord("−"): "-"}


def normalize(text: str) -> str:
    """The text with its numbers and symbols in words; clauses in other scripts than Han and Latin
    stay as they are."""
    if not TRIGGER.search(text):
        return text
    spoken = []
    for language, run in _language_runs(text):
        if language in RULES and TRIGGER.search(run):
            run = _plain_characters(run)
            for rule in RULES[language]:
                run = _apply_rule(rule, run, spaced=language == "en")
        spoken.append(run)
    return "".join(spoken)


def _language_runs(text: str) -> Iterator[tuple[str, str]]:
    """(language, run) in order; a clause without a language has that of the clause before it."""
    clauses = [(clause_language(clause), clause) for clause in CLAUSE_END.split(text)]
    default = "zh" if CHINESE_SIGN.search(text) else "en"
    language = next((found for found, _ in clauses if found), default)
    run: list[str] = []
    for found, clause in clauses:
        if found not in (None, language):
            yield language, "".join(run)
            language = found
            run = []
        run.append(clause)
    yield language, "".join(run)


def _plain_characters(run: str) -> str:
    """Full-width characters and fractions in ASCII, as the rules expect them."""
    run = run.translate(PLAIN)
    run = re.sub("([0-9]?)([½⅓⅔¼¾])", lambda m: f"{m[1]} {FRACTIONS[m[2]]}".lstrip(), run)
    return re.sub(
        "(?<=[0-9])[：．／－～](?=[0-9])", lambda m: unicodedata.normalize("NFKC", m[0]), run)


def _apply_rule(rule: Rule, text: str, spaced: bool) -> str:
    """`spaced` keeps a replacement apart from the letters beside it."""

    def replace(match: re.Match[str]) -> str:
        replacement = rule.replacement
        spoken = match.expand(replacement) if isinstance(replacement, str) else replacement(match)
        if spaced and spoken[:1].isalnum() and text[match.start() - 1:match.start()].isalpha():
            spoken = " " + spoken
        if spaced and spoken[-1:].isalnum() and text[match.end():match.end() + 1].isalpha():
            spoken += " "
        return spoken

    return rule.pattern.sub(replace, text)
