"""Quantities in English: percentages, angles, lengths, units of all kinds, k and x."""

import re

from sparktts_ms.text.context_en import after, before, counts, is_adjective
from sparktts_ms.text.numbers_en import (
    cardinal,
    decimal,
    fraction,
    mixed_fraction,
    number_in_name,
    pairs,
)
from sparktts_ms.text.rules import NUMBER, after_digit, rule
from sparktts_ms.text.units_en import UNIT, unit_name, unit_per

_BEGIN = r"(?<!\w)(?<!\d[.,])"
_DASH = "[-–—~]"
_SCALES = {"k": "thousand", "K": "thousand", "M": "million", "B": "billion", "bn": "billion",
           "mn": "million", "tn": "trillion", "m": "million"}
_RACES = r"(?= (?:run|race|walk|runs|races|runner|fun run|marathon|events?|time|times)\b)"

_DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_PER_UNIT = "kg|km|mi|lb|oz|hr|sq ft|mL|ml|min|sec|yr|GB|MB|m²|km²|kWh|cm|mm"
_SIZED = "(?:mm|cm|m|km|ft|in|px)"
_LAST_FACTOR = re.compile(NUMBER, re.ASCII)
_IS_PRODUCT = re.compile(r" ?[=≈]| (?:is|equals|makes)\b")
_OF_SIZE = re.compile(rf" ?-?{_SIZED}[²³23]?\b| (?!{UNIT})[a-z]|[\"']", re.ASCII)
_PER_TIME = {
    "day": "day", "week": "week", "wk": "week", "month": "month", "mo": "month", "year": "year",
    "yr": "year", "hour": "hour", "hr": "hour", "min": "minute", "minute": "minute",
    "sec": "second", "second": "second", "s": "second", "person": "person", "night": "night",
    "student": "student", "user": "user", "game": "game", "kg": "kilogram", "lb": "pound",
    "mile": "mile", "km": "kilometer", "item": "item", "unit": "unit", "gal": "gallon",
    "GB": "gigabyte", "ticket": "ticket", "head": "head", "capita": "capita"}


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


def _factors(match: re.Match[str]) -> str:
    """5 x 10 cm and 1920×1080 are sizes, but 3 x 4 = 12 is a product."""
    numbers = re.split(" ?[x×*] ?", match[0])[:-1]
    last = _LAST_FACTOR.match(match.string, match.end())
    end = last.end() if last else match.end()
    following = match.string[end:end + 20]
    is_product = "*" in match[0] or _IS_PRODUCT.match(following) or re.search(
        "[=+÷−-] ?$", before(match))
    is_size = (
        _OF_SIZE.match(following) or re.search(r"\b[Aa] $", before(match))
        or any("/" in number for number in numbers)
        or all(re.fullmatch("[0-9]{3,}", number) for number in [*numbers, last[0] if last else ""]))
    joint = "by" if is_size and not is_product else "times"
    return "".join(f"{_side(number)} {joint} " for number in numbers)


def _side(number: str) -> str:
    """The length of a side; four digits by twos."""
    return pairs(number) if re.fullmatch(r"[1-9]\d{3}", number) else _amount(number)


def _feet(match: re.Match[str]) -> str:
    """5'11" -> five foot eleven; 6 ft 2 in -> six feet two inches."""
    return f"{cardinal(match[1])} foot {cardinal(match[2])}"


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


RULES = (
    rule("25 % of it -> twenty five percent of it", r"(?<=\d) (?=[%‰])", "", needs="%‰"),
    rule("5%-10% -> five to ten percent",
         rf"{_BEGIN}({NUMBER})%? ?{_DASH} ?({NUMBER})(?=%)", r"\1 to \2", needs="%"),
    rule("50% of it -> fifty percent of it", rf"{_BEGIN}({NUMBER}|\.\d{{1,9}})%(\+?)(?!\w)",
         lambda m: f"{decimal(m[1])} percent{' plus' if m[2] else ''}", needs="%"),
    rule("3‰ -> three per mille", r"‰", " per mille", needs="‰"),
    rule("It is 20C. -> It is twenty degrees Celsius.",
         r"(?i)\b(temp(?:erature)?s?(?: is| of)?|reach(?:ed|es)?|hit|it's|it is|it was|around"
         r"|bake at|"
         r"oven to|heat to|high of|low of|below|above) (\d{1,3})((?-i:[CF]))(?![\w+#])",
         lambda m: f"{m[1]} {cardinal(m[2])} {unit_name('°' + m[3].upper(), is_one=m[2] == '1')}",
         needs=("CF", "0-9")),
    rule("40°42'46\"N -> forty degrees forty two minutes forty six seconds north",
         rf"{_BEGIN}({NUMBER})° ?(?:(\d{{1,2}}(?:\.\d{{1,9}})?)['’′] ?)?"
         r"(?:(\d{1,2}(?:\.\d{1,9})?)[\"”″] ?)?([NSEW])\b", _coordinate, needs="°"),
    rule("5 oz. of it -> five ounces of it",
         r"(?<=\d) ?((?:sq\. |cu\. |fl\. )?ft|(?:fl\. )?oz|lbs?|hrs?|yrs?|ft|min|mins|secs?|gal"
         r"|qt|tbsp|tsp|mi|yds?)\.(?=,| [a-z(])",
         r" \1", needs=after_digit(r" ?[a-z]")),
    rule("5'11\" tall -> five foot eleven tall",
         r"(?<![\w.,])(\d)['’′] ?(1[01]|\d)(?:\"|”|″|''|\b)(?!\d)", _feet, needs="'’′"),
    rule("6 ft 2 in tall -> six feet two inches tall",
         r"(?<![\w.,])(\d{1,3}) ?(?:ft|feet|foot) ?(\d{1,2}) ?in(?:ches)?\b",
         lambda m: f"{cardinal(m[1])} feet {cardinal(m[2])} inch{'' if m[2] == '1' else 'es'}",
         needs=after_digit(" ?f")),
    rule("1.5\" x 3\" wide -> one point five by three inches wide",
         rf"{_BEGIN}({NUMBER})[\"″] ?[x×] ?(?={NUMBER}[\"″])", lambda m: f"{_side(m[1])} by ",
         needs="\"″"),
    rule("a 27\" monitor -> a twenty seven inch monitor",
         rf"(?<![\"“/]){_BEGIN}((?:\d{{1,3}} )?\d{{1,2}}/\d{{1,2}}|{NUMBER})(?:[\"″]|''|-inch"
         rf"|-in\b|in\b| in(?= ?[x×])| in\.(?= [a-z]))(?!\w|-)(?="
         rf"[ .,;x×])",
         _inches, needs=after_digit("[\"″]|''|[ -]?in")),
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
         lambda m: f"{_side(m[1])} by ", needs=after_digit(" ?[a-z]{1,2} ?[x×]")),
    rule("2x/day -> two times per day", rf"{_BEGIN}({NUMBER})[xX×] ?/ ?({'|'.join(_PER_TIME)})\b",
         lambda m: f"{decimal(m[1])} times per {_PER_TIME[m[2]]}", needs=after_digit("[xX×] ?/")),
    rule("3 x 5 cards -> three by five cards",
         rf"(?<!/){_BEGIN}(?:(?:\d{{1,3}} \d/\d|{NUMBER})(?: [x×*] |[x×*])){{1,9}}(?={NUMBER})",
         _factors, needs=after_digit(" ?[x×*]")),
    rule("5m people -> five million people",
         rf"{_BEGIN}({NUMBER})m(?= (?:people|users|views|followers|subscribers|customers|downloads|"
         r"tonnes|tons|barrels|residents|copies|jobs|homes|a year)\b)",
         lambda m: f"{decimal(m[1])} million", needs=after_digit("m")),
    rule("5 to 10-kg bags -> five to ten kilogram bags",
         rf"{_BEGIN}(?P<number>(?:\d{{1,4}} )?\d{{1,3}}/\d{{1,4}}|{NUMBER}|\.\d{{1,9}})"
         rf"(?: |(?P<hyphen>-))?(?P<unit>{UNIT})", _quantity,
         needs=after_digit("[ -]?[A-Za-zΩμ°Å]")),
    rule("5 in, or 3 in wide -> five inches, or three inches wide",
         rf"{_BEGIN}({NUMBER}) in(?:\.(?=,)|(?=[.,;)]|$| (?:wide|tall|long|thick|deep|high"
         rf"|diameter)\b))",
         lambda m: f"{decimal(m[1])} {'inch' if m[1] == '1' else 'inches'}",
         needs=after_digit(" in")),
    rule("100 million kg per km -> one hundred million kilograms per kilometer",
         rf"{_BEGIN}({NUMBER}) (hundred|thousand|million|billion|trillion) ?({UNIT})",
         lambda m: f"{decimal(m[1])} {m[2]} {unit_name(m[3], is_one=is_adjective(m))}",
         needs=after_digit(" [htmb][a-z]{3,6}(?:d|on)")),
    rule("5 per kg -> five per kilogram", rf"\b([Pp]er) ({_PER_UNIT})(?!\w)",
         lambda m: f"{m[1]} {unit_per(m[2])}", needs=re.compile("[Pp]er ")),
    rule("in 5 s -> in five seconds", rf"(?<!/){_BEGIN}({NUMBER}) s\b(?!['’])",
         lambda m: _count(m[1], "second"), needs=after_digit(" s")),
    rule("at 300 K. -> at three hundred kelvins.",
         rf"{_BEGIN}({NUMBER}) ([AK])(?=[,;)]|\.(?!\w)|$| (?:of|fuse|current|charger|breaker"
         rf"|circuit))",
         lambda m: _count(m[1], "kelvin" if m[2] == "K" else "amp"), needs=after_digit(" [AK]")),
    rule("a 10k run -> a ten K run", rf"{_BEGIN}({NUMBER})[kK]{_RACES}",
         lambda m: f"{decimal(m[1])} K", needs=after_digit("[kK]")),
    rule("1.6k of 3M -> one point six thousand of three million",
         rf"(?<!-){_BEGIN}({NUMBER})( ?(?:bn|mn|tn)|[kKMB])(\+?)(?!\w)", _scaled,
         needs=after_digit(" ?[kKMBbmt]")),
    rule("1.5x faster -> one point five times faster", rf"{_BEGIN}({NUMBER})[xX×](?! ?\d)(?!\w)",
         lambda m: f"{decimal(m[1])} times", needs=after_digit("[xX×]")),
    rule("30,000+ people -> thirty thousand plus people", rf"{_BEGIN}({NUMBER})\+(?![\w+])(?! ?\d)",
         lambda m: f"{decimal(m[1])} plus", needs=after_digit(r"\+")),
    rule("5/day -> five per day", rf"{_BEGIN}({NUMBER})/({'|'.join(_PER_TIME)})\b",
         lambda m: f"{decimal(m[1])} per {_PER_TIME[m[2]]}", needs=after_digit("/[a-zA-Z]")),
)
