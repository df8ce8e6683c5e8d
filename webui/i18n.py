"""The page's texts in both languages, and errors as visitors see them.

locales/en.json and locales/zh.json hold the texts of the page, examples, hints by an error's code,
and messages by its code or class. In zh.json, `messages` translates errors by their English text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sparktts_ms.errors import SparkTTSError

LANGUAGES = {"English": "en", "中文": "zh"}


def _read_locale(language: str) -> dict[str, Any]:
    path = Path(__file__).parent / "locales" / f"{language}.json"
    return json.loads(path.read_text(encoding="utf-8"))


LOCALES = {language: _read_locale(language) for language in LANGUAGES.values()}
TEXTS: dict[str, dict[str, str]] = {key: locale["page"] for key, locale in LOCALES.items()}


def error_message(error: Exception, language: str = "en") -> str:
    """The error in one line: files by name, never by path, and hints that name controls.

    What the locale knows neither by the error's code nor by its English text stays in English.
    """
    locale = LOCALES[language]
    if not isinstance(error, SparkTTSError):
        return str(error)
    if error.code in locale["errors"]:
        return locale["errors"][error.code].format(message=_message(error, locale))
    for template, translation in locale.get("messages", {}).items():
        if match := _pattern(template).fullmatch(error.problem):
            return translation.format(subject=_subject(error), **match.groupdict())
    kind = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in locale["errors"])
    return locale["errors"][kind].format(message=_message(error, locale))


def _message(error: SparkTTSError, locale: dict[str, Any]) -> str:
    return error.message(_subject(error), locale["hints"].get(error.code))


def _subject(error: SparkTTSError) -> str | None:
    return None if error.subject is None else Path(error.subject).name


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Matches an error's `problem`, which has {subject} as it is and values in the other fields."""
    pattern = re.escape(template).replace(re.escape("{subject}"), "SUBJECT")
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", pattern)
    return re.compile(pattern.replace("SUBJECT", re.escape("{subject}")), re.DOTALL)


def notice_message(notice: Any, path: str, language: str = "en") -> str:
    """A notice about a recording in one line; what the locale does not know stays in English."""
    return notice.message(Path(path).name, LOCALES[language]["notices"].get(notice.code))


def language_names(codes: Sequence[str], language: str) -> str:
    """ISO 639-1 codes as in "Chinese or English"; codes without a name stay as they are."""
    texts = TEXTS[language]
    return texts["or"].join(texts.get(f"language_{code}", code) for code in codes)
