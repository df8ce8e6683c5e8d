"""What the rules of all languages share: their form, numbers, addresses, other characters."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

Replacement = str | Callable[[re.Match[str]], str]
Needs = str | re.Pattern[str]

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,6}(?:\.\d+)?|\d{1,15}(?:\.\d+)?)"
ADDRESS = (
    r"(?:https?://|(?<![\w.+-])www\.)[\w.:/@~_-]*[\w/]"
    r"|(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")

# As NFKC has them, but with the slash of the keyboard.
FRACTIONS = {c: unicodedata.normalize("NFKC", c).replace("⁄", "/") for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒"}
FULL_WIDTH = "％＄＆＠＃＋＝￥℃℉－㍱-㏟Ａ-Ｚａ-ｚ"


class Rule(NamedTuple):
    """All matches of `pattern` become `replacement`: what is said for them, or a form that a later
    rule reads well. `example`: a text -> what is said for it.

    Patterns take linear time: what repeats is bounded or begins where nothing of its kind precedes.
    """

    example: str
    pattern: re.Pattern[str]
    replacement: Replacement
    needs: tuple[re.Pattern[str], ...] | None = None    # all match a text that `pattern` matches


class Grammar(NamedTuple):
    """How numbers and symbols are said in a language."""

    rules: tuple[Rule, ...]         # applied from the first to the last
    spaced: bool                    # whether there are spaces between words


def rule(
        example: str, pattern: str, replacement: Replacement,
        needs: Needs | tuple[Needs, ...] = ()) -> Rule:
    """`needs`: characters, as between [ and ], of which all matches have one, or a pattern that is
    found in all matches; several: each of them. It saves time."""
    needs = needs if isinstance(needs, tuple) else (needs,)
    needed = tuple(
        re.compile(f"[{need}]") if isinstance(need, str) else need for need in needs)
    return Rule(example, re.compile(pattern, re.ASCII), replacement, needed)


def one_of(names: Iterable[str]) -> str:
    """A regular expression for one of the names, the longest first."""
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def words(names: str) -> re.Pattern[str]:
    """Finds a word that begins with one of the names, in upper or lower case; it is quick as it
    begins with one set of letters. names: patterns that begin with a letter, with | between them.
    """
    rests: dict[str, list[str]] = {}
    for name in names.split("|"):
        rests.setdefault(name[0].lower(), []).append(name[1:])
    branches = "|".join(
        f"(?<=[{first}{first.upper()}])(?i:{'|'.join(rest)})" for first, rest in rests.items())
    first_letters = "".join(rests)
    return re.compile(
        rf"[{first_letters}{first_letters.upper()}](?<!\w.)(?:{branches})", re.ASCII)


def after_digit(pattern: str) -> re.Pattern[str]:
    """Finds a digit with the pattern after it."""
    return re.compile(f"[0-9](?:{pattern})", re.ASCII)


def spell_address(address: str, names: Mapping[str, str], separator: str) -> str:
    """A web or mail address with `names` for its signs and digits; words stay as they are."""
    address = re.sub("^https?://", "", address).rstrip("/")
    return separator.join(names.get(part, part) for part in re.findall(r"[A-Za-z]+|.", address))


def _plain(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0])


# Characters that mean the same as others, for the rules of all languages.
PLAIN_CHARACTERS = (
    rule("共１，２３４元 -> 共一千二百三十四元", "(?<=[０-９])[，,](?=[０-９]{3}(?![０-９]))", ""),
    rule("全角１２３个 -> 全角一百二十三个", "[０-９]+", _plain),
    rule("占５０％ -> 占百分之五十", f"[{FULL_WIDTH}]", _plain),
    rule("早上８：０５ -> 早上八点零五分", "(?<=[0-9])[：．／～](?=[0-9])", _plain),
    rule("比例16∶9 -> 比例十六比九", "(?<=[0-9])∶(?=[0-9])", ":"),
    rule("It is −5. -> It is minus five.", "−", "-"),
    rule("1½ cups -> one and a half cups",
         f"([0-9]?)([{''.join(FRACTIONS)}])", lambda m: f"{m[1]} {FRACTIONS[m[2]]}".lstrip()),
)
