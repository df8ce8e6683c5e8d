"""Roman numerals in English, where a name or a heading shows that they are numerals."""

import re

from sparktts_ms.text.numbers_en import cardinal, ordinal
from sparktts_ms.text.rules import rule, words

VALUES = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}
# Letters I, V and X; not XX and XXX, which are sizes and kisses.
_SMALL = r"(?:X{0,3}(?:IX|IV|VI{0,3}|I{2,3})|X{1,3}I|X{1,3}V)"
# Up to 399, but not letters that name something else: C, CD, XL.
_ANY = (
    r"(?:(?!(?:CI|CV|CX|XL|LI)\b)(?=[CLXVI]{0,8}[XVI])C{0,3}(?:XC|XL|L?X{0,3})"
    r"(?:IX|IV|V?I{0,3})(?!\w))")
# What is not a pronoun after a heading.
_NOT_I = (
    r"(?! (?:am|like|liked|love|loved|hate|know|knew|"
    r"want|wanted|wrote|read|need|saw|see|said|think|thought|mean|meant|feel|felt|get|got|find|"
    r"found|never|always|took|made|bought|attended|"
    r"applied|passed|visited|remember|mentioned|reached)\b|['’])")
_HEADINGS = (
    "chapter|part|section|act|scene|book|volume|vol\\.|phase|type|stage|class|level|grade|article|"
    "title|appendix|figure|fig\\.|table|war|bowl|episode|season|mark|division|schedule|amendment|"
    "canto|category|tier|round|unit|group|paragraph|lesson|factor|vatican|apollo|annex|exhibit|"
    "cohort|wrestlemania|mk|psalm|mac os|page|olympiad|games|form|sonnet|symphony|problem|step|"
    "option|theorem|band|zone|region|layer|lead|cranial nerve|angiotensin|collagen|mhc class")
# Monarchs and popes, whose numerals are ranks.
_REGNAL = (
    "Henry|Louis|Elizabeth|Charles|George|Edward|Richard|William|James|Philip|Phillip|Benedict|"
    "Pius|Napoleon|Catherine|Peter|Alexander|Nicholas|Frederick|Ferdinand|Francis|Leo|Gregory|"
    "Innocent|Urban|Clement|Ramses|Ramesses|Rameses|Ptolemy|Cleopatra|Darius|Xerxes|Cyrus|"
    "Artaxerxes|Ivan|Otto|Wilhelm|Carl|Karl|Gustav|Gustaf|Christian|Alfonso|Afonso|Juan Carlos|"
    "Carlos|Felipe|Mehmed|Suleiman|Murad|Selim|Bayezid|Haakon|Olav|Olaf|Harald|Harold|Albert|"
    "Leopold|Umberto|Emmanuel|Emanuel|John Paul|Paul|Julius|Sixtus|Boniface|Joseph|Maximilian|"
    "Rudolf|Rudolph|Pedro|João|Joao|Stephen|Robert|David|Malcolm|Mary|Margrethe|Beatrix|Abdullah|"
    "Hussein|Mohammed|Hassan|Farouk|Baldwin|Theodosius|Constantine|Justinian|Basil|Michael|Adrian|"
    "Hadrian|Celestine|Callixtus|Eugene|Nicolas|Amenhotep|Thutmose|Seti|Mentuhotep|Rama|Naruhito|"
    "Sigismund|Casimir|Ladislaus|Vladislaus|Augustus|Victoria|Isabella|Eric|Valdemar|Canute|"
    "Tiglath-Pileser|Nebuchadnezzar|Ashurnasirpal|Shapur|Khosrow|Selassie|Menelik|Tokugawa")
_RULER = "King|Queen|Pope|Emperor|Empress|Tsar|Czar|Kaiser|Sultan|Prince|Duke|Pharaoh|Shah"
_FIRST_NAMES = (
    "John|James|Robert|William|Charles|George|Thomas|Henry|Edward|Joseph|Richard|David|Michael|"
    "Frank|Walter|Arthur|Harry|Albert|Samuel|Davis|Hank|Martin|Ronald|Thurston|Cornelius|Loudon")
# After these, IV and VI are not numbers.
_NO_TITLE = (
    "The|An?|This|That|Use|In|On|My|Your|Our|His|Her|Their|Its|With|And|Or|If|Is|Are|When|Via|By|"
    "For|From|To|No|One|Two|Each|Every|Start|Stop|Open|Run|Give|Given|Insert|Place|Remove|Hospital|"
    "Vitamin|What|Which|It|He|She|We|They|You")
_MORE = rf"(?:(?:,? (?:and|or|to|&) |, | ?[-–—] ?)(?!I\b){_ANY}(?!['’])){{0,5}}"
_IS_HEADING = words(_HEADINGS)
_IS_RULER = words(_RULER)
_IS_REGNAL = words(_REGNAL)
# A word of numerals, not I.
_HAS_NUMERAL = re.compile(r"[IVXLC](?<!\w.)(?:(?<!I)|[IVX])", re.ASCII)
# A middle initial: Robert V. Smith.
_NO_INITIAL = r"(?!(?<=[ ][VX])\. (?!(?:He|She|It|They|The|His|Her|This|But|In|And|When)\b)[A-Z])"


def value(numeral: str) -> str:
    """XIV -> "14"."""
    total = 0
    for letter, following in zip(numeral, [*numeral[1:], ""], strict=True):
        smaller = bool(following) and VALUES[letter] < VALUES[following]
        total += -VALUES[letter] if smaller else VALUES[letter]
    return str(total)


def _capitalized(words: str) -> str:
    return "|".join(word[0].upper() + word[1:] for word in words.split("|"))


def _rank(match: re.Match[str]) -> str:
    return f"{match[1]} the {ordinal(value(match[2]))}"


def _heading(match: re.Match[str]) -> str:
    """One numeral or more: Chapters IV, V and VI."""
    name, numerals = match.groups()
    numerals = re.sub(r" ?[-–—] ?(?=[IVXLC])", " to ", numerals)
    return f"{name} " + re.sub(
        r"\b[IVXLC]+\b", lambda numeral: cardinal(value(numeral[0])), numerals)


RULES = (
    rule("the XIX century -> the nineteenth century",
         rf"\b({_SMALL}|X{{1,2}}|V)(?:th|st|nd|rd)?(?=[ -](?:century|centuries)\b)",
         lambda m: ordinal(value(m[1])), needs=_HAS_NUMERAL),
    rule("the XXIst one -> the twenty first one", rf"\b({_SMALL}|X{{1,2}}|V)(?:th|st|nd|rd)\b",
         lambda m: ordinal(value(m[1])), needs=_HAS_NUMERAL),
    rule("Henry VIII fought -> Henry the eighth fought",
         rf"\b(?!Malcolm X\b)({_REGNAL}) ({_SMALL}|XX?|V)\b{_NO_INITIAL}",
         _rank, needs=(_HAS_NUMERAL, _IS_REGNAL)),
    rule("Queen Elizabeth I -> Queen Elizabeth the first",
         rf"\b((?:{_RULER}) (?:[A-Z][a-z]{{1,15}} )?[A-Z][a-z]{{1,15}}) ({_SMALL}|X|V|I{_NOT_I})\b",
         _rank, needs=("IVX", _IS_RULER)),
    rule("Elizabeth I reigned -> Elizabeth the first reigned",
         rf"\b({_REGNAL}) (I)(?= (?:reigned|ruled|of [A-Z][a-z]+|became|abdicated|(?:and|or) "
         rf"[A-Z][a-z]+ (?:[IVX]+|the))\b)", _rank,
         needs=("I", _IS_REGNAL)),
    rule("John Smith III -> John Smith the third",
         rf"\b((?:{_FIRST_NAMES}) (?:[A-Z]\. )?[A-Z][a-z]{{1,15}}) (I{{2,3}}|IV)\b", _rank,
         needs=_HAS_NUMERAL),
    rule("After World War II -> After World War two",
         rf"\b((?i:{_HEADINGS})s?) (?!I\b)({_ANY}(?!['’]\w|-(?![IVXLC]+\b)\w){_MORE})",
         _heading, needs=(_HAS_NUMERAL, _IS_HEADING)),
    rule("World War I began -> World War one began",
         rf"\b((?:{_capitalized(_HEADINGS)})s?) (I\b{_NOT_I}(?!-(?![IVXLC]+\b)\w){_MORE})",
         _heading, needs=("I", _IS_HEADING)),
    rule("type I and II -> type one and two",
         rf"\b((?:{_HEADINGS})s?) (I(?=[.,;:)!?–-]|$| (?:and|or|to|of|in|is|was|error|diabetes)\b)"
         rf"{_MORE})", _heading, needs=("I", _IS_HEADING)),
    rule("Rocky IV is fun -> Rocky four is fun",
         rf"\b(?!(?:{_NO_TITLE})\b)([A-Z][a-z]{{1,20}}|[A-Z]{{2,12}}) ({_SMALL}\b(?![-'’]\w)"
         rf"{_NO_INITIAL}{_MORE})", _heading, needs=_HAS_NUMERAL),
    rule("Louis the XIV -> Louis the fourteenth", rf"\b((?:{_REGNAL}) the) ({_SMALL})\b",
         lambda m: f"{m[1]} {ordinal(value(m[2]))}", needs=(_HAS_NUMERAL, _IS_REGNAL)),
)
