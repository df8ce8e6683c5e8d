"""Telephone numbers, codes, addresses and the numbers of names in English."""

import re

from sparktts_ms.text.context_en import after, before, counts
from sparktts_ms.text.numbers_en import (
    DIGITS,
    cardinal,
    decimal,
    number_in_name,
    pairs,
    plural,
    spell,
    spell_groups,
    year,
)
from sparktts_ms.text.rules import after_digit, rule, words
from sparktts_ms.text.units_en import UNIT

_SIGNS = {
    ".": "dot", "@": "at", "/": "slash", ":": "colon", "-": "dash", "_": "underscore", "+": "plus",
    "#": "hash", "?": "question mark", "=": "equals", "&": "and", "%": "percent", "~": "tilde",
    "\\": "backslash", "*": "star"}
_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|dev|app|tv|xyz|cloud|tech|site|online|shop|blog|"
    "us|cn|uk|de|fr|jp|eu|ru|nl|au|ca|br|kr|ch|se|es|pl|gg|fm|ly|cc|hk|tw|sg")
_EXTENSIONS = (
    "pdf|txt|md|py|js|ts|json|ya?ml|toml|csv|tsv|xml|html?|css|docx?|xlsx?|pptx?|png|jpe?g|gif|svg|"
    "webp|mp3|mp4|wav|flac|ogg|m4a|avi|mov|mkv|zip|tar|gz|7z|rar|exe|dll|dmg|apk|iso|sh|bat|ini|"
    "cfg|log|cpp|hpp|rs|go|java|ipynb|safetensors|onnx|bin|ckpt")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,40}[A-Za-z0-9])?"
_PATH = r"(?:[/?#](?:[\w.:/@~_=&%?#+-]{0,200}[\w/=])?)?"
_HOST = rf"(?:{_LABEL}\.){{1,5}}(?:{_TOP_LEVEL})\b"
_IP = r"\d{1,3}(?:\.\d{1,3}){3}"


def _spell_address(address: str) -> str:
    """A web or mail address or a path: names for its signs and digits; words stay."""
    address = re.sub("^[a-z]{2,8}://", "", address).rstrip("/")
    parts = re.findall(r"[^\W\d_]+|.", address)
    return " ".join(
        DIGITS[int(part)] if part in "0123456789" else _SIGNS.get(part, part) for part in parts)


# Short numbers that are called; 911 people and a Porsche 911 are not.
_HOTLINES = (
    "911|999|112|988|101|111|119|110|120|000|995|211|311|411|511|611|711|811|116|108|100|118|"
    "12306|12345|10086")
_HOTLINE_WORK = (
    "calls?|callers?|operators?|dispatch(?:er|ers)?|emergency|emergencies|hotline|center|centre|"
    "responders?|lifeline|line|tapes?|system|service")
# What is said digit by digit after these words.
_SECRETS = (
    "pin|passcode|password|otp|cvv|cvc|ssn|isbn(?:-1[03])?|issn|imei|vin|iban|zip|zip code|"
    "postcode|post code|postal code|area code|country code|access code|verification code|"
    "security code|confirmation code|promo code|discount code|booking code|reference code|"
    "dialing code|door code|gate code|ending in|ending with|ends in|serial|extension|"
    "license plate|licence plate|case id|user id|id|tel|tel\\.|telephone|fax|hotline|helpline|"
    "whatsapp|swift|routing|meeting id")
# After these, only where a number is meant: order number 12, code: 42, order 00123.
_NAMED = (
    "code|codes|account|acct\\.?|passport|policy|invoice|order|ticket|lot|batch|docket|claim|case|"
    "member|membership|employee|student|customer|card|registration|locker|combination|booking|"
    "confirmation|reference|ref\\.?|tracking|phone|mobile|cell|part|model|reservation|contract|"
    "transaction|receipt|check|cheque|badge|sku|seat|permit|patient|loan|file"
    "|flight confirmation|gift card|credit card|"
    "debit card|bank account|phone number|serial number|number to call")
_IS_NAMED = re.compile(rf"(?i)(?:{_NAMED})\b", re.ASCII)
_VALUE = (
    r"(?!\d{1,4}\.\d{1,4}(?![.\d]))(?:[A-Z]{0,4}[-–]?\d[\dA-Z]*|[A-Z]{1,4}(?=[-–]\d))(?:[- –.]"
    r"[\dA-Z]*\d[\dA-Z]*){0,6}"
    r"(?:[-–][A-Z]{1,4}(?!\w)){0,3}")
_CALLS = "call|dial|phone|ring|text|telephone|contact"
_PHONE_CONTEXT = re.compile(
    r"(?i)\b(?:call|dial|phone|ring|text|telephone|tel|fax|contact|number|cell|mobile|reach)\b")

_STATES = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|"
    "T[NX]|UT|V[AT]|W[AIVY]")
# A number after these is a name, said by twos: room 1208, flight 370.
_PLACES = (
    "room|rm\\.?|suite|ste\\.?|apt\\.?|apartment|unit|flat|gate|bus|flight,?|highway|hwy\\.?|route|"
    "rte\\.?|interstate|exit|channel|building|bldg\\.?|seat|locker|box|hall|runway|train|tram|bay|"
    "berth|cabin|ward|classroom|studio|terminal|dorm|error|http|status|form|conference room"
    "|dept\\.?|"
    "house|villa|plot|court|platform|area|nh|psalm|hymn|engine|squadron|regiment|agent|cell block")
_BRANDS = (
    "RTX|GTX|RX|GT|MX|Quadro|Radeon|GeForce|Tesla|Ryzen \\d|Ryzen|Xeon|EPYC|Threadripper|Boeing|"
    "Airbus|Porsche|Nokia|Xbox|Atari|BMW|Audi|Mercedes|Peugeot|Fiat|Ferrari|McLaren|Volvo|Lexus|"
    "Levi's|Levis|Intel|Motorola|Zilog|Core|Canon|Nikon|Kawasaki|Ninja|Yamaha|Honda|Ducati|Suzuki|"
    "Cessna|Embraer|Bombardier|Falcon|Douglas|Lockheed|Concorde|Thinkpad|ThinkPad|Latitude|"
    "Precision|LaserJet|OfficeJet|Snapdragon|Dimensity|Exynos|Kirin|Casio|Winchester|Remington|"
    "Glock|Roland|Moog|Dodge|Chrysler|Ram|Renault|Citroën|Citroen|Saab|Mazda|Land Rover|Ford|"
    "Windows|Office|Studio|Fahrenheit|Area|ISO|RFC|IEEE|Pentium|Athlon|Silverado|Sierra"
    "|Challenger|Apollo|TR"
    "|MH|Model")
_STREETS = {
    "St": "Street", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Ln": "Lane",
    "Hwy": "Highway", "Pkwy": "Parkway", "Expy": "Expressway", "Ct": "Court", "Pl": "Place",
    "Sq": "Square",
    "Dr": "Drive"}
_DIRECTIONS = {"N": "North", "S": "South", "E": "East", "W": "West"}
_STREET = rf"(?:{'|'.join(_STREETS)}|{'|'.join(_STREETS.values())}|Way|Terrace|Row|Close|Crescent)"
PHRASES = {
    "24/7/365": "twenty four seven three sixty five", "24/7": "twenty four seven",
    "24-7": "twenty four seven", "50/50": "fifty fifty",
    "50-50": "fifty fifty", "9/11": "nine eleven", "20/20": "twenty twenty",
    "20-20": "twenty twenty", "1-2 punch": "one two punch", "9-1-1": "nine one one",
    "7-11": "seven eleven", "80/20": "eighty twenty", "80-20": "eighty twenty",
    "60/40": "sixty forty", "60-40": "sixty forty", "70/30": "seventy thirty",
    "4x4": "four by four",  "50:50": "fifty fifty"}


def _spell_code(code: str) -> str:
    """The digits of a code one by one, its letters as they are."""
    parts = re.findall(r"[A-Za-z]+|\d|[-–]", code)
    return " ".join(
        DIGITS[int(part)] if part.isdigit() else "dash" if part in "-–" else part
        for part in parts)


def _phone(match: re.Match[str]) -> str:
    return spell_groups(match[0])


def _short_phone(match: re.Match[str]) -> str:
    """555-1234, but not pages 100-1200."""
    first, last = match.groups()
    is_range = last.endswith("00") and int(first) < int(last)
    if is_range and not _PHONE_CONTEXT.search(before(match, 60)):
        return match[0]
    return spell_groups(match[0])


def _hotline(match: re.Match[str]) -> str:
    """One number or a list: call 112 or 911."""
    if counts(match):
        return match[0]
    return re.sub(r"\d+", lambda number: spell(number[0]), match[0])


def _other_hotline(match: re.Match[str]) -> str:
    if not re.search(r"(?i)\b(?:call|dial|phone|ring)\b[^!?]*$", before(match, 100)):
        return match[0]
    return f"{match[1]} {spell(match[2])}"


def _named_code(match: re.Match[str]) -> str:
    """PIN 0420, account number 12-345, but not: fax 20 pages, a year ending in 2024."""
    name, code = match.groups()
    is_short = code.isdigit() and not code.startswith("0")
    if name.strip().isalpha() and is_short and counts(match):
        return match[0]
    may_be_year = name.startswith(("end", "End")) and re.fullmatch("(?:19|20)[0-9]{2}", code)
    if may_be_year and not re.search(r"(?i)\b(?:card|account|number|phone)\b", before(match)):
        return match[0]
    name = re.sub(r"(?: number)? ?# ?$| no\. ?$", " number ", name)
    if is_short and len(code) < 3 and _IS_NAMED.match(name):
        return name + cardinal(code)
    groups = re.findall("[0-9A-Z]+", code)
    is_phone = re.match(r"(?i)(?:tel|phone|fax|mobile|cell|hotline|helpline|whatsapp)", name)
    is_grouped = len(groups) > 2 or " " in code or "." in code
    is_code = re.search(r"(?i)code|\bid\b", name) is not None
    if (is_phone or (is_grouped and not is_code)) and all(group.isdigit() for group in groups):
        return name + spell_groups(code)
    return name + _spell_code(code)


def _called(match: re.Match[str]) -> str:
    if counts(match) or len(re.sub("[^0-9]", "", match[2])) < 6:
        return match[0]
    return match[1] + spell_groups(match[2])


def _place(match: re.Match[str]) -> str:
    """room 1208, apartment 4B, rooms 101-110."""
    name, letters, number, suffix, last = match.groups()
    letters = letters or ""
    name = name.replace("#", "number ")
    is_plain = not (letters or suffix or last)
    if is_plain and counts(match) and re.match(r"(?i)(?:seat|house|build|box|area|hall|flat)",
    name):
        return match[0]
    spoken = " ".join(filter(None, [letters.strip(), number_in_name(number), suffix]))
    spoken = spoken.replace("- ", "-")
    return f"{name}{spoken}" + (f" to {number_in_name(last)}" if last else "")


def _model(match: re.Match[str]) -> str:
    name, number, variant = match.groups()
    if counts(match) or (len(number) == 4 and number[:2] in ("19", "20") and not variant):
        return match[0]
    spoken = f"{name} {number_in_name(number)}"
    return f"{spoken} {number_in_name(variant[1:])}" if variant else spoken


def _letter_range(match: re.Match[str]) -> str:
    """Q1-Q3, but not an E195-E2."""
    letter, first, last = match.groups()
    if int(last) <= int(first):
        return match[0]
    return f"{letter} {number_in_name(first)} to "


def _tax_section(match: re.Match[str]) -> str:
    """401(k), 501(c)(3)."""
    number, letter, part, k = match.groups()
    return " ".join(filter(None, [pairs(number), letter or k, part and cardinal(part)]))


def _digits_in_name(match: re.Match[str]) -> str:
    """The digits beside letters: MP3, COVID-19, 705A, FY2024."""
    hyphen, number = match.groups()
    if re.fullmatch("(?:19|20)[0-9]{2}", number):
        return hyphen + year(number)
    return hyphen + number_in_name(number)


def _street(match: re.Match[str]) -> str:
    """The street's kind in full where a house number or a rank shows that it is a street."""
    name, kind = match.groups()
    has_dot = re.match(r"\. [a-z]", after(match)) or match[0].endswith(".")
    is_certain = kind in ("Ave", "Blvd", "Rd", "Hwy", "Pkwy", "Expy") or (has_dot and kind == "St")
    after_number = re.search(r"\d[A-Z]? (?:[A-Z][a-z.]* )*$", before(match))
    if not (is_certain or after_number or name[0].isdigit()):
        return match[0]
    return f"{name} {_STREETS[kind]}"


RULES = (
    rule("https://a.com/x1 -> a dot com slash x one",
         rf"(?:(?:https?|ftp|wss?)://|(?<![\w.+-])www\.)(?:{_LABEL}(?:\.{_LABEL}){{0,5}})"
         rf"(?::\d{{1,5}})?{_PATH}",
         lambda m: _spell_address(m[0]), needs="/w"),
    rule("a@x.com -> a at x dot com",
         r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}",
         lambda m: _spell_address(m[0]), needs="@"),
    rule("localhost:7860 -> localhost colon seven eight six zero",
         rf"(?<![\w.@/-])(?:(?:{_HOST}|localhost)(?::\d{{1,5}})?{_PATH}|{_IP}:\d{{1,5}}{_PATH}"
         rf"|{_IP}/\d{{1,2}})(?!\w)(?<!localhost)", lambda m: _spell_address(m[0]), needs="a-z:/"),
    rule("C:\\x1 -> C colon backslash x one", r"(?<!\w)[A-Z]:\\(?:[\w.\\-]{0,200}\w)?",
         lambda m: _spell_address(m[0]), needs=":"),
    rule("in /usr/lib64 -> in slash usr slash lib six four",
         r"(?<![\w./<)-])~?/(?:[\w.-]{1,60}/)[\w./-]{0,200}(?<![.])",
         lambda m: _spell_address(m[0]), needs="/"),
    rule("README.md -> README dot md",
         rf"(?<![\w.-])[\w-]{{1,60}}(?:\.[\w-]{{1,20}}){{0,3}}\.(?:{_EXTENSIONS})\b"
         r"(?![-.]\w)", lambda m: re.sub(r"\.", " dot ", m[0].replace("_", " underscore ")),
         needs="."),
    rule("192.168.1.1 -> one nine two dot one six eight dot one dot one",
         rf"(?<![\w.]){_IP}(?!\w|\.\d)", lambda m: _spell_address(m[0]), needs=(".", "0-9")),
    rule("Follow @spark -> Follow at spark", r"(?<![\w@])@(?=\w)", "at ", needs="@"),
    rule("open 24/7 -> open twenty four seven",
         rf"(?<![\w/.,:-])(?:{'|'.join(map(re.escape, PHRASES))})(?![\w/]|[-.,:]\d)",
         lambda m: PHRASES[m[0]], needs="/:x.-"),
    rule("a 401(k) plan -> a four oh one k plan",
         r"(?<![\w.,])(\d{3})(?:\(([a-z])\)(?:\((\d{1,2})\))?|(?<=401)(k)\b)", _tax_section,
         needs="(k"),
    rule("550e8400-e29b-41d4 -> five five zero e eight four zero zero e two nine b four one d four",
         r"(?<![\w-])(?=[\da-fA-F-]{0,40}\d)(?=[\d-]{0,12}[a-fA-F])(?:[\da-fA-F]{4,12}-){2,6}"
         r"[\da-fA-F]{4,12}(?![\w-])|(?<!\w)0[xX][\da-fA-F]{1,16}(?!\w)",
         lambda m: _spell_code(m[0]).replace(" dash", ""), needs="a-fA-F"),
    rule("My PIN is 0420 -> My PIN is zero four two zero",
         rf"(\b(?i:{_SECRETS})(?i:s?(?: (?:number|code|no\.?|id|#))?(?: is| was| are)?(?: now"
         rf"| not)?:? ?[#=]? ?))"
         rf"((?:{_VALUE}|[a-zA-Z]{{1,9}}\d[\da-zA-Z]*))(?![\w%]|[.,:/]\d)", _named_code,
         needs=(words(_SECRETS), "0-9")),
    rule("Account number: 1234 -> Account number: one two three four",
         rf"(\b(?i:{_NAMED})(?:(?i:s? (?:number|code|no\.?|id))(?i: is| was)?:? ?#?"
         rf"|:|(?<=[Cc]ode) is| #|#) ?)({_VALUE})"
         r"(?![\w%]|[.,:/]\d)", _named_code, needs=(words(_NAMED), "0-9")),
    rule("order 00123 -> order zero zero one two three",
         rf"(\b(?i:{_NAMED}) )(0\d+|(?<=[cC]ode )\d{{3,}}|\d{{5,}}|[A-Z]{{1,4}}-?\d{{3,}}(?:-\d+)*"
         rf"|\d+-\d+-[\d-]*\d|\d+-\d{{3,}})(?![\w%]|[.,:/]\d)", _named_code,
         needs=(words(_NAMED), "0-9")),
    rule("see #12345 -> see number one two three four five", r"#(\d{5,20})(?![\w.,]\d|\w)",
         lambda m: f"number {spell(m[1])}", needs="#"),
    rule("555-0199 ext. 12 -> five five five, zero one nine nine extension one two",
         r"\b[Ee]xt(?:\. ?| )(\d{1,6})\b", lambda m: f"extension {spell(m[1])}", needs=("x",
         "0-9")),
    rule("Fax x 555-0199 x204 -> Fax x five five five, zero one nine nine extension two zero four",
         r"(?<=-\d{4}),? ?x ?(\d{2,6})\b", lambda m: f" extension {spell(m[1])}",
         needs=after_digit(",? ?x")),
    rule("1-800-FLOWERS -> one, eight hundred, FLOWERS",
         r"(?<![\w.+-])(?:\+?1[-. ])?\(?[89]\d\d\)?[-. ](?:\d{3}[-. ])?[A-Z]{2,9}(?:-"
         r"[A-Z]{2,9})?(?:-?\d{1,4})?\b", _phone, needs=("A-Z", "0-9")),
    rule("Call (555) 123-4567. -> Call five five five, one two three, four five six seven.",
         r"(?<![\w.+-])(?:\+\d[\d ().-]{6,22}\d"
         r"|(?:1[-. ]{1,3})?(?:\(\d{3}\)[ -]?|\d{3}[-. ])\d{3}[-. ]\d{4}"
         r"|\(?0\d{1,4}\)?[- ]\d{3,4}[- ]?\d{3,4}|0\d{4}[ -]\d{5,6}|0\d(?:[ .-]\d\d){4}|0\d{8,10}"
         r"|1[38]00[- ]\d{3}[- ]\d{3}|1[3-9]\d[- ]\d{4}[- ]\d{4}|1[3-9]\d{9}|\d{3}-\d\d-\d{4}"
         r"|\d{4}[- ]\d{6}[- ]\d{5}"
         r"|\d{4}([- ])\d{4}\1\d{4}(?:\1\d{1,4})?|\d{14,}|(?!\d+000)[2-9]\d{9})(?![\w-]|[.,]\d)",
         _phone),
    rule("Call 555-1234. -> Call five five five, one two three four.",
         r"(?<![\w.+-])(\d{3})-(\d{4})(?![\w-]|[.,]\d)", _short_phone, needs=("-", "0-9")),
    rule("Dial 911 or 112 -> Dial nine one one or one one two",
         r"\b(?i:call|dial|phone|ring|text|telephone)(?i:s|ed|ing)? "
         rf"(?:{_HOTLINES})(?:(?:, | or |, or | and )(?:{_HOTLINES})){{0,3}}(?![\w-]|[.,:]\d)",
         _hotline, needs=(words(_CALLS), "0-9")),
    rule("call us on 13 14 50 -> call us on one three, one four, five zero",
         r"(\b(?i:call|dial|phone|ring|text|contact)(?i:s|ed|ing)?(?: us| me| him| her| them)?"
         r"(?: on| at)? )(\d{2,6}(?:[- ]\d{2,6}){1,4})(?![\w%-]|[.,:/]\d)", _called,
         needs=(words(_CALLS), "0-9")),
    rule("Call me, or 911. -> Call me, or nine one one.",
         rf"\b(or|and) ({_HOTLINES})(?=[.,!?;]|$| (?:for|in|if)\b)", _other_hotline,
         needs=("o", "0-9")),
    rule("Dial 911, not 912. -> Dial nine one one, not nine one two.",
         r"\b(not|never|instead of|rather than) (1\d\d|9\d\d)(?=[.,!?;]|$)", _other_hotline,
         needs=(words(_CALLS), "0-9")),
    rule("my line is 555 0134 -> my line is five five five, zero one three four",
         r"\b((?i:line|number|phone|cell|mobile|landline)(?: is|:) )(\d{3} \d{4})(?![\w-]|[.,]\d)",
         lambda m: m[1] + spell_groups(m[2]),
         needs=(words("line|number|phone|cell|mobile|landline"), "0-9")),
    rule("Text STOP to 12345 -> Text STOP to one two three four five",
         r"\b((?i:text)(?i:s|ed|ing)?(?:\b[^.!?\d\n]{0,40} to)? )(\d{5,6})(?![\w-]|[.,:]\d)",
         lambda m: m[1] + spell(m[2]), needs=(words("text"), "0-9")),
    rule("I drive a 911. -> I drive a nine eleven.",
         r"\b((?:[Aa]|[Tt]he|[Hh]is|[Hh]er|[Mm]y) )911(?=[.,!?;]|$)"
         r"|(?<![\w.,])()911(?= (?:Turbo|Carrera|GT3|Targa)\b)",
         lambda m: f"{m[1] or ''}nine eleven", needs=re.compile("911")),
    rule("a 911 call -> a nine one one call",
         rf"(?<![\w.,$£€])()(911|999|112|988)(?= (?:{_HOTLINE_WORK})\b)",
         lambda m: spell(m[2]), needs=re.compile("911 |999 |112 |988 ")),
    rule("in NY 10001 -> in NY one zero zero zero one",
         rf"\b({_STATES}),? (\d{{5}})(?:-(\d{{4}}))?(?![\w,-]|\.\d)",
         lambda m: " ".join([m[1], *(spell(part) for part in m.groups()[1:] if part)]),
         needs=("A-Z", "0-9")),
    rule("at SW1A 1AA -> at SW one A one AA", r"\b([A-Z]{1,2})(\d{1,2})([A-Z]?) (\d)([A-Z]{2})\b",
         lambda m: " ".join([m[1], spell(m[2]), *([m[3]] if m[3] else []), spell(m[4]), m[5]]),
         needs=("A-Z", "0-9")),
    rule("room 1208 -> room twelve oh eight",
         rf"(\b(?i:{_PLACES})(?i:s?(?: (?:number|no\.?))?) #?)((?:[A-Z]{{1,3}}[- ]?)?)(\d{{1,5}})("
         rf"[A-Z]?)(?:[-–](\d{{1,5}}))?"
         rf"(?![\w%°]|[.,:/]\d|-\d| \d/\d| ?{UNIT})", _place, needs=(words(_PLACES), "0-9")),
    rule("at 12 N Main St -> at twelve North Main Street",
         rf"(?<=\d )([NSEW])\.? (?=(?:[A-Z][a-z]{{1,15}} ){{1,2}}{_STREET}\b"
         rf"|\d{{1,3}}(?:st|nd|rd|th) {_STREET}\b)", lambda m: f"{_DIRECTIONS[m[1]]} ",
         needs="NSEW"),
    rule("on 5th Ave -> on fifth Avenue",
         rf"\b((?:[A-Z][a-z]{{1,15}}|\d{{1,3}}(?:st|nd|rd|th))) ({'|'.join(_STREETS)})\b(?:\."
         rf"(?=,| [a-z\d]))?(?! [A-Z][a-z])",
         _street, needs="A-Z"),
    rule("at 350 Main St -> at three fifty Main Street",
         rf"(?<![\w.,$£€#/-])(?<!o\. )(\d{{1,5}})([A-Z]?)(?= (?:[NSEW]\.? |North |South |East "
         rf"|West )?"
         rf"(?:[A-Z][a-z]{{1,15}} ){{1,2}}{_STREET}\b|(?: [NSEW]\.?)? \d{{1,3}}(?:st|nd|rd"
         rf"|th) {_STREET}\b)",
         lambda m: f"{number_in_name(m[1])} {m[2]}".rstrip(), needs=("A-Z", "0-9")),
    rule("a Boeing 737-800 -> a Boeing seven thirty seven eight hundred",
         rf"\b({_BRANDS}) (\d{{3,5}})(-\d{{1,4}})?(?![\d%]|[.,:/]\d|-\d| ?{UNIT})", _model,
         needs=("A-Z", "0-9")),
    rule("a 737-800 took off -> a seven thirty seven eight hundred took off",
         r"(?<![\w.,-])(7[0-8]7)-(\d{1,3})(?![\d-]|[.,]\d)",
         lambda m: f"{pairs(m[1])} {number_in_name(m[2])}", needs=("-", "0-9")),
    rule("H.264 -> H dot two sixty four", r"\b([A-Z])\.(\d{3})\b(?!\.\d)",
         lambda m: f"{m[1]} dot {pairs(m[2])}", needs=(".", "0-9")),
    rule("IEEE 802.3 -> IEEE eight oh two dot three",
         r"(?<![\w.,$£€])802\.(\d{1,2})(?=[a-z]{0,2}\b)(?! ?(?:[%°]|\w+ (?:of|in)\b))",
         lambda m: f"eight oh two dot {cardinal(m[1])}", needs="8"),
    rule("a 737 MAX -> a seven thirty seven MAX", r"(?<![\w.,-])(7[0-8]7)(?= M(?:AX|ax)\b)",
         lambda m: pairs(m[1]), needs="M"),
    rule("figure 2-1 -> figure two dash one",
         r"\b((?i:figure|fig\.?|table|equation|exhibit|box|listing|section|chapter|exercise"
         r"|problem) )(\d{1,3})-(\d{1,3})(?![\w-]"
         r"|[.,]\d)",
         lambda m: f"{m[1]}{cardinal(m[2])} dash {cardinal(m[3])}",
         needs=after_digit("-[0-9]")),
)

# After dates.
HYPHENATED = (
    rule("Q1-Q3 or A4–A5 -> Q one to Q three or A four to A five",
         r"\b([A-Z])(\d{1,3}) ?[-–] ?(?=\1(\d{1,3})\b)", _letter_range,
         needs=("–-", "0-9")),
    rule("2024-001 -> two zero two four dash zero zero one",
         r"(?<![\w.,-])\d{1,6}(?:-\d{1,6}){0,5}-(?:0\d{1,8}|\d{6,9}|\d{1,6}-\d{3,8})(?![\w-]|"
         r"[.,]\d)",
         lambda m: _spell_code(m[0]), needs=("-", "0-9")),
    rule("a 4-4-2 formation -> a four four two formation",
         r"(?<![\w.,-])\d{1,2}(?:-\d{1,2}){2,5}(?![\w-]|[.,]\d)",
         lambda m: " ".join(map(cardinal, m[0].split("-"))), needs=("-", "0-9")),
)

# After all other rules of numbers with their units.
NAMES = (
    rule("PM2.5, GPT-3.5 -> PM two point five, GPT-three point five",
         r"(?<=[A-Za-z])(-?)(\d{1,9}\.\d{1,9})(?![\d.]\d)", lambda m: m[1] + decimal(m[2]),
         needs=(".", "0-9")),
    rule("S02E05 -> season two episode five", r"\bS(\d{1,2})E(\d{1,3})\b",
         lambda m: f"season {cardinal(m[1])} episode {cardinal(m[2])}", needs=("E", "0-9")),
    rule("1379# -> one three seven nine hash", r"(?<![\w.,])(\d{3,8})#(?!\w)",
         lambda m: f"{spell(m[1])} hash", needs="#"),
    rule("two F-16s, A320s, under-18s -> two F-sixteens, A three twenties, under-eighteens",
         r"(?<=[A-Za-z])(-?)(\d{1,4})s\b", lambda m: m[1] + plural(number_in_name(m[2])),
         needs=after_digit("s")),
    rule("two 747s -> two seven forty sevens", r"(?<![\w.,])(\d{2,4})(['’]?)s\b",
         lambda m: plural(number_in_name(m[1])), needs=("s", "0-9")),
    rule("the 5s and size 8s -> the fives and size eights",
         r"\b((?:and|or|of|some|one|two|three|four|five|six|seven|eight|nine|ten|[Ss]izes?|[Tt]he)"
         r" )(\d)s\b", lambda m: m[1] + plural(cardinal(m[2])),
         needs=after_digit("s")),
    rule("MP3, COVID-19 -> MP three, COVID-nineteen",
         r"(?<=[A-Za-z])(-?)(\d{1,9})(?!\.\d)(?=[^\d]|$)", _digits_in_name,
         needs=re.compile("[A-Za-z]-?[0-9]")),
    rule("the 705A -> the seven oh five A", r"(?<![\w.,])()(\d{1,9})(?=[A-Za-z])", _digits_in_name,
         needs=after_digit("[A-Za-z]")),
)

