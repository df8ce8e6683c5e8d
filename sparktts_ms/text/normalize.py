"""Numbers and symbols as the words that are said for them, in Chinese and in English.

The reading is wetext's, whose grammars are files that are installed with it. It is shown numbers with their units, never
the words around them, so that no word can be lost. What it reads wrongly is put into words, or into a form that it reads
well, before it sees it: that is what the two tables of rules are for, and each is gone through from the top down.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import groupby

from sparktts_ms.text.syllables import HAN, KANA

log = logging.getLogger(__name__)
SegmentState = str | Callable[[re.Match[str]], str]       # what a match becomes

READABLE = re.compile(r"[0-9０-９½⅓⅔¼¾&＆@＠+＋=＝]|www\.|://")     # a text with none of these stays as it is
CJK = HAN + KANA
CLAUSE = re.compile(rf"(?<=[。！？；，、：\n])|(?<=[.!?;])(?=\s+[A-Z{CJK}])")
WORD = re.compile(r"(?<![\w/@.:&-])[a-z]{2,}(?![\w@:/])")              # not capitals: names stand in texts of any language
NOT_WORDS = frozenset("am cm ft gb hz kb kg km kph lb lbs mb mg min ml mm mph oz pm rpm tb yd".split())  # noqa: SIM905
WIDE = {ord(c): unicodedata.normalize("NFKC", c) for c in "０１２３４５６７８９％＄＆＠＃＋＝￥℃℉㎡㎏㎝㎜㎞"} | {ord("−"): "-"}
FRACTIONS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
LONGEST = 100           # characters the library is shown at once: more is no number, and would take seconds


def normalize(text: str) -> str:
    """The text with its numbers and symbols in words. Clauses in other scripts than Han and Latin stay as they are."""
    if not READABLE.search(text):
        return text
    return "".join(_read(run, language) if language in RULES and READABLE.search(run) else run
                   for run, language in _runs(text))


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """The text cut between clauses of different languages; a clause that shows none has that of the clause before it."""
    clauses = CLAUSE.split(text)
    found = [_language(clause) for clause in clauses]
    latest = next(filter(None, found), "zh" if re.search("[，。！？、；：¥￥]", text) else "en")
    languages = [latest := language or latest for language in found]
    for language, group in groupby(zip(clauses, languages, strict=True), key=lambda pair: pair[1]):
        yield "".join(clause for clause, _ in group), language


def _language(clause: str) -> str | None:
    """zh, en, "other" for another script, or None where only names, units or numbers are written."""
    han = len(re.findall(f"[{CJK}]", clause))
    other = sum(c.isalpha() and c > "\u024f" for c in clause) - han
    english = sum(word not in NOT_WORDS for word in WORD.findall(clause))
    if other > han + english:
        return "other"
    if han > english or re.search(rf"\d ?[{CJK}]", clause):
        return "zh"
    return "en" if english else None


def _read(run: str, language: str) -> str:
    """A stretch of one language: plain forms of its characters, what we read ourselves, then what the library reads."""
    run = re.sub("([0-9]?)([½⅓⅔¼¾])", lambda m: f"{m[1]} {FRACTIONS[m[2]]}".lstrip(), run.translate(WIDE))
    run = re.sub(r"(?<=[0-9])[：．／－～](?=[0-9])", lambda m: unicodedata.normalize("NFKC", m[0]), run)
    for pattern, spoken in [*RULES[language], (PIECES[language], lambda m: _said(m[0], language))]:
        run = _replaced(pattern, spoken, run, apart=language == "en")
    return run


def _replaced(pattern: re.Pattern[str], spoken: SegmentState, run: str, apart: bool) -> str:
    """All matches replaced; with `apart`, never so that two words grow together."""
    def words(match: re.Match[str]) -> str:
        said = match.expand(spoken) if isinstance(spoken, str) else spoken(match)
        left = apart and match.string[match.start() - 1:match.start()].isalpha() and said[:1].isalnum()
        right = apart and match.string[match.end():match.end() + 1].isalpha() and said[-1:].isalnum()
        return " " * left + said + " " * right
    return pattern.sub(words, run)


def _said(piece: str, language: str) -> str:
    """What the library says for a number with its unit; where it cannot say the whole, the numbers in it."""
    try:
        spoken = _reader(language)(piece) if len(piece) <= LONGEST else ""
    except Exception as error:          # assertions of its parser, for what its grammar does not know
        log.debug("cannot read %r: %r", piece, error)
        spoken = ""
    if not spoken:
        parts = re.findall(r"[0-9]+|[^0-9]+", piece)
        return "".join(_said(part, language) if part[0].isdigit() else part for part in parts) if len(parts) > 1 else piece
    for pattern, better in AFTER:
        spoken = pattern.sub(better, spoken)
    return spoken


@lru_cache
def _reader(language: str) -> Callable[[str], str]:
    from wetext import Normalizer  # takes 0.3 s and 50 MB, so not before the first number

    return Normalizer(lang=language, operator="tn").normalize


def _rules(table: Iterable[tuple[str, SegmentState]]) -> list[tuple[re.Pattern[str], SegmentState]]:
    return [(re.compile(pattern, re.ASCII), spoken) for pattern, spoken in table]


# Rules of both languages: what is said digit by digit.

NUM = r"(?:\d{1,3}(?:,\d{3}){1,6}(?:\.\d+)?|\d{1,15}(?:\.\d+)?)"
ADDRESS = r"(?:https?://|www\.)[\w.:/@~_-]*[\w/]|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
DIGITS = {"zh": list("零幺二三四五六七八九"), "en": "zero one two three four five six seven eight nine".split()}  # noqa: SIM905
MARKS = {"zh": {".": "点", "@": "艾特", "/": "斜杠", ":": "冒号", "-": "杠", "_": "下划线", "+": "加"},
         "en": {".": "dot", "@": "at", "/": "slash", ":": "colon", "-": "dash", "_": "underscore", "+": "plus"}}


def _digits(number: str) -> str:
    """Chinese, digit by digit; 1 is 幺, as in telephone numbers."""
    return "".join(DIGITS["zh"][int(c)] if c.isdigit() else c for c in number if c.isalnum())


def _groups(number: str) -> str:
    """English, digit by digit, with a short pause where the groups of a number are separated."""
    groups = re.findall(r"\d+", number)
    said = ["eight hundred" if group == "800" else " ".join(DIGITS["en"][int(c)] for c in group) for group in groups]
    return "plus " * number.startswith("+") + ", ".join(said)


def _address(address: str, language: str) -> str:
    names = MARKS[language] | {str(digit): name for digit, name in enumerate(DIGITS[language])}
    parts = re.findall(r"[A-Za-z]+|.", re.sub("^https?://", "", address).rstrip("/"))
    return ("" if language == "zh" else " ").join(names.get(part, part) for part in parts).replace("幺", "一")


# Rules of Chinese.

YUAN = {"¥": "元", "$": "美元", "US$": "美元", "HK$": "港元", "NT$": "新台币", "€": "欧元", "£": "英镑", "₩": "韩元",
        "RMB": "元", "CNY": "元", "USD": "美元", "EUR": "欧元", "GBP": "英镑", "JPY": "日元", "HKD": "港元"}
SIGN = "|".join(re.escape(sign) for sign in sorted(YUAN, key=len, reverse=True))
METRIC = {"mL": "毫升", "g": "克", "kg": "公斤", "KG": "公斤", "KM": "公里", "W": "瓦", "V": "伏", "kWh": "千瓦时",
          "mAh": "毫安时", "Hz": "赫兹", "kHz": "千赫", "MHz": "兆赫", "GHz": "吉赫", "Pa": "帕", "kPa": "千帕", "dB": "分贝"}
COUNTED = "次种倍点份件家款项套类趟遍回下枚颗粒台辆艘架栋座位名条本张只头匹个间样群组季局轮盘圈個種條張隻間樣組輪"
NUMBERED = "号码|编号|学号|工号|卡号|尾号|单号|账号|密码|验证码|邮编|房间号|房号|QQ号?|微信号?"


def _count(number: str) -> str:
    """A number that counts. The library reads a bare 110 as a hotline and 2 as 二, so it is asked for an amount of money."""
    return _said(number.replace(",", "") + "元", "zh").removesuffix("元")


def _order(number: str) -> str:
    """A number that orders, as in 第二 and 二月: never 两."""
    return _count(number).replace("两", "二")


def _yuan(match: re.Match[str]) -> str:
    to = f"到{_count(match['last'])}" if match["last"] else ""
    return _count(match["first"]) + to + match["scale"] + YUAN[match["sign"]]


def _per_cent(match: re.Match[str]) -> str:
    of = "千分之" if match["mark"] == "‰" else "百分之"
    to = f"到{of}{_count(match['last'])}" if match["last"] else ""
    return of + {"-": "负", "+": "正"}.get(match["sign"], "") + _count(match["first"]) + to


def _range(match: re.Match[str]) -> str:
    """3-5 is from three to five, 5-3 a score, 2019-2024 two years. (A difference has an equals sign.)"""
    first, last = match.groups()
    if re.fullmatch("(?:(?:19|20)[0-9]{2}){2}", first + last):
        return f"{_digits(first)}到{_digits(last)}".replace("幺", "一")
    return f"{first}{'到' if float(first) < float(last) else '比'}{last}"


ZH = _rules([
    (ADDRESS, lambda m: _address(m[0], "zh")),
    (r"\+(\d{1,3}[- ]?\d[\d -]{5,}\d)", lambda m: "加" + _digits(m[1])),
    (r"(?<![\w.])(?:1[3-9]\d([- ]?)\d{4}\1\d{4}|0\d{2,3}-\d{7,8}|[48]00-\d{3}-?\d{4}|[48]00-\d{4}-\d{3})(?!\d)",
     lambda m: _digits(m[0])),
    (rf"((?:{NUMBERED})[是为:： ]{{0,2}})(\d+)(?![\d.])", lambda m: m[1] + _digits(m[2])),
    (r"(?<![\w.])(?:\d{11,}[Xx]?|(?:19|20)\d{6})(?![\d.])", lambda m: _digits(m[0])),
    (rf"(?P<sign>{SIGN}) ?(?P<first>{NUM})(?: ?[-~—–至到] ?(?:{SIGN})?(?P<last>{NUM}))? ?(?P<scale>[百千万亿]*)(?:[美欧]?元)?",
     _yuan),
    (rf"(?P<first>{NUM})(?P<last>) ?(?P<scale>[百千万亿]*)(?P<sign>[$€£]|RMB|CNY|USD|EUR|GBP|JPY|HKD)(?![A-Za-z])", _yuan),
    (rf"(?:(?<![\w%])(?P<sign>[-+]))?(?P<first>{NUM})(?:[%‰]? ?[-~—–至到] ?(?P<last>{NUM}))? ?(?P<mark>[%‰])", _per_cent),
    (r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?(?! ?[A-Za-z°])", lambda m: _count(m[0])),
    (r"(?<=\d),(?=\d{3}(?!\d))", ""),
    (r"(?:第|\b[Nn][Oo]\. ?)(\d+)(?:[-~—–至到]第?(\d+))?(?!\.?\d|/)",
     lambda m: f"第{_order(m[1])}" + (f"到{_order(m[2])}" if m[2] else "")),
    (r"(?<![\d.])(\d{1,2})月(\d{1,2})(?=[日号])", lambda m: f"{_order(m[1])}月{_order(m[2])}"),
    (r"(?<![\d.])2(?=日)", "二"),
    (rf"(?<=\d) ?({'|'.join(sorted(METRIC, key=len, reverse=True))})(?![\w/²³])", lambda m: METRIC[m[1]]),
    (r"(?<![\w.+×÷*/=-])([1-9]\d*(?:\.\d+)?)-([1-9]\d*(?:\.\d+)?)(?! ?[\w.+×÷*/=°-])", _range),
    (r"(?<=[年月日号点分]) ?[-~—–] ?(?=\d)|(?<=[\d%°CF²³]) ?[~—–] ?(?=\d)", "到"), (r"~ ?(?=\d)", "约"),
    (rf"(?<![\w.~/:-])2(?=[{COUNTED}]|年(?!级))", "两"),
    (r"(?<![\d.])(?!\d{4}\.)(?:\d+(?:\.\d+){2}|\d+(?:\.\d+){4,})(?!\.?\d)", lambda m: "点".join(map(_order, m[0].split(".")))),
    (r"(?<!\d)(\d{1,9})(?:st|nd|rd|th)\b", lambda m: _ordinal(m[1])),
    (r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=[A-Za-z])", " "),
    (r"(?<=[A-Za-z])\d+(?=[A-Za-z])", lambda m: _digits(m[0]).replace("幺", "一")),
    (r"(?<=[A-Za-z])\d{3,}(?![\d.%:])|(?<![\w.])\d{3,4}(?=[室房])", lambda m: _digits(m[0])),
    (r"(?<![\d:.])0(?=:[0-5]\d)", "00"),
    (r"#(\d+)", r"\1号"), (rf"(?<=[{CJK}]) ?& ?(?=[{CJK}])", "和"), (r" ?& ?", " and "),
    (r"(?<=[A-Za-z])\+\+", "加加"), (r"(?<=[\w)]) ?\+ ?(?=[\w(])|(?<=\d)\+", "加"), (r"(?<=[\w)%]) ?= ?(?=[\w(-])", "等于"),
    (r"(?<=\d) ?[×*xX] ?(?=\d)", "乘"), (rf"(?<=[元块分])/(?=[{CJK}])", "每"),
])


# Rules of English.

MONEY = {"$": ("dollar", "dollars", "cent", "cents"), "USD": ("US dollar", "US dollars", "cent", "cents"),
         "€": ("euro", "euros", "cent", "cents"), "EUR": ("euro", "euros", "cent", "cents"),
         "£": ("pound", "pounds", "penny", "pence"), "GBP": ("pound", "pounds", "penny", "pence"),
         "₹": ("rupee", "rupees", "paisa", "paise"), "¥": ("yen", "yen", "", ""), "RMB": ("yuan", "yuan", "", "")}
COIN = "|".join(re.escape(sign) for sign in MONEY)
AMOUNT = (rf"(?P<first>{NUM}|\.\d+)(?: ?[-–—] ?(?:{COIN})?(?P<last>{NUM}))?"
          r"(?: ?(?P<scale>thousand|million|billion|trillion|[kKmMbB]n?\b))?")
SCALES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion"}
MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
MONTH = rf"((?:{'|'.join(MONTHS)}|Sept|{'|'.join(month[:3] for month in MONTHS)})\b)"
UNITS = {"m": ("meter", "meters"), "l": ("liter", "liters"), "L": ("liter", "liters"), "gal": ("gallon", "gallons"),
         "V": ("volt", "volts"), "W": ("watt", "watts"), "kHz": ("kilohertz", "kilohertz"), "dB": ("decibel", "decibels"),
         "hr": ("hour", "hours"), "hrs": ("hour", "hours"), "mins": ("minute", "minutes"), "secs": ("second", "seconds"),
         "m/s": ("meter per second", "meters per second"), "kph": ("kilometer per hour", "kilometers per hour"),
         "mpg": ("mile per gallon", "miles per gallon")}
SAYINGS = {"24/7": "twenty four seven", "50/50": "fifty fifty", "9/11": "nine eleven"}
AFTER = _rules([     # mends what the library says
    (rf"(?<=st of |nd of |rd of |th of )(?:{'|'.join(month.lower() for month in MONTHS)})\b", lambda m: m[0].capitalize()),
    (r"(?<=teen|lven|elve) zero (?=\w+$)", " oh ")])


def _ordinal(number: str) -> str:
    last = number[-1] if number[-2:] not in ("11", "12", "13") else "0"
    return _said(str(int(number)) + {"1": "st", "2": "nd", "3": "rd"}.get(last, "th"), "en")


def _month(name: str) -> str:
    return next(month for month in MONTHS if month.startswith(name[:3]))


def _money(match: re.Match[str]) -> str:
    """Digits and words that the library reads well: 5 dollars and 99 cents, 3 million dollars, 5 to 10 euros."""
    first, last, scale = match["first"], match["last"], match["scale"]
    one, many, cent, cents = MONEY[match["sign"]]
    whole, _, part = first.replace(",", "").partition(".")
    if last or scale or len(part) not in (0, 2) or (part and not cent):
        return f"{first}{f' to {last}' if last else ''}{f' {SCALES.get(scale.lower(), scale)}' if scale else ''} {many}"
    amounts = [(int(whole or 0), one, many), (int(part or 0), cent, cents)]
    return " and ".join(f"{n:,} {one if n == 1 else many}" for n, one, many in amounts if n) or f"0 {many}"


def _decade(match: re.Match[str]) -> str:
    said = _said(match[0][:-1], "en")
    return said[:-1] + "ies" if said.endswith("y") else said + "s"


def _one_thousand(match: re.Match[str]) -> str:
    rest = int(match[1])
    return "one thousand" + (f"{' and' if rest < 100 else ''} {rest}" if rest else "")


EN = _rules([
    (ADDRESS, lambda m: _address(m[0], "en")),
    (r"(?<![\w.+-])(?:\+\d[\d ().-]{6,}\d|(?:1[- ])?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}|\d{3}-\d{4}"
     r"|0\d{2,4} \d{3,4} \d{3,4}|\d{14,}|(?!\d+000)[2-9]\d{9})(?![\w-]|\.\d)", lambda m: _groups(m[0])),
    (r"(?i)\b((?:call|dial|phone|ring)(?:s|ed|ing)? )(911|999|112|988)\b", lambda m: m[1] + _groups(m[2])),
    (r"(?<![\w/])(?:24/7|50/50|9/11)(?![\w/])", lambda m: SAYINGS[m[0]]),
    (r"(?<!\w)(\d)' ?(\d{1,2})(?:\"|''|\b)", r"\1 foot \2"),
    (r"(?<![\w)%.])-(?=[$£€¥]?\.?\d)", "minus "), (r"(?<![\w)])\+(?=[$£€¥]?\.?\d)", "plus "), (r"± ?(?=\d)", "plus or minus "),
    (rf"(?P<sign>{COIN}) ?{AMOUNT}(?!\w)", _money), (rf"{AMOUNT} ?(?P<sign>{COIN})(?!\w)", _money),
    (r"(?:#|№ ?|\bNo\. ?|\bno\.)(?=\d)", "number "),
    (r"\b(?:1[1-9]|20)\d0s\b", _decade),
    (rf"\b{MONTH}\.? ([0-3]?\d)(?:st|nd|rd|th)?(?: ?[-–] ?([0-3]?\d)(?:st|nd|rd|th)?)?(?![\w%-]|[.,:/]\d)",
     lambda m: f"{_month(m[1])} {_ordinal(m[2])}" + (f" to {_ordinal(m[3])}" if m[3] else "")),
    (rf"(?<![\w.,:/-])(?:[Tt]he )?([0-3]?\d)(?:st|nd|rd|th)?(?: of)? {MONTH}",
     lambda m: f"the {_ordinal(m[1])} of {_month(m[2])}"),
    (rf"({NUM})%? ?[-–—] ?({NUM}) ?%", r"\1 to \2%"), (r"(?<=\d) (?=[%°])", ""),
    (r"(?<![\w-])((?:1[1-9]|20)\d\d)-((?:1[1-9]|20)?\d\d)(?![\w-])", r"\1 to \2"),
    (r"(?<=\d) ?- ?(?=\d+ ?=)", " minus "),
    (r"(?:(?<=\d)|(?<=°[CF])) ?[–—] ?(?=\d)|(?<=\d) - (?=\d)|(?<=\.\d)-(?=\d)|(?<=\.\d\d)-(?=\d)", " to "),
    (r"(?<=\d) ?([AaPp])\.?[Mm]\.(?=$|\s+[A-Z])", lambda m: f" {m[1].upper()}M."),
    (r"(?<=\d) ?([AaPp])\.[Mm]\.", lambda m: f" {m[1].upper()}M"),
    (r"\b[vV](?=\d)", "version "),
    (r"(?<![\w.])(?:\d+(?:\.\d+){2}|\d+(?:\.\d+){4,})(?!\w|\.\d)", lambda m: m[0].replace(".", " point ")),
    (r"(?<=\d)((?:st|nd|rd|th)?)-(?=[A-Za-z])", r"\1 "),
    (rf"(?<![\w.])({NUM}) ?({'|'.join(sorted(UNITS, key=len, reverse=True))})(?![\w/²³'])",
     lambda m: f"{m[1]} {UNITS[m[2]][m[1] != '1']}"),
    (r"(?<![\d,.])1,(\d{3})(?![\d,])", _one_thousand),
    (r"(?<=\d)M\b", " million"), (r"(\.\d+)(?=[A-Za-z])", r"\1 "),
    (r"(?<=\d) ?[×*] ?(?=\d)", " times "), (r"(?<=\d) ?÷ ?(?=\d)", " divided by "), (r"(?<=\w) \+ (?=\w)", " plus "),
    (r"(?<=[\w)%]) ?= ?(?=[\w(-])", " equals "), (r"(?<=\d) ?> ?(?=\d)", " is greater than "),
    (r"(?<=\d) ?< ?(?=\d)", " is less than "), (r"(?<=\w)\^(?=\w)", " to the power of "), (r"~ ?(?=\d)", "about "),
    (r" ?& ?", " and "),
])


# What the library is shown once the rules are through.

NUMBER = r"[$£€¥]?\d(?:[\w.,:/'+-]*[\w²³])?(?:%|°(?![CF]))?"
UNIT = (r"(?:°[CF]|AM|PM|am|pm|km/h|mph|[kcm]?m[²³23]|sq ft|[kmc]m|[km]?g|m[lLi]|ft|yd|lbs?|oz|[KMGT]B(?:/s)?|[MG]?Hz|kW|min"
        r"|rpm)(?![\w/])")
CODE = r"(?:(?<![\w-])[A-Za-z][\w-]{0,20})?"        # the letters before a digit, as in MP3 and COVID-19
RULES = {"zh": ZH, "en": EN}
PIECES = {
    "zh": re.compile(rf"(?:[-+±]?[$€£¥]?\d(?:[A-Za-z0-9.,:/%°²³+×÷=<>≥≤-]*[A-Za-z0-9%°²³])?(?: ?[{CJK}]{{1,3}})?)+", re.ASCII),
    "en": re.compile(rf"(?:{CODE}{NUMBER}|(?<!\w)\.\d+)(?: \d+/\d+)?(?: x {NUMBER})*(?: ?{UNIT})?|(?<!\w)[A-Z]\+\+", re.ASCII)}
