"""The rules of English, applied from the top down: from what is certain to what is left."""

import re
import unicodedata

from sparktts_ms.text import codes_en, money_en, roman_en, times_en
from sparktts_ms.text.context_en import after, before, counts, is_adjective
from sparktts_ms.text.numbers_en import (
    cardinal,
    decimal,
    fraction,
    mixed_fraction,
    number_in_name,
    ordinal,
    pairs,
    spell,
    year,
)
from sparktts_ms.text.rules import NUMBER, Grammar, rule
from sparktts_ms.text.units_en import UNIT, unit_name, unit_per

_BEGIN = r"(?<!\w)(?<!\d[.,])"
_END = r"(?!\w|[.,]\d)"
_DASH = "[-–—~]"
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_ABBREVIATIONS = {
    "p.": "page", "pp.": "pages", "vol.": "volume", "fig.": "figure", "figs.": "figures",
    "ch.": "chapter", "sec.": "section", "no.": "number", "nos.": "numbers", "eq.": "equation",
    "ver.": "version", "approx.": "approximately", "ca.": "circa", "c.": "circa",
    "art.": "article", "para.": "paragraph", "ed.": "edition", "est.": "established",
    "p": "page", "pp": "pages", "№": "number", "max.": "maximum", "min.": "minimum",
    "avg.": "average", "ep.": "episode", "pt.": "part", "ext.": "extension"}
_VERSIONED = (
    "[Vv]ersion|Python|Java|PHP|Node|Ruby|Perl|Go|Rust|Kotlin|Swift|Ubuntu|Debian|Fedora|Android|"
    "iOS|iPadOS|macOS|watchOS|Django|Flask|CUDA|PyTorch|TensorFlow|MindSpore|NumPy|Linux|Kernel|"
    "kernel|Firefox|Chrome|Safari|Windows|Unity|Unreal|Blender|GCC|LLVM|CMake|release|Release")
_SCALES = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion", "bn": "billion",
           "mn": "million", "tn": "trillion", "m": "million"}
_RACES = r"(?= (?:run|race|walk|runs|races|runner|fun run|marathon|events?|time|times)\b)"

_DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_COMPARISONS = {
    ">": "greater than", "<": "less than", "≥": "greater than or equal to",
    ">=": "greater than or equal to", "≤": "less than or equal to", "<=": "less than or equal to",
    "≠": "not equal to", "!=": "not equal to", "≈": "approximately equal to",
    "≃": "approximately equal to", "⩾": "greater than or equal to", "⩽": "less than or equal to"}
_DAYS = (
    "Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday"
    "|Sunday")
_MONTHS = "|".join([*times_en.MONTHS, *(month[:3] for month in times_en.MONTHS), "Sept"])
_PER_UNIT = "kg|km|mi|lb|oz|hr|sq ft|mL|ml|min|sec|yr|GB|MB|m²|km²|kWh|cm|mm"
GREEK = dict(zip(
    "αβγδεζηθικλμνξπρσςτυφχψωΓΔΘΛΞΠΣΦΨΩ",
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma sigma "
    "tau upsilon phi chi psi omega gamma delta theta lambda xi pi sigma phi psi omega".split(),
    strict=True))
_TITLES = {
    "Dr": "Doctor", "Prof": "Professor", "Gen": "General", "Col": "Colonel", "Capt": "Captain",
    "Lt": "Lieutenant", "Sgt": "Sergeant", "Maj": "Major", "Rev": "Reverend", "Sen": "Senator",
    "Gov": "Governor", "Rep": "Representative", "Mt": "Mount", "Ft": "Fort"}
_SIZED = "(?:mm|cm|m|km|ft|in|px)"
_PER_TIME = {
    "day": "day", "week": "week", "wk": "week", "month": "month", "mo": "month", "year": "year",
    "yr": "year", "hour": "hour", "hr": "hour", "min": "minute", "minute": "minute",
    "sec": "second", "second": "second", "s": "second", "person": "person", "night": "night",
    "student": "student", "user": "user", "game": "game", "kg": "kilogram", "lb": "pound",
    "mile": "mile", "km": "kilometer", "item": "item", "unit": "unit", "gal": "gallon",
    "GB": "gigabyte", "ticket": "ticket", "head": "head", "capita": "capita"}


def read_ordinal(number: str) -> str:
    """21 -> twenty first."""
    return ordinal(number)


def _quantity(match: re.Match[str]) -> str:
    """5 kg, 5-10 kg, a 5-km run, 5 x 10 cm."""
    number, unit = match["number"], match["unit"]
    is_part = re.fullmatch(r"\d/\d+", number) is not None
    is_age = unit == "yr" and after(match).startswith((" old", "-old"))
    is_one = number == "1" or is_part or is_age or bool(match["hyphen"]) or is_adjective(match)
    return f"{_amount(number)} {unit_name(unit, is_one)}"


def _count(number: str, unit: str) -> str:
    return f"{decimal(number)} {unit}{'' if number == '1' else 's'}"


def _amount(number: str) -> str:
    mixed = re.fullmatch(r"(?:(\d+) )?(\d+)/(\d+)", number)
    if not mixed:
        return decimal(number.replace(",", ""))
    if mixed[1]:
        return mixed_fraction(*mixed.groups())
    if int(mixed[2]) >= 10 and mixed[3] not in ("16", "32", "64", "100", "1000"):
        joint = " over " if int(mixed[2]) > int(mixed[3]) else " "
        return f"{cardinal(mixed[2])}{joint}{cardinal(mixed[3])}"
    return fraction(mixed[2], mixed[3])


def _scaled(match: re.Match[str]) -> str:
    """1.6k, 3M; a single letter B is one where nothing is counted: apartment 4B, a 7B model."""
    number, scale, plus = match.groups()
    if scale in "BmK" and not plus:
        is_counted = counts(match) or re.match(r" (?:views|in|of|downloads)\b", after(match))
        if not is_counted and (scale != "K" or number in ("2", "4", "5", "8")):
            return f"{number_in_name(number) if number.isdigit() else decimal(number)} {scale}"
    return f"{decimal(number)} {_SCALES[scale]}{' plus' if plus else ''}"


def _times(match: re.Match[str]) -> str:
    return f"{decimal(match[1])} times"


def _factor(match: re.Match[str]) -> str:
    """5 x 10 cm and 1920×1080 are sizes, but 3 x 4 = 12 is a product."""
    others = re.match(rf"(?:{NUMBER} ?[x×*] ?)*{NUMBER}", match.string[match.end():])
    following = match.string[match.end() + others.end():][:20] if others else ""
    is_product = re.match(" ?[=≈]| (?:is|equals|makes)\\b", following) or re.search(
        rf"[=+÷−-] ?(?:{NUMBER} ?[x×*] ?)*$", before(match))
    is_size = re.match(rf" ?-?{_SIZED}\b| (?!{UNIT})[a-z]|[\"']", following) or (
        re.search(r"\b[Aa] $", before(match)) or
        (others and all(len(n) > 2 for n in re.findall(r"\d+", f"{match[1]}x{others[0]}"))))
    joint = "by" if is_size and not is_product and "*" not in match[0] else "times"
    return f"{_side(match[1])} {joint} "


def _side(number: str) -> str:
    """The length of a side; four digits by twos."""
    return pairs(number) if re.fullmatch(r"[1-9]\d{3}", number) else _amount(number)


def _feet(match: re.Match[str]) -> str:
    """5'11" -> five foot eleven; 6 ft 2 in -> six feet two inches."""
    return f"{cardinal(match[1])} foot {cardinal(match[2])}"


def _power(base: str, exponent: str) -> str:
    if exponent in ("2", "3") and base != " ten":
        return f"{base} {'squared' if exponent == '2' else 'cubed'}"
    sign = {"-": "minus ", "+": ""}.get(exponent[0], "")
    return f"{base} to the power of {sign}{cardinal(exponent)}"


def _raised(match: re.Match[str]) -> str:
    """x² and 10⁶; a number before it is read later."""
    return _power(match[1], match[2].translate(_POWERS))


def _fraction(match: re.Match[str]) -> str:
    whole, numerator, denominator = match.groups()
    if not int(denominator):
        return f"{match[0]}"
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
    word = _ABBREVIATIONS[match[1].lower()]
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


def _inches(match: re.Match[str]) -> str:
    is_one = match[1] == "1" or "-" in match[0] or is_adjective(match)
    is_one = is_one or re.fullmatch(r"\d/\d+", match[1]) is not None
    return f"{_amount(match[1])} inch{'' if is_one else 'es'}"


def _coordinate(match: re.Match[str]) -> str:
    """40°42'46"N."""
    degrees, minutes, seconds, direction = match.groups()
    words = [decimal(degrees), "degree" if degrees == "1" else "degrees"]
    for number, unit in ((minutes, "minute"), (seconds, "second")):
        if number:
            words += [decimal(number), unit if number == "1" else f"{unit}s"]
    return " ".join([*words, _DIRECTIONS[direction]])


def _comparison(match: re.Match[str]) -> str:
    """5 > 3 and if age ≥ 18, but: it is ≤ 3, values ≥ 90%, in >30 places."""
    name = _COMPARISONS[match[1]]
    left = before(match).rstrip()
    space = " " if match[0].startswith(" ") else ""
    if not re.search(r"[\w)%°π]$", left):
        return f"{space}{name.removesuffix(' equal to') if match[1] == '≈' else name} "
    if match[0] == f" {match[1]}" and match[1] == ">":
        return f" {name.replace('greater', 'more')} "
    is_clause = re.search(
        r"(?:\b(?:if|when|where|that|while|until|whether|unless|because|since)(?: \S+){1,3}"
        r"|(?:^|[\s(,=])(?:[\d.,]+%?|[^\W\d_]|π|[a-z]{1,2}\d?|[A-Z]{1,4}))$", left)
    has_verb = re.search(r"(?i)\b(?:is|are|was|were|be|been|being|not|it)(?: \S+)?$", left)
    return f" is {name} " if is_clause and not has_verb else f" {name} "


SIGNS = (
    rule("5 µg -> five micrograms", r"(?<=\d)( ?)µ(\w{0,4})", r"\1μ\2"),
    rule("10 kΩ -> ten kilohms", "(?<=[0-9])( ?[kM]?)\u2126", r"\1Ω"),
    rule("20˚C -> twenty degrees Celsius", "(?<=[0-9])( ?)[˚º](?=[CF]|\\s|$)", r"\1°"),
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
         rf"(?<![\w.,])(?<!\d )(?:[1-9]\d{{0,2}}(?:[{_THIN}]\d{{3}}| 000)|[1-9]\d{{1,2}} \d{{3}})"
         rf"(?! ?[\d%°/-]|\w| ?{UNIT})", _separated, needs=f" {_THIN}"),
    rule("1'000'000 people -> one million people", r"(?<![\w.,])\d{1,3}(?:['’]\d{3}){1,4}(?!\w)",
         _separated, needs="'’"),
    rule("1,00,000 people -> one hundred thousand people",
         r"(?<![\w.,])\d{1,2}(?:,\d\d){1,4},\d{3}(?![\w,])", _separated, needs=","),
    rule("1.234.567 people -> one million two hundred thirty four thousand five hundred and sixty "
         "seven people", r"(?<![\w.,])[1-9]\d{0,2}(?:\.\d{3}){2,4}(?![\w.])", _separated,
         needs="."),
)
MEASURES = (
    rule("25 % of it -> twenty five percent of it", r"(?<=\d) (?=[%‰])", "", needs="%‰"),
    rule("5%-10% -> five to ten percent",
         rf"{_BEGIN}({NUMBER})%? ?{_DASH} ?({NUMBER})(?=%)", r"\1 to \2", needs="%"),
    rule("50% of it -> fifty percent of it", rf"{_BEGIN}({NUMBER}|\.\d{{1,9}})%(\+?)(?!\w)",
         lambda m: f"{decimal(m[1])} percent{' plus' if m[2] else ''}", needs="%"),
    rule("3‰ -> three per mille", r"‰", " per mille", needs="‰"),
    rule("40°42'46\"N -> forty degrees forty two minutes forty six seconds north",
         rf"{_BEGIN}({NUMBER})° ?(?:(\d{{1,2}}(?:\.\d{{1,9}})?)['’′] ?)?"
         r"(?:(\d{1,2}(?:\.\d{1,9})?)[\"”″] ?)?([NSEW])\b", _coordinate, needs="°"),
    rule("5 oz. of it -> five ounces of it",
         r"(?<=\d) ?((?:sq\. |cu\. |fl\. )?ft|(?:fl\. )?oz|lbs?|hrs?|yrs?|ft|min|mins|secs?|gal"
         r"|qt|tbsp|tsp|mi|yds?)\.(?=,| [a-z(])",
         r" \1", needs="."),
    rule("5'11\" tall -> five foot eleven tall",
         r"(?<![\w.,])(\d)['’′] ?(1[01]|\d)(?:\"|”|″|''|\b)(?!\d)", _feet, needs="'’′"),
    rule("6 ft 2 in tall -> six feet two inches tall",
         r"(?<![\w.,])(\d{1,3}) ?(?:ft|feet|foot) ?(\d{1,2}) ?in(?:ches)?\b",
         lambda m: f"{cardinal(m[1])} feet {cardinal(m[2])} inch{'' if m[2] == '1' else 'es'}",
         needs="f"),
    rule("a 27\" monitor -> a twenty seven inch monitor",
         rf"(?<![\"“/]){_BEGIN}((?:\d{{1,3}} )?\d{{1,2}}/\d{{1,2}}|{NUMBER})(?:[\"″]|''|-inch"
         rf"|-in\b|in\b| in(?= ?[x×])| in\.(?= [a-z]))(?!\w|-)(?="
         rf"[ .,;x×])",
         _inches, needs="i\"″'"),
    rule("a 4'x8' sheet -> a four by eight foot sheet",
         r"(?<![\w.,'‘])(\d{1,3})['′] ?[x×] ?(\d{1,3})['′](?!\w)",
         lambda m: f"{cardinal(m[1])} by {cardinal(m[2])} {'foot' if is_adjective(m) else 'feet'}",
         needs="'′"),
    rule("a 6' wall -> a six foot wall",
         r"(?<![\w.,'‘])(\d{1,3})['′](?= (?:tall|long|wide|high|deep|wall|fence|ladder|ceiling|x"
         r"|×))",
         lambda m: f"{cardinal(m[1])} {'foot' if is_adjective(m) else 'feet'}", needs="'′"),
    rule("5cm x 10cm -> five by ten centimeters",
         rf"{_BEGIN}({NUMBER}) ?{_SIZED} ?[x×] ?(?={NUMBER} ?{_SIZED}\b)",
         lambda m: f"{_side(m[1])} by ", needs="x×"),
    rule("3 x 5 cards -> three by five cards",
         rf"(?<!/){_BEGIN}((?:\d{{1,3}} \d/\d)|{NUMBER}) ?[x×*] ?(?={NUMBER})", _factor,
         needs="x×*"),
    rule("5m people -> five million people",
         rf"{_BEGIN}({NUMBER})m(?= (?:people|users|views|followers|subscribers|customers|downloads|"
         r"tonnes|tons|barrels|residents|copies|jobs|homes|a year)\b)",
         lambda m: f"{decimal(m[1])} million", needs="m"),
    rule("5 to 10-kg bags -> five to ten kilogram bags",
         rf"{_BEGIN}(?P<number>(?:\d{{1,4}} )?\d{{1,3}}/\d{{1,4}}|{NUMBER}|\.\d{{1,9}})"
         rf"(?: |(?P<hyphen>-))?(?P<unit>{UNIT})", _quantity, needs="A-Za-zΩμ°Å"),
    rule("5 in, or 3 in wide -> five inches, or three inches wide",
         rf"{_BEGIN}({NUMBER}) in(?=[.,;)]|$| (?:wide|tall|long|thick|deep|high|diameter)\b)",
         lambda m: f"{decimal(m[1])} {'inch' if m[1] == '1' else 'inches'}", needs="n"),
    rule("100 million kg per km -> one hundred million kilograms per kilometer",
         rf"{_BEGIN}({NUMBER}) (hundred|thousand|million|billion|trillion) ?({UNIT})",
         lambda m: f"{decimal(m[1])} {m[2]} {unit_name(m[3], is_one=is_adjective(m))}", needs="n"),
    rule("5 per kg -> five per kilogram", rf"\b([Pp]er) ({_PER_UNIT})(?!\w)",
         lambda m: f"{m[1]} {unit_per(m[2])}", needs="p"),
    rule("in 5 s -> in five seconds", rf"(?<!/){_BEGIN}({NUMBER}) s\b(?!['’])",
         lambda m: _count(m[1], "second"), needs="s"),
    rule("at 300 K. -> at three hundred kelvins.",
         rf"{_BEGIN}({NUMBER}) ([AK])(?=[,;)]|\.(?!\w)|$| (?:of|fuse|current|charger|breaker"
         rf"|circuit))",
         lambda m: _count(m[1], "kelvin" if m[2] == "K" else "amp"), needs="AK"),
    rule("a 10k run -> a ten K run", rf"{_BEGIN}({NUMBER})[kK]{_RACES}",
         lambda m: f"{decimal(m[1])} K", needs="kK"),
    rule("1.6k of 3M -> one point six thousand of three million",
         rf"(?<!-){_BEGIN}({NUMBER})( ?(?:bn|mn|tn)|[kKMB])(\+?)(?!\w)", _scaled, needs="kKMBbmt"),
    rule("1.5x faster -> one point five times faster", rf"{_BEGIN}({NUMBER})[xX×](?! ?\d)(?!\w)",
         lambda m: f"{decimal(m[1])} times", needs="xX×"),
    rule("30,000+ people -> thirty thousand plus people", rf"{_BEGIN}({NUMBER})\+(?![\w+])(?! ?\d)",
         lambda m: f"{decimal(m[1])} plus", needs="+"),
    rule("5/day -> five per day", rf"{_BEGIN}({NUMBER})/({'|'.join(_PER_TIME)})\b",
         lambda m: f"{decimal(m[1])} per {_PER_TIME[m[2]]}", needs="/"),
)
# Before units are read.
OPERATORS = (
    rule("5 - 3 = 2 -> five minus three equals two", r"(?<=\d) ?- ?(?=\d[\d.]{0,15} ?[=+×÷*])",
         " minus ", needs="-"),
    rule("5>3 -> five is greater than three",
         r" ?(?<![-=<>])(>=|<=|!=|[≥≤≠≈≃⩾⩽]|[<>](?= ?[-$£€]?\.?\d)|(?<=\b[a-zA-Z] )[<>](?= "
         r"[a-zA-Z]\b)) ?",
         _comparison, needs="<>!≥≤≠≈≃⩾⩽"),
    rule("9±5 -> nine plus or minus five", r"(?<=[\w)%°]) ?± ?(?=[\d$.])", " plus or minus ",
         needs="±"),
    rule("±5 -> plus or minus five", r"± ?(?=[\d$.])", "plus or minus "),
    rule("10/2 = 5 -> ten divided by two equals five", r"(?<=\d) ?/ ?(?=\d{1,9} ?=)",
         " divided by ", needs="/"),
    rule("5! = 120 -> five factorial equals one hundred and twenty",
         r"(?<![\w.,])(\d{1,3})!(?= (?:is|equals)\b| ?[=+×*/-])",
         lambda m: f"{cardinal(m[1])} factorial", needs="!"),
    rule("2x + 1 -> two x plus one",
         r"(?<![\w.,])(\d{1,9})([xyzn])(?=(?!-\d+x) ?[-+=^*/²³<>≤≥] ?[\da-z(]|[²³])",
         lambda m: f"{cardinal(m[1])} {m[2]}", needs="xyzn"),
    rule("3 + 5 -> three plus five", r"(?<=[\w)²³%°€⁰¹⁴-⁹]) \+ (?=[\w(√π$€£])|(?<=\d)\+(?=\d)",
         " plus ",
         needs="+"),
    rule("x = 3 -> x equals three", r"(?<=[\w)%²³\"'Α-ω]) ?={1,2} ?(?=[\w(√Α-ω-])", " equals ",
         needs="="),
)
ARITHMETIC = (
    rule("6 ÷ 3 -> six divided by three", r"(?<=[\w)]) ?÷ ?(?=[\w(])", " divided by "),
    rule("x * 2 -> x times two", r"(?<=[\w)⁰¹²³⁴-⁹])(?: [×*·] |[×*·])(?=\d)", " times ",
         needs="×*·"),
    rule("√9 -> the square root of nine", r"√ ?(?=[\w(])", "the square root of "),
    rule("∞ -> infinity", "∞", "infinity"),
    rule("Ca²⁺ -> Ca two plus", r"(?<=[a-z])([²³⁴]?)([⁺⁻])(?!\w)",
         lambda m: f" {m[1].translate(_POWERS)} {'plus' if m[2] == '⁺' else 'minus'}".replace("  ",
         " "), needs="⁺⁻"),
    rule("3 × 10⁸ m/s -> three times ten to the power of eight meters per second",
         rf"(?<=10)([⁺⁻]?[⁰¹²³⁴-⁹]{{1,9}}) ?({UNIT})",
         lambda m: f"{_power('', m[1].translate(_POWERS))} {unit_name(m[2], is_one=False)}",
         needs="⁰¹²³⁴-⁹"),
    rule("x² and 10⁶ -> x squared and ten to the power of six",
         r"(?<=[\w)])([⁺⁻]?[⁰¹²³⁴-⁹]{1,9})", lambda m: _power("", m[1].translate(_POWERS)),
         needs="⁰¹²³⁴-⁹"),
    rule("2^8 -> two to the power of eight", r"(?<=[\w)])\^\(?(-?)(?=\w)",
         lambda m: " to the power of " + ("minus " if m[1] else ""), needs="\\^"),
    rule("1e6 -> one times ten to the power of six",
         r"(?<![\w.])(\d{1,3}(?:\.\d{1,9})?)[eE]([+-]?)(\d{1,3})\b",
         lambda m: f"{decimal(m[1])} times{_power(' ten', m[2] + m[3])}", needs="eE"),
    rule("α is 5, Δt is 3 -> alpha is five, delta t is three",
         rf"(?<![Ͱ-Ͽ])[{''.join(GREEK)}](?![Ͱ-Ͽ])", lambda m: GREEK[m[0]], needs="Α-ω"),
    rule("~20 -> about twenty", r"(?<!\w)[~∼] ?(?=\d)", "about ", needs="~∼"),
)
RULES = (
    *SIGNS,
    *codes_en.RULES,
    rule("Dr. Smith -> Doctor Smith", rf"\b({'|'.join(_TITLES)})\. ?(?=[A-Z])",
         lambda m: f"{_TITLES[m[1]]} ", needs="."),
    rule("St. Louis -> Saint Louis", r"(?<![a-z\d] )(?<!\w)St\. (?=[A-Z][a-z])", "Saint ",
         needs="."),
    rule("Tom vs. Jerry -> Tom versus Jerry", r"(?<=[^\s,;] )vs\b\.?(?= \S)", "versus", needs="v"),
    rule("Mon-Fri -> Mon to Fri", rf"\b({_DAYS})\.? ?[-–] ?(?=(?:{_DAYS})\b)", r"\1 to ",
         needs="–-"),
    rule("May–June -> May to June", rf"\b({_MONTHS})\.? ?[-–] ?(?=(?:{_MONTHS})\b)", r"\1 to ",
         needs="–-"),
    *times_en.RULES,
    *roman_en.RULES,
    *codes_en.HYPHENATED,
    *GROUPED,
    rule("2019–present -> twenty nineteen to present",
         r"(?<=[\dM]) ?[-–—] ?(?=(?:present|now|today|date|noon|midnight)\b)", " to ", needs="a-z"),
    rule("C++ and C# -> C plus plus and C sharp",
         r"(?<!\w)([A-Za-z])(\+\+|(?<=[A-Z])#)(?![A-Za-z])",
         lambda m: f"{m[1]} {'sharp' if m[2] == '#' else 'plus plus'}", needs="+#"),
    rule("It is -5 -> It is minus five", r"(?<![\w)%.°²³])[-–](?=[$£€¥]?\.?\d)", "minus ",
         needs="–-"),
    rule("It is +5 -> It is plus five", r"(?<![\w)])\+(?=[$£€¥]?\.?\d)", "plus ", needs="+"),
    *money_en.RULES,
    rule("#1 and No. 5 -> number one and number five", r"(?:#|№ ?|\b[Nn]o\. ?)(?=\d)", "number ",
         needs="#№oO"),
    rule("§5 -> section five", r"(§{1,2}) ?(?=\d)",
         lambda m: "section " if m[1] == "§" else "sections "),
    rule("p. 5 and Fig. 2 -> page five and Figure two",
         r"\b((?i:pp?\.|vol\.|figs?\.|chs?\.|sec\.|nos\.|eq\.|ver\.|approx\.|ca?\.|art\.|para\.|"
         r"est\.|max\.|min\.|avg\.|ep\.|pt\.)) ?(?=\d)", _abbreviation, needs="."),
    rule("v1.5 -> version one point five", r"\b[vV](?=\d)", "version ", needs="vV"),
    rule("version 2.0 of Python 3.12 -> version two point oh of Python three point twelve",
         rf"\b((?:{_VERSIONED}) )(\d{{1,4}}\.\d{{1,4}})(?![\w%]|\.\d)",
         lambda m: m[1] + _version(m[2]), needs="A-Za-z"),
    rule("OS 2.5.1 -> OS two point five point one",
         r"(?<![\w.])(?:\d{1,6}(?:\.\d{1,6}){2}|\d{1,6}(?:\.\d{1,6}){4,20})(?!\w|\.\d)",
         lambda m: _version(m[0]), needs="."),
    rule("10-year-olds or 3-in-1 -> ten year-olds or three in one",
         r"(?<=\d)-(to|in|on|for|by|and|of|a|per|or|plus|out-of)-(?=\d)",
         lambda m: f" {m[1].replace('-', ' ')} ", needs="-"),
    rule("5- to 10-year-olds -> five to ten year-olds", r"(?<=\d)-(?= (?:to|and|or|by) )", "",
         needs="-"),
    *OPERATORS,
    rule("20°-25°C -> twenty to twenty five degrees Celsius",
         r"(?<=\d)(?:°[CF]?)? ?[-–—~] ?(?=\d{1,4}(?:\.\d{1,3})? ?°)", " to ", needs="°"),
    rule("5-10kg and 10k-20k -> five to ten kilograms and ten thousand to twenty thousand",
         rf"(?<![\w.,-])({NUMBER}(?: ?(?:{UNIT}|[kKMBx]|bn))?) ?{_DASH} ?(?={NUMBER}(?!-\d|/\d))",
         r"\1 to ", needs="–—~-"),
    *MEASURES,
    *ARITHMETIC,
    rule("1/4-1/2 of it -> one quarter to one half of it",
         r"(?:(?<=\d/\d)|(?<=\d/\d\d)) ?[-–—~] ?(?=\d)", " to ", needs="/"),
    rule("figures A4–5 -> figures A four to five",
         r"(?<=\d) ?[–—~] ?(?=[$£€]?\.?\d)|(?<=\d) - (?=\d)", " to ", needs="–—~-"),
    rule("in 4/4 time -> in four four time",
         r"(?<![\w./-])(\d{1,2})/(\d{1,2})(?= (?:time|beat|meter|signature)\b)",
         lambda m: f"{cardinal(m[1])} {cardinal(m[2])}", needs="/"),
    rule("7.5/10 stars -> seven point five out of ten stars",
         r"(?<![\w./,])(\d{1,3}\.\d{1,2})/(5|10|20|100)(?![\w/]|[.,:]\d)",
         lambda m: f"{decimal(m[1])} out of {cardinal(m[2])}", needs="/"),
    rule("1/2 of 2 1/2 -> one half of two and a half",
         r"(?<![\w./:-])(?:(\d{1,4})[ -])?(\d{1,4})/(\d{1,4})(?:ths?|rds?|nds?)?(?![\w/]|[.,:]\d)",
         _fraction, needs="/"),
    rule("5-star food, 21st-century art -> five star food, twenty first century art",
         r"(?<=\d)((?:st|nd|rd|th)?)-(?=[A-Za-z])", r"\1 ", needs="-"),
    rule("the 21st and 1,000th -> the twenty first and one thousandth",
         rf"{_BEGIN}(\d{{1,3}}(?:,\d{{3}}){{1,4}}|\d{{1,15}})(?:st|nd|rd|th)\b",
         lambda m: ordinal(m[1]), needs="tndh"),
    *codes_en.NAMES,
    rule("1,005 of 0.5 -> one thousand and five of zero point five",
         r"(?<!\w)(?:\d{1,3}(?:,\d{3}){1,6}(?!\d)(?:\.\d{1,400})?|\d{1,15}\.\d{1,400}|"
         r"(?<!\.)\.\d{1,400})",
         lambda m: decimal(m[0]), needs=",."),
    rule("the 3 of 1984 -> the three of nineteen eighty four", r"\d{1,400}", _integer),
    rule("an A+ -> an A plus", r"(?<!\w)([A-Z][a-z]?)\+(?!\w)", r"\1 plus", needs="+"),
    rule("an A- -> an A minus", r"(?<!\w)([Aa]n? )([A-F])-(?=[\s.,;!?]|$)", r"\1\2 minus",
         needs="-"),
    rule("R&D -> R and D", " ?& ?", " and ", needs="&"),
    rule("two @ ten -> two at ten", " @ ", " at ", needs="@"),
    rule("a ninety ° turn -> a ninety degrees turn", r"(?<=\w) ?°", " degrees", needs="°"),
)
TRIGGER = re.compile(
    r"[^\w\s'\",.!?;:()-]|[0-9]|\w\.[A-Za-z]{2}|[IVXLC]{2}|[A-Za-z] [IV]\b|[VX](?:th|st)\b|"
    r"\b(?:Dr|Prof|Gen|Col|Capt|Lt|Sgt|Maj|Rev|Sen|Gov|Rep|[SMF]t)\. |\b(?:St|Ave|Blvd|Rd|Hwy)\b|"
    rf"\bvs\b|\w:[\\/]|\b[A-F]-(?!\w)|(?:{_DAYS}|{_MONTHS})\.? ?[-–]", re.ASCII)
GRAMMAR = Grammar(RULES, TRIGGER, spaced=True)
