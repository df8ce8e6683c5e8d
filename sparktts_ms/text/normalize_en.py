"""The rules of English, applied from the top down; wetext reads what is left."""

import re

from sparktts_ms.text.rules import (
    ADDRESS,
    NUMBER,
    Grammar,
    WetextReader,
    one_of,
    rule,
    spell_address,
)

DIGITS = "zero one two three four five six seven eight nine".split()
ADDRESS_NAMES = {
    ".": "dot", "@": "at", "/": "slash", ":": "colon", "-": "dash", "_": "underscore", "+": "plus",
    **{str(n): name for n, name in enumerate(DIGITS)}}
MONTHS = (
    "January February March April May June July August September October November December".split())
# One, many, one hundredth, many hundredths.
CURRENCIES = {
    "USD": ("US dollar", "US dollars", "cent", "cents"),
    "$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence"),
    "GBP": ("pound", "pounds", "penny", "pence"), "₹": ("rupee", "rupees", "paisa", "paise"),
    "¥": ("yen", "yen", "", ""), "RMB": ("yuan", "yuan", "", "")}
SCALES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion"}
UNITS = {
    "m": ("meter", "meters"), "l": ("liter", "liters"), "L": ("liter", "liters"),
    "gal": ("gallon", "gallons"), "V": ("volt", "volts"), "W": ("watt", "watts"),
    "kHz": ("kilohertz", "kilohertz"), "dB": ("decibel", "decibels"), "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"), "mins": ("minute", "minutes"), "secs": ("second", "seconds"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "m/s": ("meter per second", "meters per second"),
    "mpg": ("mile per gallon", "miles per gallon")}
FIXED_PHRASES = {"24/7": "twenty four seven", "50/50": "fifty fifty", "9/11": "nine eleven"}

SIGN = "|".join(re.escape(sign) for sign in CURRENCIES)
AMOUNT = (
    rf"(?P<first>{NUMBER}|\.\d+)(?: ?[-–—] ?(?:{SIGN})?(?P<last>{NUMBER}))?"
    r"(?: ?(?P<scale>thousand|million|billion|trillion|[kKmMbB]n?\b))?")
MONTH = rf"((?:{'|'.join(MONTHS)}|Sept|{'|'.join(month[:3] for month in MONTHS)})\b)"
# What wetext reads: letters before the digit, as in MP3; the number; its unit.
CODE = r"(?:(?<![\w-])[A-Za-z][\w-]{0,20})?"
WETEXT_NUMBER = r"[$£€¥]?\d(?:[\w.,:/'+-]*[\w²³])?(?:%|°(?![CF]))?"
WETEXT_UNIT = (
    r"(?:°[CF]|AM|PM|am|pm|km/h|mph|[kcm]?m[²³23]|sq ft|[kmc]m|[km]?g|m[lLi]|ft|yd|lbs?|oz"
    r"|[KMGT]B(?:/s)?|[MG]?Hz|kW|min|rpm)(?![\w/])")

CORRECTIONS = (
    rule("6 May 2024 -> the sixth of May twenty twenty four",
         rf"(?<=st of |nd of |rd of |th of )(?:{'|'.join(MONTHS).lower()})\b",
         lambda m: m[0].capitalize()),
    rule("in 1905 -> in nineteen oh five", r"(?<=teen|lven|elve) zero (?=\w+$)", " oh "),
)
read = WetextReader("en", CORRECTIONS)


def read_ordinal(number: str) -> str:
    """21 -> twenty first."""
    is_teen = number[-2:] in ("11", "12", "13")
    suffix = {"1": "st", "2": "nd", "3": "rd"}.get(number[-1], "th")
    return read(f"{int(number)}{'th' if is_teen else suffix}")


def _read_groups(number: str) -> str:
    """Digit by digit, with a short pause where the groups of a number are separated."""
    groups = []
    for group in re.findall(r"\d+", number):
        digits = " ".join(DIGITS[int(digit)] for digit in group)
        groups.append("eight hundred" if group == "800" else digits)
    plus = "plus " if number.startswith("+") else ""
    return plus + ", ".join(groups)


def _money(match: re.Match[str]) -> str:
    """A form that wetext reads well: 5 dollars and 99 cents, 3 million dollars, 5 to 10 euros."""
    unit, units, hundredth, hundredths = CURRENCIES[match["sign"]]
    first = match["first"]
    whole, _, fraction = first.replace(",", "").partition(".")
    in_hundredths = len(fraction) == 2 and hundredth
    if match["last"] or match["scale"] or (fraction and not in_hundredths):
        words = [first]
        if match["last"]:
            words += ["to", match["last"]]
        if match["scale"]:
            words.append(SCALES.get(match["scale"].lower(), match["scale"]))
        return " ".join([*words, units])
    amounts = []
    for number, one, many in ((whole, unit, units), (fraction, hundredth, hundredths)):
        if int(number or 0):
            amounts.append(f"{int(number):,} {one if int(number) == 1 else many}")
    return " and ".join(amounts) or f"0 {units}"


def _decade(match: re.Match[str]) -> str:
    spoken = read(match[0][:-1])
    return spoken[:-1] + "ies" if spoken.endswith("y") else spoken + "s"


def _one_thousand(match: re.Match[str]) -> str:
    rest = int(match[1])
    if not rest:
        return "one thousand"
    return f"one thousand and {rest}" if rest < 100 else f"one thousand {rest}"


def _month(name: str) -> str:
    return next(month for month in MONTHS if month.startswith(name[:3]))


def _month_and_day(match: re.Match[str]) -> str:
    last = f" to {read_ordinal(match[3])}" if match[3] else ""
    return f"{_month(match[1])} {read_ordinal(match[2])}{last}"


def _unit(match: re.Match[str]) -> str:
    one, many = UNITS[match[2]]
    return f"{match[1]} {one if match[1] == '1' else many}"


RULES = (
    rule("a@x.com -> a at x dot com", ADDRESS, lambda m: spell_address(m[0], ADDRESS_NAMES, " ")),
    rule("Call (555) 123-4567. -> Call five five five, one two three, four five six seven.",
         r"(?<![\w.+-])(?:\+\d[\d ().-]{6,}\d"
         r"|(?:1[- ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}|\d{3}-\d{4}"
         r"|0\d{2,4} \d{3,4} \d{3,4}|\d{14,}|(?!\d+000)[2-9]\d{9})(?![\w-]|\.\d)",
         lambda m: _read_groups(m[0])),
    rule("Dial 911 now -> Dial nine one one now",
         r"(?i)\b((?:call|dial|phone|ring)(?:s|ed|ing)? )(911|999|112|988)\b",
         lambda m: m[1] + _read_groups(m[2])),
    rule("Open 24/7 -> Open twenty four seven",
         r"(?<![\w/])(?:24/7|50/50|9/11)(?![\w/])", lambda m: FIXED_PHRASES[m[0]]),
    rule("5'11\" -> five foot eleven", r"(?<!\w)(\d)' ?(\d{1,2})(?:\"|''|\b)", r"\1 foot \2"),
    rule("It is -5 -> It is minus five", r"(?<![\w)%.])-(?=[$£€¥]?\.?\d)", "minus "),
    rule("It is +5 -> It is plus five", r"(?<![\w)])\+(?=[$£€¥]?\.?\d)", "plus "),
    rule("It is ±5 -> It is plus or minus five", r"± ?(?=\d)", "plus or minus "),
    rule("$3 million -> three million dollars", rf"(?P<sign>{SIGN}) ?{AMOUNT}(?!\w)", _money),
    rule("100 USD -> one hundred US dollars", rf"{AMOUNT} ?(?P<sign>{SIGN})(?!\w)", _money),
    rule("the #1 -> the number one", r"(?:#|№ ?|\bNo\. ?|\bno\.)(?=\d)", "number "),
    rule("the 1990s -> the nineteen nineties", r"\b(?:1[1-9]|20)\d0s\b", _decade),
    rule("From May 5-7 -> From May fifth to seventh",
         rf"\b{MONTH}\.? ([0-3]?\d)(?:st|nd|rd|th)?(?: ?[-–] ?([0-3]?\d)(?:st|nd|rd|th)?)?"
         r"(?![\w%-]|[.,:/]\d)", _month_and_day),
    rule("on 6 May -> on the sixth of May",
         rf"(?<![\w.,:/-])(?:[Tt]he )?([0-3]?\d)(?:st|nd|rd|th)?(?: of)? {MONTH}",
         lambda m: f"the {read_ordinal(m[1])} of {_month(m[2])}"),
    rule("5%-10% -> five to ten percent", rf"({NUMBER})%? ?[-–—] ?({NUMBER}) ?%", r"\1 to \2%"),
    rule("25 % of it -> twenty five percent of it", r"(?<=\d) (?=[%°])", ""),
    rule("2020-24 -> twenty twenty to twenty four",
         r"(?<![\w-])((?:1[1-9]|20)\d\d)-((?:1[1-9]|20)?\d\d)(?![\w-])", r"\1 to \2"),
    rule("5 - 3 = 2 -> five minus three equals two", r"(?<=\d) ?- ?(?=\d+ ?=)", " minus "),
    rule("pages 10–20 -> pages ten to twenty",
         r"(?:(?<=\d)|(?<=°[CF])) ?[–—] ?(?=\d)|(?<=\d) - (?=\d)|(?<=\.\d)-(?=\d)"
         r"|(?<=\.\d\d)-(?=\d)", " to "),
    rule("at 5 p.m. Then -> at five PM. Then",
         r"(?<=\d) ?([AaPp])\.?[Mm]\.(?=$|\s+[A-Z])", lambda m: f" {m[1].upper()}M."),
    rule("8 a.m. or -> eight AM or", r"(?<=\d) ?([AaPp])\.[Mm]\.", lambda m: f" {m[1].upper()}M"),
    rule("v1.5 -> version one point five", r"\b[vV](?=\d)", "version "),
    rule("Python 2.5.1 -> Python two point five point one",
         r"(?<![\w.])(?:\d+(?:\.\d+){2}|\d+(?:\.\d+){4,})(?!\w|\.\d)",
         lambda m: m[0].replace(".", " point ")),
    rule("5-star food -> five star food", r"(?<=\d)((?:st|nd|rd|th)?)-(?=[A-Za-z])", r"\1 "),
    rule("2 hrs -> two hours", rf"(?<![\w.])({NUMBER}) ?({one_of(UNITS)})(?![\w/²³'])", _unit),
    rule("1,005 -> one thousand and five", r"(?<![\d,.])1,(\d{3})(?![\d,])", _one_thousand),
    rule("3.5M users -> three point five million users", r"(?<=\d)M\b", " million"),
    rule("2.5GHz -> two point five gigahertz", r"(\.\d+)(?=[A-Za-z])", r"\1 "),
    rule("10 × 2 -> ten times two", r"(?<=\d) ?[×*] ?(?=\d)", " times "),
    rule("6 ÷ 3 -> six divided by three", r"(?<=\d) ?÷ ?(?=\d)", " divided by "),
    rule("3 + 5 -> three plus five", r"(?<=\w) \+ (?=\w)", " plus "),
    rule("x = 3 -> x equals three", r"(?<=[\w)%]) ?= ?(?=[\w(-])", " equals "),
    rule("5>3 -> five is greater than three", r"(?<=\d) ?> ?(?=\d)", " is greater than "),
    rule("3<5 -> three is less than five", r"(?<=\d) ?< ?(?=\d)", " is less than "),
    rule("2^8 -> two to the power of eight", r"(?<=\w)\^(?=\w)", " to the power of "),
    rule("~20 -> about twenty", r"~ ?(?=\d)", "about "),
    rule("R&D -> R and D", " ?& ?", " and "),
    rule("3 apples -> three apples",
         rf"(?:{CODE}{WETEXT_NUMBER}|(?<!\w)\.\d+)(?: \d+/\d+)?(?: x {WETEXT_NUMBER})*"
         rf"(?: ?{WETEXT_UNIT})?|(?<!\w)[A-Z]\+\+", lambda m: read(m[0])),
)

TRIGGER = re.compile(r"[0-9０-９½⅓⅔¼¾&＆@＠+＋=＝]|www\.|://")
GRAMMAR = Grammar(RULES, TRIGGER, spaced=True)
