"""The language of a text and of its clauses, and whether a model speaks it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from sparktts_ms.errors import InputError
from sparktts_ms.text.syllables import CJK

NAMES = {"en": "English", "zh": "Chinese"}
CLAUSE_END = re.compile(rf"(?<=[。！？；，、：\n])|(?<=[.!?;])(?=\s+[A-Z{CJK}])")
CJK_CHARACTER = re.compile(f"[{CJK}]")
# Lower case only: names stand in texts of any language.
ENGLISH_WORD = re.compile(r"(?<![\w/@.:&-])[a-z]{2,}(?![\w@:/])")
UNITS = frozenset(
    "am bn cm dl fm fps ft gb hr hrs hz kb kbps km kph kpa lb lbs lm mb mbps mg mhz min ml mm mph "
    "ms nm ns oz pm pcs pt px qt rpm sec secs sq tb vs yd".split())
# Words that only a sentence of the language has, not a name or a quotation in another.
ENGLISH_FUNCTION_WORDS = frozenset(
    "the an is are was were be been has have had do does did of and or to in on at by for with "
    "from that this it its he she they we you his her their our not but as if will would can "
    "could should there here about into than then".split())
CHINESE_FUNCTION_CHARACTER = re.compile(
    "[的了是在有这這那不和就都要把被给給吗嗎呢吧也还還]")
# Outside of Latin and Han; a single Greek letter is a unit or a variable.
LAST_LATIN = "\u024f"
GREEK = "\u0370-\u03ff\u1f00-\u1fff\u2126"
FOREIGN_LETTER = re.compile(
    rf"(?![{CJK}])[^\W\d_\u0000-{LAST_LATIN}{GREEK}]"
    rf"|(?<=[{GREEK}])[{GREEK}]|[{GREEK}](?=[{GREEK}])")
CHINESE_SIGN = re.compile("[，。！？、；：￥]")
YEN_SIGN_WITHOUT_WORDS = re.compile(r"[^A-Za-z]*¥[^A-Za-z]*", re.ASCII)
CONCENTRATION = re.compile(r"[0-9.]{1,9}[A-Za-z]{1,3}/[0-9]{1,6}[A-Za-z]{1,3}")   # as in Chinese
BESIDE_CHINESE = re.compile(rf"[{CJK}0-9.,:%~-]+")


def clause_language(clause: str) -> str | None:
    """zh, en, "other" for other scripts, None where only names, units or numbers are written."""
    chinese = len(CJK_CHARACTER.findall(clause))
    other = 0
    for letter in FOREIGN_LETTER.findall(clause):
        other += letter.isalpha() and max(unicodedata.normalize("NFKC", letter)) > LAST_LATIN
    words = [word for word in ENGLISH_WORD.findall(clause) if word not in UNITS]
    if other > chinese + len(words):
        return "other"
    if chinese and words:
        is_english = not ENGLISH_FUNCTION_WORDS.isdisjoint(words)
        is_chinese = CHINESE_FUNCTION_CHARACTER.search(clause) is not None
        if is_english != is_chinese:
            return "en" if is_english else "zh"
    if chinese > len(words):
        return "zh"
    return "en" if words else None


def clause_languages(text: str) -> list[tuple[str, str]]:
    """(language, part) of all of a text, in order: a clause, or within an English clause what is
    counted in Chinese. A clause without a language has that of the clause before it."""
    clauses = [(clause_language(clause), clause) for clause in CLAUSE_END.split(text)]
    is_chinese = (CHINESE_SIGN.search(text) or YEN_SIGN_WITHOUT_WORDS.fullmatch(text)
                  or CONCENTRATION.fullmatch(text))
    default = "zh" if is_chinese else "en"
    language = next((found for found, _ in clauses if found), default)
    parts = []
    for found, clause in clauses:
        language = found or language
        if language == "en":
            parts += _english_parts(clause)
        else:
            parts.append((language, clause))
    return parts


def _english_parts(clause: str) -> list[tuple[str, str]]:
    """An English clause, but numbers directly beside Han are Chinese."""
    if not CJK_CHARACTER.search(clause):
        return [("en", clause)]
    parts = []
    end = 0
    for match in BESIDE_CHINESE.finditer(clause):
        part = match[0].rstrip(".,:~-")
        if CJK_CHARACTER.search(part) and re.search("[0-9]", part):
            parts += [("en", clause[end:match.start()]), ("zh", part)]
            end = match.start() + len(part)
    return [*parts, ("en", clause[end:])]


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
