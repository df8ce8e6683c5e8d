"""Amounts of money in English."""

import re

from sparktts_ms.text.context_en import is_adjective
from sparktts_ms.text.numbers_en import cardinal, decimal
from sparktts_ms.text.rules import NUMBER, rule
from sparktts_ms.text.units_en import unit_per

# One, many, one hundredth, many hundredths.
_CENTS = ("cent", "cents")
CURRENCIES: dict[str, tuple[str, str, str, str]] = {
    "$": ("dollar", "dollars", *_CENTS), "€": ("euro", "euros", *_CENTS),
    "£": ("pound", "pounds", "penny", "pence"), "¥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"), "Rs. ": ("rupee", "rupees", "paisa", "paise"),
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
# The first characters of all signs.
_FIRST = "".join(sorted({re.escape(sign[0]) for sign in CURRENCIES}))
_SCALE = r"(?:[ -]?(?:thousand|million|billion|trillion|mil|MM|[kKmMbBtT]n?|trn)\b)?"
_EUROPEAN = r"\d{1,3}(?:\.\d{3}){1,4},\d{2}(?!\d)|\d{1,3},\d{2}(?!\d)"
_AMOUNT = rf"(?:{_EUROPEAN}|{NUMBER}|\.\d{{1,3}}(?!\d))"
_PER = r"(?: ?/ ?(?P<per>[A-Za-z][A-Za-z0-9²³]*(?: ft\b)?))?"
_RANGE = (
    rf"(?P<first>{_AMOUNT})(?P<first_scale>{_SCALE})"
    rf"(?: ?[-–—~] ?(?:{SIGN})? ?(?P<last>{_AMOUNT})(?P<scale>{_SCALE})(?![\d/]))?(?P<plus>\+"
    rf"(?!\w))?")


def _plain(number: str) -> str:
    """1.234,56 and 5,50 as they are written in English; no thousands separators."""
    if re.search(r",\d\d$", number):
        number = number.replace(".", "").replace(",", ".")
    return number.replace(",", "")


def _scale(text: str) -> str:
    word = text.strip(" -")
    return SCALES.get(word.lower(), word)


def _money(match: re.Match[str]) -> str:
    """5 dollars and 99 cents, 3 million dollars, 5 to 10 euros."""
    unit, units, hundredth, hundredths = CURRENCIES[match["sign"]]
    per = f" per {unit_per(match['per'])}" if match["per"] else ""
    singular = not per and not match["plus"] and is_adjective(match)
    first = _plain(match["first"])
    first_scale = _scale(match["first_scale"])
    scale = _scale(match["scale"] or "") or first_scale
    plus = "plus" if match["plus"] else ""
    if match["last"]:
        amount = [decimal(first)]
        if first_scale and first_scale != scale:
            amount.append(first_scale)
        amount += ["to", decimal(_plain(match["last"])), scale, plus, unit if singular else units]
        return " ".join(filter(None, amount)) + per
    whole, _, fraction = first.partition(".")
    in_hundredths = len(fraction) == 2 and hundredth
    if scale or (fraction and not in_hundredths):
        amount = [decimal(first), scale, plus, unit if singular else units]
        return " ".join(filter(None, amount)) + per
    amounts = []
    for number, one, many in ((whole, unit, units), (fraction, hundredth, hundredths)):
        if int(number or 0):
            name = one if singular or int(number) == 1 else many
            amounts.append(" ".join(filter(None, [cardinal(number), plus, name])))
    return (" and ".join(amounts) or f"zero {units}") + per


def _cents(match: re.Match[str]) -> str:
    one, many = ("cent", "cents") if match[2] == "¢" else ("penny", "pence")
    number = decimal(match[1])
    return f"{number} {one if number == 'one' or is_adjective(match) else many}"


RULES = (
    rule("$3 million -> three million dollars", rf"(?P<sign>{SIGN}) ?{_RANGE}{_PER}(?!\w)", _money,
         needs=_FIRST),
    rule("100 USD -> one hundred US dollars",
         rf"(?<!\w)(?<!\d[.,]){_RANGE} ?(?P<sign>{SIGN}){_PER}(?!\w)", _money, needs=_FIRST),
    rule("Only 99¢ -> Only ninety nine cents",
         rf"(?<!\w)(?<!\d[.,])({NUMBER}|\.\d+) ?(¢|(?<=\d)p(?<!\d\d\dp))(?!\w)", _cents,
         needs="¢p"),
)
