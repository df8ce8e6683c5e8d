"""The language of a text and of its clauses, and whether a model speaks it."""

import re
from collections import Counter
from collections.abc import Sequence

from sparktts_ms.errors import InputError
from sparktts_ms.text.syllables import CJK

NAMES = {"en": "English", "zh": "Chinese"}
CLAUSE_END = re.compile(rf"(?<=[。！？；，、：\n])|(?<=[.!?;])(?=\s+[A-Z{CJK}])")
CJK_CHARACTER = re.compile(f"[{CJK}]")
COUNTED_IN_CHINESE = re.compile(rf"\d ?[{CJK}]")
# Lower case only: names stand in texts of any language.
ENGLISH_WORD = re.compile(r"(?<![\w/@.:&-])[a-z]{2,}(?![\w@:/])")
UNITS = set("am cm ft gb hz kb kg km kph lb lbs mb mg min ml mm mph oz pm rpm tb yd".split())


def clause_language(clause: str) -> str | None:
    """zh, en, "other" for other scripts, None where only names, units or numbers are written."""
    chinese = len(CJK_CHARACTER.findall(clause))
    other = sum(c.isalpha() and c > "\u024f" for c in clause) - chinese
    english = sum(word not in UNITS for word in ENGLISH_WORD.findall(clause))
    if other > chinese + english:
        return "other"
    if chinese > english or COUNTED_IN_CHINESE.search(clause):
        return "zh"
    return "en" if english else None


def main_language(text: str) -> str | None:
    """"zh", "en", or "other" for other scripts: that of most of the text. None if there are only
    names, numbers and the like."""
    lengths: Counter[str] = Counter()
    for clause in CLAUSE_END.split(text):
        language = clause_language(clause)
        if language is not None:
            lengths[language] += len(clause)
    return max(lengths, key=lengths.__getitem__) if lengths else None


def check_language(text: str, languages: Sequence[str] | None) -> None:
    """Raise InputError (code "unsupported_language") if the text is in none of the model's
    `languages`; None: the model states none.

    Only English and Chinese are told apart, so a model of further languages gets all other texts.
    """
    language = main_language(text)
    if languages is None or language is None or language in languages:
        return
    if language == "other" and not set(languages) <= NAMES.keys():
        return
    supported = " and ".join(NAMES.get(code, code) for code in languages)
    found = f", and the text is {NAMES[language]}" if language in NAMES else ""
    raise InputError(f"This model speaks {supported} only{found}.",
                     "Give another text, or load another model.", code="unsupported_language")
