"""Numbers in Chinese words.

Two is 两 before 百, 千, 万 and 亿 where a number begins, and alone before a measure word; else 二.
"""

from functools import lru_cache

DIGITS = "零一二三四五六七八九"
POSITIONS = ("", "十", "百", "千")
GROUPS = ((10 ** 8, "亿"), (10 ** 4, "万"))
MAX_DIGITS = 16         # of a number that is read as one; longer ones are read digit by digit


def read_digits(text: str, one: str = "一") -> str:
    """Digit by digit; letters stay, other characters are left out.

    one: what 1 is called; 幺 in numbers of telephones, trains and the like.
    """
    names = DIGITS.replace("一", one)
    return "".join(names[int(c)] if c in "0123456789" else c for c in text if c.isalnum())


@lru_cache(4096)
def read_cardinal(number: str) -> str:
    """1,234.50 -> 一千二百三十四点五零. Digit by digit where it begins with 0 or is very long."""
    whole, point, fraction = number.replace(",", "").replace(" ", "").partition(".")
    if len(whole) > MAX_DIGITS or (len(whole) > 1 and whole[0] == "0"):
        spoken = read_digits(whole)
    else:
        spoken = _read_integer(int(whole or 0))
    return spoken + ("点" + read_digits(fraction) if point else "")


def read_count(number: str) -> str:
    """A number before a measure word: a bare 2 is 两."""
    return "两" if number == "2" else read_cardinal(number)


def read_ordinal(number: str) -> str:
    """A number that orders, as in 第二百: never 两."""
    return read_cardinal(number).replace("两", "二")


def _read_integer(number: int) -> str:
    spoken = _read_group(number)
    if spoken.startswith("一十"):
        return spoken[1:]
    if spoken[:1] == "二" and spoken[1:2] in tuple("百千万亿"):
        return "两" + spoken[1:]
    return spoken


def _read_group(number: int) -> str:
    """Without the exceptions for the first digit: 一十, 二百."""
    for size, name in GROUPS:
        high, low = divmod(number, size)
        if high:
            zero = "零" if 0 < low < size // 10 else ""
            return _read_group(high) + name + zero + (_read_group(low) if low else "")
    if not number:
        return "零"
    spoken = ""
    digits = str(number)
    for position, digit in zip(range(len(digits) - 1, -1, -1), digits, strict=True):
        if digit != "0":
            spoken += DIGITS[int(digit)] + POSITIONS[position]
        elif not spoken.endswith("零"):
            spoken += "零"
    return spoken.rstrip("零")
