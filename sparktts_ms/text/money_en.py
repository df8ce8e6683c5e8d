"""Amounts of money in English."""

import re

from sparktts_ms.text.context_en import is_adjective
from sparktts_ms.text.numbers_en import cardinal, decimal, plural
from sparktts_ms.text.rules import NUMBER, one_of, rule
from sparktts_ms.text.units_en import unit_per

# One, many, one hundredth, many hundredths.
_CENTS = ("cent", "cents")
CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "$": ("dollar", "dollars", *_CENTS), "€": ("euro", "euros", *_CENTS),
    "£": ("pound", "pounds", "penny", "pence"), "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"), "Rs. ": ("rupee", "rupees", "paisa", "paise"),
    "Rs": ("rupee", "rupees", "paisa", "paise"), "Rs.": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""), "₽": ("ruble", "rubles", "kopeck", "kopecks"),
    "₺": ("lira", "lira", "", ""), "₫": ("dong", "dong", "", ""), "฿": ("baht", "baht", "", ""),
    "₱": ("peso", "pesos", "centavo", "centavos"), "₴": ("hryvnia", "hryvnias", "", ""),
    "₦": ("naira", "naira", "", ""), "₪": ("shekel", "shekels", "", ""),
    "₿": ("bitcoin", "bitcoins", "", ""), "zł": ("zloty", "zlotys", "", ""),
    "R$": ("Brazilian real", "Brazilian reais", "", ""),
    "kr": ("krone", "kroner", "", ""), "EUR": ("euro", "euros", *_CENTS),
    "GBP": ("pound", "pounds", "penny", "pence"), "JPY": ("yen", "yen", "", ""),
    "CNY": ("yuan", "yuan", "", ""), "RMB": ("yuan", "yuan", "", ""),
    "CN¥": ("yuan", "yuan", "", ""), "RMB¥": ("yuan", "yuan", "", ""),
    "JP¥": ("yen", "yen", "", ""), "￥": ("yuan", "yuan", "", ""),
    "INR": ("rupee", "rupees", "paisa", "paise"), "KRW": ("won", "won", "", ""),
    "RUB": ("ruble", "rubles", "kopeck", "kopecks"), "BTC": ("bitcoin", "bitcoins", "", ""),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
    "SEK": ("Swedish krona", "Swedish kronor", "", ""),
    "NOK": ("Norwegian krone", "Norwegian kroner", "", ""),
    "DKK": ("Danish krone", "Danish kroner", "", ""),
}
for _codes, _country in {
        "US$ USD": "US", "A$ AU$ AUD": "Australian", "C$ CA$ CAD": "Canadian",
        "HK$ HKD": "Hong Kong", "NZ$ NZD": "New Zealand", "S$ SG$ SGD": "Singapore",
        "NT$ TWD NTD": "Taiwan"}.items():
    for _code in _codes.split():
        CURRENCIES[_code] = (f"{_country} dollar", f"{_country} dollars", *_CENTS)
for _code in ("MX$", "MXN"):
    CURRENCIES[_code] = ("Mexican peso", "Mexican pesos", "centavo", "centavos")

SCALES = {
    "k": "thousand", "m": "million", "mm": "million", "mn": "million", "mil": "million",
    "b": "billion", "bn": "billion", "t": "trillion", "tn": "trillion", "trn": "trillion"}
_LETTERS = [sign for sign in CURRENCIES if sign[0].isalpha()]
SIGN = (
    rf"(?:[{''.join(sign for sign in CURRENCIES if not sign[0].isalpha())}]"
    rf"|(?<![A-Za-z])(?:{'|'.join(map(re.escape, sorted(_LETTERS, key=len, reverse=True)))})(?!"
    rf"[A-Za-z]))")
_HAS_SIGN = re.compile(one_of(CURRENCIES))
_SCALE = r"(?:[ -]?(?:thousand|million|billion|trillion|mil|MM|[kKmMbBtT]n?|trn)\b)?"
_EUROPEAN = r"\d{1,3}(?:\.\d{3}){1,4},\d{2}(?!\d)|\d{1,3},\d{2}(?!\d)"
_NUMBER = rf"(?:{_EUROPEAN}|{NUMBER}|\.\d{{1,3}}(?!\d))"
_PER = r"(?: ?/ ?(?P<per>[A-Za-z][A-Za-z0-9²³]*(?: ft\b)?))?"
_RANGE = (
    rf"(?P<first>{_NUMBER})(?P<first_scale>{_SCALE})"
    rf"(?: ?[-–—~] ?(?:{SIGN})? ?(?P<last>{_NUMBER})(?P<scale>{_SCALE})(?![\d/]))?(?P<plus>\+"
    rf"(?!\w))?")


def _plain(number: str) -> str:
    """1.234,56 and 5,50 as they are written in English; no thousands separators."""
    if re.search(r",\d\d$", number):
        number = number.replace(".", "").replace(",", ".")
    return number.replace(",", "")


def _scale(text: str) -> str:
    word = text.strip(" -")
    return SCALES.get(word.lower(), word)


def _amount(
        number: str, names: tuple[str, str, str, str], plus: str = "",
        singular: bool = False) -> str:
    """5.99 -> five dollars and ninety nine cents."""
    unit, units, hundredth, hundredths = names
    whole, _, fraction = number.partition(".")
    if len(fraction) not in (0, 2):
        return f"{decimal(number)} {units}"
    amounts = []
    for part, one, many in ((whole, unit, units), (fraction, hundredth, hundredths)):
        if int(part or 0):
            name = one if singular or int(part) == 1 else many
            amounts.append(" ".join(filter(None, [cardinal(part), plus, name])))
    return " and ".join(amounts) or f"zero {units}"


def _money(match: re.Match[str]) -> str:
    """5 dollars and 99 cents, 3 million dollars, 5 to 10 euros."""
    unit, units, hundredth, _ = CURRENCIES[match["sign"]]
    per = f" per {unit_per(match['per'])}" if match["per"] else ""
    singular = is_adjective(match, plural=not per)
    first = _plain(match["first"])
    first_scale = _scale(match["first_scale"])
    scale = _scale(match["scale"] or "") or first_scale
    plus = "plus" if match["plus"] else ""
    if match["last"] and not scale and "." in match["first"] + match["last"] and hundredth:
        return " to ".join(
            _amount(_plain(match[end]), CURRENCIES[match["sign"]]) for end in ("first",
            "last")) + per
    if match["last"]:
        amount = [decimal(first)]
        if first_scale and first_scale != scale:
            amount.append(first_scale)
        amount += ["to", decimal(_plain(match["last"])), scale, plus, unit if singular else units]
        return " ".join(filter(None, amount)) + per
    fraction = first.partition(".")[2]
    if scale or (fraction and not (len(fraction) == 2 and hundredth)):
        amount = [decimal(first), scale, plus, unit if singular else units]
        return " ".join(filter(None, amount)) + per
    return _amount(first, CURRENCIES[match["sign"]], plus, singular) + per


def _cents(match: re.Match[str]) -> str:
    one, many = ("cent", "cents") if match[2] in "¢c" else ("penny", "pence")
    number = decimal(match[1])
    return f"{number} {one if number == 'one' or is_adjective(match) else many}"


RULES = (
    rule("two $5s -> two fives", r"\$(\d{1,4})s\b", lambda m: plural(cardinal(m[1])),
         needs=(r"\$", "0-9")),
    rule("$100 USD -> one hundred US dollars",
         rf"\$ ?(?P<first>{_NUMBER})(?P<first_scale>{_SCALE})(?P<last>)(?P<scale>)(?P<plus>)"
         rf"(?P<per>)"
         r" (?P<sign>USD|CAD|AUD|HKD|NZD|SGD)\b", _money, needs="$"),
    rule("$3 million -> three million dollars", rf"(?P<sign>{SIGN}) ?{_RANGE}{_PER}(?!\w)", _money,
         needs=(_HAS_SIGN, "0-9")),
    rule("100 USD -> one hundred US dollars",
         rf"(?<!\w)(?<!\d[.,]){_RANGE} ?(?P<sign>{SIGN}){_PER}(?!\w)", _money,
         needs=(_HAS_SIGN, "0-9")),
    rule("Only 99¢ -> Only ninety nine cents",
         rf"(?<!\w)(?<!\d[.,])({NUMBER}|\.\d+) ?(¢|(?<=\d)p(?<!\d\d\dp)|(?<=[1-9][05])c"
         rf"(?<!\d\d\dc))(?!\w)", _cents,
         needs=re.compile("[0-9] ?[¢pc]")),
)
