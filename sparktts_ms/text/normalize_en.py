"""The rules of English, applied from the top down: from what is certain to what is left."""

import re
import unicodedata

from sparktts_ms.text import arithmetic_en, codes_en, measures_en, money_en, roman_en, times_en
from sparktts_ms.text.context_en import after, before, counts
from sparktts_ms.text.numbers_en import (
    cardinal,
    decimal,
    fraction,
    mixed_fraction,
    ordinal,
    spell,
    year,
)
from sparktts_ms.text.rules import NUMBER, Grammar, after_digit, rule, words
from sparktts_ms.text.triggers import DAY, MONTH
from sparktts_ms.text.units_en import UNIT

_BEGIN = r"(?<!\w)(?<!\d[.,])"
_DASH = "[-–—~]"
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_ABBREVIATIONS = {
    "p.": "page", "pp.": "pages", "vol.": "volume", "fig.": "figure", "figs.": "figures",
    "ch.": "chapter", "sec.": "section", "nos.": "numbers", "eq.": "equation",
    "ver.": "version", "approx.": "approximately", "ca.": "circa", "c.": "circa",
    "art.": "article", "para.": "paragraph", "ed.": "edition", "est.": "established",
    "max.": "maximum", "min.": "minimum",
    "avg.": "average", "ep.": "episode", "pt.": "part"}
_VERSIONED = (
    "[Vv]ersion|Python|Java|PHP|Node|Ruby|Perl|Go|Rust|Kotlin|Swift|Ubuntu|Debian|Fedora|Android|"
    "iOS|iPadOS|macOS|watchOS|Django|Flask|CUDA|PyTorch|TensorFlow|MindSpore|NumPy|Linux|Kernel|"
    "kernel|Firefox|Chrome|Safari|Windows|Unity|Unreal|Blender|GCC|LLVM|CMake|release|Release")
_TITLES = {
    "Dr": "Doctor", "Prof": "Professor", "Gen": "General", "Col": "Colonel", "Capt": "Captain",
    "Lt": "Lieutenant", "Sgt": "Sergeant", "Maj": "Major", "Rev": "Reverend", "Sen": "Senator",
    "Gov": "Governor", "Rep": "Representative", "Mt": "Mount", "Ft": "Fort"}

read_ordinal = ordinal      # Chinese texts have English ranks, too


def _fraction(match: re.Match[str]) -> str:
    whole, numerator, denominator = match.groups()
    if int(denominator) < 2:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    if whole:
        return mixed_fraction(whole, numerator, denominator)
    is_rating = re.search(
        r"(?i)\b(?:rat(?:e|ed|es|ing)|scor(?:e|ed|es|ing)|gave|give|gives|grade|got|earned|pain|"
        r"a solid|perfect)\b[^.!?\d]{0,20}$", before(match)) or re.match(r" stars?\b", after(match))
    is_full = numerator == denominator in ("10", "100")
    if is_full or (is_rating and denominator in ("5", "10", "20", "50", "100")):
        return f"{cardinal(numerator)} out of {cardinal(denominator)}"
    if int(numerator) > int(denominator) > 20:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    if re.search(r"\b[Pp]ages? $", before(match)):
        return f"{cardinal(numerator)} of {cardinal(denominator)}"
    return fraction(numerator, denominator)


def _integer(match: re.Match[str]) -> str:
    """What is left: an amount, or a year where four digits count nothing."""
    number = match[0]
    if len(number) > 1 and number.startswith("0"):
        return spell(number)
    if len(number) == 4 and "1010" <= number < "3000":
        is_count = (counts(match) and not "1900" <= number < "2100") or re.match(
            r" (?:people|dollars|euros|pounds|words|times|years|days|hours|miles|steps|calories|"
            r"copies|units|votes|points|men|women|children|students|seats|meters|feet|of (?:the|"
            r"them|us|these|those))\b", after(match))
        if not is_count or number.endswith("00"):
            return year(number)
    return cardinal(number)


def _abbreviation(match: re.Match[str]) -> str:
    word = _ABBREVIATIONS[match[1].lower().rstrip(".") + "."]
    return (word.capitalize() if match[1][0].isupper() else word) + " "


def _version(version: str) -> str:
    """2.5.1 and 3.12: parts of two digits are numbers."""
    first, *rest = version.split(".")
    words = [cardinal(first)]
    for part in rest:
        if part == "0" and len(rest) == 1:
            words.append("oh")
        elif (part.startswith("0") and len(part) > 1) or len(part) > 2:
            words.append(spell(part))
        else:
            words.append(cardinal(part))
    return " point ".join(words)


def _separated(match: re.Match[str]) -> str:
    """A number with other separators than English ones, in a form that later rules read."""
    digits = re.sub("[^0-9]", "", match[0])
    return f"{int(digits):,}"


SIGNS = (
    rule("5 µg -> five micrograms", r"(?<=\d)( ?)µ(\w{0,4})", r"\1μ\2"),
    rule("10 kΩ -> ten kilohms", "(?<=[0-9])( ?[kM]?)\u2126", r"\1Ω"),
    rule("20˚C -> twenty degrees Celsius", "(?<=[0-9])( ?)[˚º](?=[CF]|\\s|$)", r"\1°"),
    rule("1⁄2 of it -> one half of it", "(?<=\\d)⁄(?=\\d)", "/"),
    rule("5‑10 people -> five to ten people", "(?<=\\d)[\u2010\u2011\u2012](?=\\d)", "-"),
    rule("H₂O -> H two O", "[₀-₉]+", lambda m: m[0].translate(_SUBSCRIPTS)),
    rule("chapter Ⅳ -> chapter four", "(?<=[A-Za-z] )[Ⅰ-Ⅻ]",
         lambda m: unicodedata.normalize("NFKC", m[0])),
)

_THIN = "\u00a0\u2009\u202f"

GROUPED = (
    rule("1 000 000 people -> one million people",
         rf"(?<![\w.,])(?<!\d )(?:[1-9]\d?|[1-9]\d\d(?=[ {_THIN}]000))(?:([ {_THIN}])\d{{3}})"
         r"(?:\1\d{3}){1,4}(?![\w]| \d)", _separated, needs=f" {_THIN}"),
    rule("3 000 or 45 500 people -> three thousand or forty five thousand five hundred people",
         rf"(?<![\w.,])(?<!\d )(?:[1-9]\d{{0,2}}(?:[{_THIN}]\d{{3}}| 000)"
         rf"|[1-9]\d{{1,2}} \d{{3}}(?! ?{UNIT}))(?! ?[\d%°/-]|\w)", _separated, needs=f" {_THIN}"),
    rule("1'000'000 people -> one million people", r"(?<![\w.,])\d{1,3}(?:['’]\d{3}){1,4}(?!\w)",
         _separated, needs="'’"),
    rule("1,00,000 people -> one hundred thousand people",
         r"(?<![\w.,])\d{1,2}(?:,\d\d){1,4},\d{3}(?![\w,])", _separated, needs=(",", "0-9")),
    rule("2,5 kg -> two point five kilograms",
         rf"(?<![\w.,])(\d{{1,3}}),(\d{{1,2}})(?= ?{UNIT})", r"\1.\2", needs=(",", "0-9")),
    rule("1.234.567 people -> one million two hundred thirty four thousand five hundred and sixty "
         "seven people", r"(?<![\w.,])[1-9]\d{0,2}(?:\.\d{3}){2,4}(?![\w.])", _separated,
         needs=(".", "0-9")),
)
RULES = (
    *SIGNS,
    *codes_en.RULES,
    rule("Dr. Smith -> Doctor Smith", rf"\b({'|'.join(_TITLES)})\. ?(?=[A-Z])",
         lambda m: f"{_TITLES[m[1]]} ", needs="."),
    rule("St. Louis -> Saint Louis", r"(?<![a-z\d] )(?<!\w)St\. (?=[A-Z][a-z])", "Saint ",
         needs="."),
    rule("Tom vs. Jerry -> Tom versus Jerry", r"(?<=[^\s,;] )vs\b\.?(?= \S)", "versus", needs="v"),
    rule("Mon-Fri -> Mon to Fri", rf"\b({DAY})\.? ?[-–] ?(?=(?:{DAY})\b)", r"\1 to ",
         needs="–-"),
    rule("May–June -> May to June", rf"\b({MONTH})\.? ?[-–] ?(?=(?:{MONTH})\b)", r"\1 to ",
         needs="–-"),
    *times_en.RULES,
    *roman_en.RULES,
    *codes_en.HYPHENATED,
    *GROUPED,
    rule("2019–present -> twenty nineteen to present",
         r"(?<=[\dM]) ?[-–—] ?(?=(?:present|now|today|date|noon|midnight)\b)", " to ",
         needs="–—-"),
    rule("C++ and C# -> C plus plus and C sharp",
         r"(?<!\w)([A-Za-z])(\+\+|(?<=[A-Z])#)(?![A-Za-z])",
         lambda m: f"{m[1]} {'sharp' if m[2] == '#' else 'plus plus'}", needs="+#"),
    rule("~20 or ~$5 -> about twenty or about five dollars",
         r"(?<!\w)[~∼] ?(?=[$£€¥]?\.?\d)", "about ", needs="~∼"),
    rule("It is -5 -> It is minus five", r"(?<![\w)%.°²³])[-–](?=[$£€¥]?\.?\d)", "minus ",
         needs=("–-", "0-9")),
    rule("-10–-5 °C -> minus ten to minus five degrees Celsius",
         r"(?<=\d) ?[-–—] ?(?=minus [\d.])", " to ", needs="–—-"),
    rule("It is +5 -> It is plus five", r"(?<![\w)])\+(?=[$£€¥]?\.?\d)", "plus ", needs="+"),
    *money_en.RULES,
    rule("#1 and No. 5 -> number one and number five", r"(?:#|№ ?|\b[Nn]o\. ?)(?=\d)", "number ",
         needs="#№oO"),
    rule("§5 -> section five", r"(§{1,2}) ?(?=\d)",
         lambda m: "section " if m[1] == "§" else "sections "),
    rule("p. 5 and Fig. 2 -> page five and Figure two",
         r"\b((?i:pp?\.|pp(?= )|vol\.|figs?\.|chs?\.|sec\.|nos\.|eq\.|ver\.|approx\.|ca?\.|art\."
         r"|para\.|"
         r"est\.|max\.|min\.|avg\.|ep\.|pt\.)) ?(?=\d)", _abbreviation,
         needs=re.compile("[.p] ?[0-9]")),
    rule("v1.5 -> version one point five", r"\bv(?=\d)|\bV(?=\d+\.)", "version ", needs="vV"),
    rule("version 2.0 of Python 3.12 -> version two point oh of Python three point twelve",
         rf"\b((?:{_VERSIONED}) )(\d{{1,4}}\.\d{{1,4}})(?![\w%]|\.\d)",
         lambda m: m[1] + _version(m[2]),
         needs=(after_digit(r"\.[0-9]"), words(_VERSIONED.replace("[Vv]", "V")))),
    rule("OS 2.5.1 -> OS two point five point one",
         r"(?<![\w.])(?:\d{1,6}(?:\.\d{1,6}){2}|\d{1,6}(?:\.\d{1,6}){4,20})(?!\w|\.\d)",
         lambda m: _version(m[0]), needs=(".", "0-9")),
    rule("10-year-olds or 3-in-1 -> ten year-olds or three in one",
         r"(?<=\d)-(to|in|on|for|by|and|of|a|per|or|plus|out-of)-(?=\d)",
         lambda m: f" {m[1].replace('-', ' ')} ", needs=("-", "0-9")),
    rule("5- to 10-year-olds -> five to ten year-olds", r"(?<=\d)-(?= (?:to|and|or|by) )", "",
         needs=("-", "0-9")),
    *arithmetic_en.OPERATORS,
    rule("20°-25°C -> twenty to twenty five degrees Celsius",
         r"(?<=\d)(?:°[CF]?)? ?[-–—~] ?(?=\d{1,4}(?:\.\d{1,3})? ?°)", " to ", needs="°"),
    rule("5-10kg and 10k-20k -> five to ten kilograms and ten thousand to twenty thousand",
         rf"(?<![\w.,-])({NUMBER}(?: ?(?:{UNIT}|[kKMBx]|bn))?) ?{_DASH} ?(?={NUMBER}(?!-\d|/\d))",
         r"\1 to ", needs=("–—~-", "0-9")),
    *measures_en.RULES,
    *arithmetic_en.RULES,
    rule("1/4-1/2 of it -> one quarter to one half of it",
         r"(?:(?<=\d/\d)|(?<=\d/\d\d)) ?[-–—~] ?(?=\d)", " to ", needs="/"),
    rule("figures A4–5 -> figures A four to five",
         r"(?<=\d) ?[–—~] ?(?=[$£€]?\.?\d)|(?<=\d) - (?=\d)", " to ", needs=("–—~-", "0-9")),
    rule("in 4/4 time -> in four four time",
         r"(?<![\w./-])(\d{1,2})/(\d{1,2})(?= (?:time|beat|meter|signature)\b)",
         lambda m: f"{cardinal(m[1])} {cardinal(m[2])}", needs="/"),
    rule("7.5/10 stars -> seven point five out of ten stars",
         r"(?<![\w./,])(\d{1,3}\.\d{1,2})/(5|10|20|100)(?![\w/]|[.,:]\d)",
         lambda m: f"{decimal(m[1])} out of {cardinal(m[2])}", needs="/"),
    rule("1/2 of 2 1/2 -> one half of two and a half",
         r"(?<![\w./:-])(?:(\d{1,4})[ -])?(\d{1,4})/(\d{1,4})(?:ths?|rds?|nds?)?(?![\w/]|[.,:]\d)",
         _fraction, needs="/"),
    rule("1st-4th -> first to fourth",
         r"(?<=\d[snrt][tdh])[-–](?=\d{1,3}(?:st|nd|rd|th))", " to ", needs=("–-", "0-9")),
    rule("5-star food, 21st-century art -> five star food, twenty first century art",
         r"(?<=\d)((?:st|nd|rd|th)?)-(?=[A-Za-z])", r"\1 ", needs=("-", "0-9")),
    rule("the 21st and 1,000th -> the twenty first and one thousandth",
         rf"{_BEGIN}(\d{{1,3}}(?:,\d{{3}}){{1,4}}|\d{{1,15}})(?:st|nd|rd|th|ST|ND|RD|TH)\b",
         lambda m: ordinal(m[1]), needs=after_digit("[snrtSNRT][tdhTDH]")),
    *codes_en.NAMES,
    rule("1,005 of 0.5 -> one thousand and five of zero point five",
         r"(?<!\w)(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)(?:\.\d{1,400})?|\d{1,15}\.\d{1,400}|"
         r"(?<!\.)\.\d{1,400})",
         lambda m: decimal(m[0]), needs=(",.", "0-9")),
    rule("the 3 of 1984 -> the three of nineteen eighty four", r"\d{1,400}", _integer),
    rule("an A+ -> an A plus", r"(?<!\w)([A-Za-z]{1,15})\+(?!\w)", r"\1 plus", needs="+"),
    rule("an A- -> an A minus", r"(?<!\w)([Aa]n? )([A-F])-(?=[\s.,;!?]|$)", r"\1\2 minus",
         needs="-"),
    rule("R&D -> R and D", " ?& ?", " and ", needs="&"),
    rule("two @ ten -> two at ten", " @ ", " at ", needs="@"),
    rule("a ninety ° turn -> a ninety degrees turn", r"(?<=\w) ?°", " degrees", needs="°"),
)
GRAMMAR = Grammar(RULES, spaced=True)
