"""Signs of arithmetic, comparison and algebra in English."""

import re

from sparktts_ms.text.context_en import before
from sparktts_ms.text.numbers_en import cardinal, decimal
from sparktts_ms.text.rules import rule
from sparktts_ms.text.units_en import UNIT, unit_name

_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_COMPARISONS = {
    ">": "greater than", "<": "less than", "≥": "greater than or equal to",
    ">=": "greater than or equal to", "≤": "less than or equal to", "<=": "less than or equal to",
    "≠": "not equal to", "!=": "not equal to", "≈": "approximately equal to",
    "≃": "approximately equal to", "⩾": "greater than or equal to", "⩽": "less than or equal to"}
GREEK = dict(zip(
    "αβγδεζηθικλμνξπρσςτυφχψωΓΔΘΛΞΠΣΦΨΩ",
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma sigma "
    "tau upsilon phi chi psi omega gamma delta theta lambda xi pi sigma phi psi omega".split(),
    strict=True))


def _power(base: str, exponent: str) -> str:
    if exponent in ("2", "3") and base != " ten":
        return f"{base} {'squared' if exponent == '2' else 'cubed'}"
    sign = {"-": "minus ", "+": ""}.get(exponent[0], "")
    return f"{base} to the power of {sign}{cardinal(exponent)}"


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
        r"|(?:^|[\s(,=])(?:√?[\d.,]+%?|[^\W\d_]|π|[a-z]{1,2}\d?|[A-Z]{1,4}))$", left)
    has_verb = re.search(r"(?i)\b(?:is|are|was|were|be|been|being|not|it)(?: \S+)?$", left)
    return f" is {name} " if is_clause and not has_verb else f" {name} "


# Before units are read.
OPERATORS = (
    rule("5 - 3 = 2 -> five minus three equals two", r"(?<=\d) ?- ?(?=\d[\d.]{0,15} ?[=+×÷*])",
         " minus ", needs=("-", "0-9")),
    rule("2x + 1 -> two x plus one",
         r"(?<![\w.,])(\d{1,9})([xyzn])(?=(?!-\d+x|/[a-z]) ?[-+=^*/²³<>≤≥] ?[\da-z(]|[²³])",
         lambda m: f"{cardinal(m[1])} {m[2]}", needs="xyzn"),
    rule("x³ - 2x - 1 -> x cubed minus two x minus one",
         r"(?<=[⁰¹²³⁴-⁹])(?: - | ?- ?)(?=\w)|(?<=\w) - (?=\d{1,9}[xyzn]\b)|(?<=\b[xyzn]) - (?=\d)",
         " minus ", needs=("-", "0-9")),
    rule("5>3 -> five is greater than three",
         r" ?(?<![-=<>])(>=|<=|!=|[≥≤≠≈≃⩾⩽]|[<>](?= ?[-$£€]?\.?\d)|(?<=\b[a-zA-Z] )[<>](?= "
         r"[a-zA-Z]\b)) ?",
         _comparison, needs="<>!≥≤≠≈≃⩾⩽"),
    rule("9±5 -> nine plus or minus five", r"(?<=[\w)%°]) ?± ?(?=[\d$.])", " plus or minus ",
         needs="±"),
    rule("±5 -> plus or minus five", r"± ?(?=[\d$.])", "plus or minus "),
    rule("10/2 = 5 -> ten divided by two equals five",
         r"(?<![\w./+×*-])(?<![+×*-] )(\d{1,9}) ?/ ?(?=\d{1,9} ?=(?! ?\d{1,9}/))",
         r"\1 divided by ", needs="/"),
    rule("5! = 120 -> five factorial equals one hundred and twenty",
         r"(?<![\w.,])(\d{1,3})!(?= (?:is|equals)\b| ?[=+×*/-])",
         lambda m: f"{cardinal(m[1])} factorial", needs="!"),
    rule("3 + 5 -> three plus five", r"(?<=[\w)²³%°€⁰¹⁴-⁹]) \+ (?=[\w(√π$€£])"
         r"|(?<=\d)\+(?=\d)|(?<=[⁰¹²³⁴-⁹])\+(?=[\w(])",
         " plus ",
         needs="+"),
    rule("x = 3 -> x equals three", r"(?<=[\w)%⁰¹²³⁴-⁹ⁿ\"'Α-ω]) ?={1,2} ?(?=[\w(√Α-ω-])",
         " equals ",
         needs="="),
)
# After units.
RULES = (
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
)
