"""What a text must have for a language's rules to be tried. Most texts have nothing of it: then the
rules, hundreds of patterns, need not be imported."""

import re

MONTHS = (
    "January February March April May June July August September October November December".split())
DAY = (
    "Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday"
    "|Sunday")
MONTH = "|".join([*MONTHS, *(month[:3] for month in MONTHS), "Sept"])

# A text without any match stays as it is.
TRIGGERS = {
    "en": re.compile(
        r"[^\w\s'\",.!?;:()-]|[0-9]|\w\.[A-Za-z]{2}|[IVXLC]{2}|[A-Za-z] [IVX]\b|[VX](?:th|st)\b|"
        r"\b(?:Dr|Prof|Gen|Col|Capt|Lt|Sgt|Maj|Rev|Sen|Gov|Rep|[SMF]t)\. |"
        r"\b(?:St|Ave|Blvd|Rd|Hwy)\b|"
        rf"\bvs\b|\w:[\\/]|\b[A-F]-(?!\w)|(?:{DAY}|{MONTH})\.? ?[-–]", re.ASCII),
    "zh": re.compile(
        r"[0-9０-９½⅓⅔¼¾⅛⅜⅝⅞^ⁿ△∛∞&＆@＠+＋=＝≥≤≠≈≒≧≦⩾⩽±×÷√Ⅰ-Ⅻⅰ-ⅻ①-⒛㈠-㈩№₀-₉⁰¹²³⁴-⁹]|www\.|://"
        r"|(?<![A-Za-z])[IVX]+(?![A-Za-z])"
        r"|[A-Za-z0-9]\.(?:com|cn|net|org|io|md|py|txt|pdf|docx?|xlsx?|pptx?)|\w[<>＜＞]\w|[∠√∈]",
        re.ASCII),
}
