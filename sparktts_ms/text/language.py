"""The language of a text, and whether a model speaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sparktts_ms.errors import InputError
from sparktts_ms.text.normalize import CLAUSE_END, clause_language

NAMES = {"en": "English", "zh": "Chinese"}


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
