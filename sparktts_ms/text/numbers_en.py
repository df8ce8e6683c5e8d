"""English words for numbers, each kind in the form it is said: amounts, ranks, years, digits."""

import re
from functools import lru_cache

DIGITS = "zero one two three four five six seven eight nine".split()
TEENS = ("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split())
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = "thousand million billion trillion".split()
MAX_DIGITS = 15         # of a number that is said as an amount; longer ones are said by digits
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth"}


@lru_cache(maxsize=4096)
def cardinal(number: str) -> str:
    """1,234 -> one thousand two hundred and thirty four. What is no digit is left out."""
    digits = re.sub("[^0-9]", "", number)
    stripped = digits.lstrip("0") or "0"
    if len(stripped) > MAX_DIGITS:
        return spell(digits)
    value = int(stripped)
    if not value:
        return "zero"
    words = []
    for power in range(len(SCALES), 0, -1):
        group = value // 1000**power % 1000
        if group:
            words += [_below_1000(group, ""), SCALES[power - 1]]
    last = value % 1000
    if last:
        if last < 100 and value // 1000 % 1000:
            words.append("and")
        words.append(_below_1000(last, "and "))
    return " ".join(words)


def _below_1000(value: int, joint: str) -> str:
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return _below_100(rest)
    words = f"{DIGITS[hundreds]} hundred"
    return f"{words} {joint}{_below_100(rest)}" if rest else words


def _below_100(value: int) -> str:
    if value < 10:
        return DIGITS[value]
    if value < 20:
        return TEENS[value - 10]
    tens, ones = divmod(value, 10)
    return f"{TENS[tens - 2]} {DIGITS[ones]}" if ones else TENS[tens - 2]


def ordinal(number: str) -> str:
    """21 -> twenty first; 1,000 -> one thousandth."""
    head, _, last = cardinal(number).replace(" and ", " ").rpartition(" ")
    if last in ORDINALS:
        last = ORDINALS[last]
    else:
        last = f"{last[:-1]}ie" if last.endswith("y") else last
        last += "th"
    return f"{head} {last}".lstrip()


def decimal(number: str) -> str:
    """1,234.5 -> one thousand two hundred and thirty four point five; .5 -> point five."""
    whole, point, fraction = number.partition(".")
    words = cardinal(whole) if whole else ""
    return f"{words} point {spell(fraction)}".lstrip() if point else words


def spell(digits: str) -> str:
    """Digit by digit: 0420 -> zero four two zero."""
    return " ".join(DIGITS[int(digit)] for digit in digits)


def spell_groups(number: str) -> str:
    """Digit by digit, with a short pause where the groups of a number are separated."""
    groups = []
    for group in re.findall("[0-9]+|[A-Za-z]+", number):
        spoken = spell(group) if group.isdigit() else group
        groups.append("eight hundred" if group == "800" else spoken)
    plus = "plus " if number.startswith("+") else ""
    return plus + ", ".join(groups)


def year(number: str) -> str:
    """1905 -> nineteen oh five; 2024 -> twenty twenty four; 476 -> an amount."""
    if len(number) != 4 or number[1:3] == "00" or number.startswith("0"):
        return cardinal(number).replace(" and ", " ") if len(number) == 4 else cardinal(number)
    return pairs(number)


def pairs(number: str) -> str:
    """Three or four digits by twos, as in names and addresses: 747 -> seven forty seven; 4090 ->
    forty ninety; 101 -> one oh one; 500 -> five hundred; 1208 -> twelve oh eight."""
    if len(number) not in (3, 4) or number.startswith("0"):
        return number_in_name(number)
    if number[1:] in ("000", "00"):
        return cardinal(number)
    head = cardinal(number[:-2])
    if number.endswith("00"):
        return f"{head} hundred"
    rest = cardinal(number[-2:])
    return f"{head} oh {rest}" if number[-2] == "0" else f"{head} {rest}"


@lru_cache(maxsize=4096)
def number_in_name(number: str) -> str:
    """The number of a name: an amount of up to two digits, by twos, or digit by digit."""
    if (number.startswith("0") and len(number) > 1) or len(number) > 4:
        return spell(number)
    return cardinal(number) if len(number) < 3 else pairs(number)


def plural(words: str) -> str:
    """forty -> forties; six -> sixes; ten -> tens."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith("x") else f"{words}s"


def fraction(numerator: str, denominator: str) -> str:
    """1/2 -> one half; 3/4 -> three quarters; 2/21 -> two twenty firsts."""
    part = {"2": "half", "4": "quarter"}.get(denominator) or ordinal(denominator)
    if numerator == "1":
        return f"one {part}"
    return f"{cardinal(numerator)} {'halves' if part == 'half' else part + 's'}"


def mixed_fraction(whole: str, numerator: str, denominator: str) -> str:
    """2 1/2 -> two and a half; 3 3/4 -> three and three quarters."""
    part = fraction(numerator, denominator)
    return f"{cardinal(whole)} and {'a half' if part == 'one half' else part}"
