"""Dates, times, years and durations in English."""

import re

from sparktts_ms.text.context_en import after, before, counts, is_adjective
from sparktts_ms.text.numbers_en import cardinal, decimal, ordinal, plural, spell, year
from sparktts_ms.text.rules import after_digit, rule, words
from sparktts_ms.text.triggers import MONTHS
from sparktts_ms.text.units_en import UNIT

_SHORT_MONTH = "|".join([*(month[:3] for month in MONTHS), "Sept"])
_MONTH = (
    rf"(?:(?:{'|'.join(MONTHS)}|{'|'.join(month.upper() for month in MONTHS)}|"
    rf"{_SHORT_MONTH}|{_SHORT_MONTH.upper()}|(?!march|may)(?:{'|'.join(MONTHS).lower()})|"
    r"(?!mar|may|dec|sep\b)"
    rf"(?:{_SHORT_MONTH.lower()}))\b(?:\.(?=,? ?\d))?)")
_IS_MONTH = words("|".join(month[:3] for month in MONTHS))
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?!\d)(?:st|nd|rd|th)?"
_DASH = "[-–—~]"
_HALF = "[AaPp][Mm]"
_CLOCK = r"(?:2[0-4]|[01]?\d):[0-5]\d(?!\d)"
_NO_CLOCK_BEFORE = r"(?<![\w:.,/])"
# Two numbers with a colon are no time after these.
_RATIO = re.compile(
    r"(?i)\b(?:ratios?|odds|scale|scored?|scores|won|wins?|beat|beats|lost|lose|lead|led|leads|"
    r"leading|trail(?:ed|s|ing)|defeat(?:ed|s)?|drew|draw|tied|tie|diluted|mixed|aspect|victory)\b"
    r"[^.!?;\d]{0,25}$", re.ASCII)
_TOOK = re.compile(
    r"(?i)\b(?:took|takes|take|lasted|lasts|ran|run|finished|finishes|record|duration|long|"
    r"marathon|time of|elapsed|length)\b[^.!?;\d]{0,25}$", re.ASCII)
_AT = re.compile(r"(?i)\b(?:at|by|until|from|to|after|before|since) $", re.ASCII)
_OF_SCORE = re.compile(r" (?:win|victory|lead|draw|tie|defeat|loss|ratio|odds|scale|split)\b")
_ON_DAY = re.compile(
    r"(?i)\b(?:on|by|until|till|since|due|week of|dated|date|before|after|starting|beginning"
    r"|deadline|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|tue|wed|thu|fri|sat|sun)|"
    r"from|from \d\d?/\d\d? (?:to|until|through))[ ,:]{1,2}$", re.ASCII)
_DECADE = re.compile(
    r"(?i)(?:\b(?:the|early|late|mid|middle|his|her|their|my|your|our|low|high|upper|lower|of)"
    r"[ -]|['’]|\d0s,? (?:and|or|to|through|&) )$", re.ASCII)
_DECADE_OF = re.compile(
    r"[- ](?:music|rock|pop|hits?|fashion|style|movies?|films?|kids?|child|children|party|songs?|"
    r"era|vibes?|sitcoms?|cartoons?|nostalgia|theme|themed|band|bands|hair|dance|and (?:the )?\d0s|"
    r"to \d0s)\b", re.ASCII)
_COUNTED = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|many|several) $", re.ASCII)
_MANY = re.compile(
    r"(?i)\b(?:the|these|those|two|three|four|five|six|seven|eight|nine|ten|some|many|few|all|both|"
    r"sizes?|several|my|his|her|our|their|new|old|of|iphone|galaxy|no|more|any) $", re.ASCII)
_FOR_SECONDS = re.compile(
    r"(?i)\b(?:in|takes?|took|for|after|within|every|about|around|approximately|under|over|least|"
    r"most|only|just|last|next|wait|lasts?|lasted|ran|by|than|to|is|was|nearly|delay|timeout|each|"
    r"exactly|roughly|minutes?|hold|rest|cook|run)[ :]$", re.ASCII)
_SECONDS_OF = re.compile(
    r" (?:mark|timer|timeout|limit|delay|interval|window|clip|video|ad|countdown|pause)\b",
    re.ASCII)
_BOOKS = (
    "Genesis|Exodus|Leviticus|Numbers|Deuteronomy|Joshua|Judges|Ruth|Samuel|Kings|Chronicles|Ezra|"
    "Nehemiah|Esther|Job|Psalms?|Proverbs|Ecclesiastes|Isaiah|Jeremiah|Ezekiel|Daniel|Hosea|Joel|"
    "Amos|Micah|Matthew|Mark|Luke|John|Acts|Romans|Corinthians|Galatians|Ephesians|Philippians|"
    "Colossians|Thessalonians|Timothy|Titus|Hebrews|James|Peter|Jude|Revelation|Quran|Surah")


def _month(name: str) -> str:
    return next(month for month in MONTHS if month.startswith(name[:3].capitalize()))


def _day(text: str) -> str:
    return ordinal(re.sub("[^0-9]", "", text))


def date(year_: str, month: str, day: str) -> str:
    """2024, 5, 6 -> the sixth of May twenty twenty four; "" where there is no such month or day."""
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return ""
    if len(year_) == 2:
        year_ = ("19" if year_ >= "50" else "20") + year_
    said_year = f" {year(year_)}" if year_ else ""
    return f"the {ordinal(day)} of {MONTHS[int(month) - 1]}{said_year}"


def _without_second_the(match: re.Match[str], spoken: str) -> str:
    """After `the`, a date does not begin with it again."""
    return spoken.removeprefix("the ") if re.search(r"\b[Tt]he $", before(match, 5)) else spoken


def clock(hour: str, minute: str, half: str | None = None, bare: bool = False) -> str:
    """8, 05, am -> eight o five AM; 9, 00 -> nine o'clock, or nine if `bare`."""
    words = [cardinal(hour)]
    if int(minute):
        words += ["o"] if minute.startswith("0") else []
        words.append(cardinal(minute))
    elif not half and not bare:
        words.append("o'clock")
    return " ".join([*words, half.upper()] if half else words)


def _count(number: str, unit: str) -> str:
    return f"{cardinal(number)} {unit}{'' if int(number) == 1 else 's'}"


def _clock(match: re.Match[str]) -> str:
    hour, minute, half = match["hour"], match["minute"], match["half"]
    is_score = _RATIO.search(before(match, 60)) or _OF_SCORE.match(after(match))
    if is_score and not half:
        return f"{cardinal(hour)} to {cardinal(minute)}"
    is_named = re.match(r" (?:noon|midnight|o'clock|hours)\b", after(match)) is not None
    return clock(hour, minute, half, bare=is_named)


def _clock_with_seconds(match: re.Match[str]) -> str:
    """14:30:15 is a time of day, 2:03:59 after `took` is how long something takes."""
    hour, minute, second, part, half = match.groups()
    seconds = _count(second, "second")
    if part:
        seconds = f"{cardinal(second)} point {spell(part[1:])} seconds"
    is_long = len(hour) == 1 and not _AT.search(before(match, 10))
    if (is_long or _TOOK.search(before(match))) and not half:
        return f"{_count(hour, 'hour')} {_count(minute, 'minute')} and {seconds}"
    time = clock(hour, minute, bare=bool(int(minute)))
    if int(second):
        time += f" and {seconds}"
    return f"{time} {half.upper()}" if half else time


def _stopwatch(match: re.Match[str]) -> str:
    if _RATIO.search(match.string[:match.start(2)][-60:]):
        return match[0]
    return match[1] + clock(match[2], match[3], bare=True)


def _clocks(match: re.Match[str]) -> str:
    begin_hour, begin_minute, begin_half, hour, minute, half = match.groups()
    if _RATIO.search(before(match, 60)) and not half:
        return match[0]
    begin = clock(begin_hour, begin_minute, begin_half, bare=half is not None)
    return f"{begin} to {clock(hour, minute, half)}"


def _half_clocks(match: re.Match[str]) -> str:
    """8-9:30 and 4:30-5: one of them has minutes, which shows that both are times."""
    hour, minute, _, last_minute = match.groups()
    if (minute is None) == (last_minute is None):
        return match[0]
    return f"{clock(hour, minute or '00', bare=True)} to "


def _hours(match: re.Match[str]) -> str:
    """9am-5pm, 7-8 pm, 9:30-11 am."""
    begin_hour, begin_minute, begin_half, hour, minute, half = match.groups()
    begin = clock(begin_hour, begin_minute or "00", begin_half, bare=True)
    return f"{begin} to {clock(hour, minute or '00', half)}"


def _timestamp(match: re.Match[str]) -> str:
    year_, month, day, hour, minute, second, zone = match.groups()
    spoken = date(year_, month, day)
    if not spoken:
        return match[0]
    has_second = int(second or 0) > 0
    time = clock(hour, minute, bare=has_second and int(minute) > 0)
    if has_second:
        time += f" and {_count(second, 'second')}"
    offset = re.fullmatch(r"([+-])(\d\d):?(\d\d)", zone or "")
    if offset and int(offset[2] + offset[3]):
        time += f" UTC {_offset(offset[1], offset[2], offset[3])}"
    return f"{_without_second_the(match, spoken)}, {time}"


def _offset(sign: str, hours: str, minutes: str | None) -> str:
    spoken = f"{'plus' if sign == '+' else 'minus'} {cardinal(hours)}"
    return f"{spoken} {cardinal(minutes)}" if minutes and int(minutes) else spoken


def _year_first(match: re.Match[str]) -> str:
    spoken = date(match[1], match[3], match[4])
    return _without_second_the(match, spoken) if spoken else match[0]


def _year_last(match: re.Match[str]) -> str:
    """Month first, but for the full stops of Europe and where only the day can be first."""
    first, sign, second, year_ = match.groups()
    day_first = sign == "." or int(first) > 12
    month, day = (second, first) if day_first else (first, second)
    spoken = date(year_, month, day) or date(year_, day, month)
    return _without_second_the(match, spoken) if spoken else match[0]


def _short_date(match: re.Match[str]) -> str:
    """5/6 after a word that a day follows."""
    if not _ON_DAY.search(before(match)):
        return match[0]
    numbers = [number for number in match.groups() if number]
    days = []
    for month, day in zip(numbers[::2], numbers[1::2], strict=True):
        if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
            return match[0]
        days.append(f"{MONTHS[int(month) - 1]} {ordinal(day)}")
    return " to ".join(days)


def _month_and_days(match: re.Match[str]) -> str:
    month, the, first, last = match.groups()
    if month in ("May", "March", "Mar") and first.isdigit() and not last and counts(match):
        return match[0]
    return f"{_month(month)} {the}{_day(first)}" + (f" to {_day(last)}" if last else "")


def _days_and_month(match: re.Match[str]) -> str:
    first, last, month, year_ = match.groups()
    days = f"the {_day(first)}" + (f" to the {_day(last)}" if last else "")
    return f"{days} of {_month(month)}" + (f" {year(year_)}" if year_ else "")


def _end_of_range(first: str, last: str) -> str:
    """The second year of 2024-25 and 1999-00."""
    if last == "00":
        return year(f"{int(first[:2]) + 1}00") if first else "two thousand"
    return f"oh {cardinal(last)}" if last.startswith("0") else cardinal(last)


def _years(match: re.Match[str]) -> str:
    """2024-25 and 2020-2024; 2024-05 is a month where it cannot be a range."""
    fiscal, first, sign, last = match.groups()
    if fiscal:
        return f"FY {year(first)} to {year(last) if len(last) == 4 else _end_of_range(first, last)}"
    if len(last) == 4:
        return f"{year(first)} to {year(last)}"
    consecutive = int(last) == (int(first) + 1) % 100
    if sign == "/" and not consecutive:
        return match[0]
    if last <= first[2:] and not consecutive:
        if not 1 <= int(last) <= 12:
            return match[0]
        return f"{MONTHS[int(last) - 1]} {year(first)}"
    return f"{year(first)} to {_end_of_range(first, last)}"


def _short_decade(match: re.Match[str]) -> str:
    """the 90s, but 90s for a time in seconds."""
    number, is_marked = match[2], match[1] or match[3]
    if _COUNTED.search(before(match)):
        return plural(cardinal(number))
    is_decade = is_marked or _DECADE.search(before(match)) or _DECADE_OF.match(after(match))
    if is_decade and not _SECONDS_OF.match(after(match)):
        return plural(cardinal(number))
    return f"{cardinal(number)} second{'' if is_adjective(match) else 's'}"


def _seconds(match: re.Match[str]) -> str:
    """9.58s and 45s, but two 747s and size 8s."""
    number = match[1]
    is_many = _MANY.search(before(match)) or (re.fullmatch("7[0-8]7|[0-9]", number))
    is_time = "." in number or _FOR_SECONDS.search(before(match)) or _SECONDS_OF.match(after(match))
    if is_time or (not is_many and len(number) < 4):
        is_one = number == "1" or is_adjective(match)
        return f"{decimal(number)} second{'' if is_one else 's'}"
    return match[0]


def _after_preposition(match: re.Match[str]) -> str:
    """A number of four digits is a year, but not in 3500 copies or in 1000 years."""
    word, number = match.groups()
    if counts(match) or not "1000" < number < "3000":
        return match[0]
    return f"{word} {year(number)}"


def _duration(match: re.Match[str]) -> str:
    """1h20m, 5m 30s."""
    names = ("day", "hour", "minute", "second")
    parts = zip(match.groups(), names, strict=True)
    return " ".join(_count(number, name) for number, name in parts if number)


_D = r"(\d{1,3}) ?d "
_H = r"(\d{1,3}) ?h(?:rs?)?"
_M = r"(\d{1,3}) ?(?:m|mins?)"
_S = r"(\d{1,3}) ?s(?:ecs?)?"
TENS_OF = {"10": "tens", "100": "hundreds", "1000": "thousands", "1,000": "thousands"}

RULES = (
    rule("at 5 p.m. Then -> at five PM. Then",
         r"(?<=\d) ?([AaPp])\.?[Mm]\.(?=$|\s+[A-Z])", lambda m: f" {m[1].upper()}M.",
         needs=after_digit(r" ?[AaPp]\.?[Mm]")),
    rule("8 a.m. or -> eight AM or", r"(?<=\d) ?([AaPp])\.[Mm]\b\.?",
         lambda m: f" {m[1].upper()}M", needs=after_digit(r" ?[AaPp]\.[Mm]")),
    rule("It ended at 2024-05-06T14:30Z. -> "
         "It ended at the sixth of May twenty twenty four, fourteen thirty.",
         r"(?<![\w.-])(\d{4})-(\d\d)-(\d\d)(?:T|,? )([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)"
         r"(?:[.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?(?![\w:])", _timestamp, needs=":"),
    rule("on 2024-05-06 -> on the sixth of May twenty twenty four",
         r"(?<![\w./-])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\w/-]|\.\d)", _year_first,
         needs="-/."),
    rule("on 12/31/2023 -> on the thirty first of December twenty twenty three",
         r"(?<![\w./-])(\d{1,2})([-/.])(\d{1,2})\2((?:1[5-9]|20)\d\d|(?<=/)\d\d)(?![\w/-]|\.\d)",
         _year_last, needs="-/."),
    rule("on 24-05-06 -> on the sixth of May twenty twenty four",
         r"(?<![\w./-])(1[3-9]|[2-9]\d)(-)(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\w/-]|[.,]\d)",
         _year_first, needs="-"),
    rule("due on 5/6 -> due on May sixth",
         rf"(?<![\w./-])(\d\d?)/(\d\d?)(?: ?{_DASH} ?(\d\d?)/(\d\d?))?(?![\w/%]|\.\d)", _short_date,
         needs="/"),
    rule("in 10/2024 -> in October twenty twenty four",
         r"(?<![\w./-])(0?[1-9]|1[0-2])/((?:19|20)\d\d)(?![\w/-]|\.\d)",
         lambda m: f"{MONTHS[int(m[1]) - 1]} {year(m[2])}", needs="/"),
    rule("May 2023–June 2024 -> May twenty twenty three to June twenty twenty four",
         rf"\b({_MONTH} \d{{4}}) ?{_DASH} ?(?={_MONTH} \d{{4}})", r"\1 to ",
         needs=(_IS_MONTH, "0-9")),
    rule("May 3rd - June 5th -> May third to June fifth",
         rf"\b({_MONTH} {_DAY}) ?{_DASH} ?(?={_MONTH} {_DAY})", r"\1 to ",
         needs=(_IS_MONTH, "0-9")),
    rule("From May 5-7 -> From May fifth to seventh",
         rf"\b({_MONTH}) ((?:the )?)({_DAY})(?: ?{_DASH} ?({_DAY}))?(?![\w%-]|[.,:/]\d)",
         _month_and_days, needs=(_IS_MONTH, "0-9")),
    rule("on 6 May -> on the sixth of May",
         rf"(?<![\w.,:/-])(?:[Tt]he )?({_DAY})(?: ?{_DASH} ?({_DAY}))?(?: of |[ -])({_MONTH})"
         rf"(?:-(\d{{4}})|(?=\W|$))(?!\d)",
         _days_and_month, needs=(_IS_MONTH, "0-9")),
    rule("on Jan-15-2020 -> on January fifteenth twenty twenty",
         rf"\b({_MONTH})-({_DAY})(?:-(\d{{4}}))?(?![\w-])",
         lambda m: f"{_month(m[1])} {_day(m[2])}" + (f" {year(m[3])}" if m[3] else ""),
         needs=(_IS_MONTH, "0-9")),
    rule("17 may 2010 -> the seventeenth of May twenty ten",
         rf"(?<![\w.,:/-])({_DAY}) (may|march|mar|dec|sep) (\d{{4}})(?!\w)",
         lambda m: f"the {_day(m[1])} of {_month(m[2])} {year(m[3])}", needs=(_IS_MONTH, "0-9")),
    rule("in May 1500 -> in May fifteen hundred",
         rf"\b({_MONTH}),? ([12]\d{{3}})(?![\w-]|[.,:/]\d)",
         lambda m: f"{_month(m[1])} {year(m[2])}", needs=(_IS_MONTH, "0-9")),
    rule("Psalm 23:4 -> Psalm twenty three four",
         rf"\b({_BOOKS}) (\d{{1,3}}):(\d{{1,3}})(?: ?[-–] ?(\d{{1,3}}))?(?![\w:])",
         lambda m: f"{m[1]} {cardinal(m[2])} {cardinal(m[3])}"
         + (f" to {cardinal(m[4])}" if m[4] else ""), needs=":"),
    rule("UTC+8 -> UTC plus eight", r"\b(UTC|GMT) ?([+-])(\d{1,2})(?::?(\d\d))?(?![\w:])",
         lambda m: f"{m[1]} {_offset(m[2], m[3], m[4])}", needs="UG"),
    rule("noon–3pm -> noon to three PM", r"\b([Nn]oon|[Mm]idnight) ?[-–] ?(?=\d)", r"\1 to ",
         needs=("–-", "0-9")),
    rule("Open 7:30~8:30 -> Open seven thirty to eight thirty",
         rf"{_NO_CLOCK_BEFORE}(2[0-4]|[01]?\d):([0-5]\d)(?: ?({_HALF}))? ?{_DASH} ?"
         rf"(2[0-4]|[01]?\d):([0-5]\d)(?: ?({_HALF}))?(?![\w:])", _clocks, needs=":"),
    rule("Open 8-9:30 or 4:30-5 -> Open eight to nine thirty or four thirty to five",
         rf"(?<![\w:.,/$£€¥-])(1?\d|2[0-4])(?::([0-5]\d))? ?{_DASH} ?(?=(1?\d|2[0-4])(:[0-5]\d)?"
         rf"(?![\w:%/-]| ?{_HALF}\b|[.,]\d))", _half_clocks, needs=":"),
    rule("9am-5pm -> nine AM to five PM",
         rf"(?<![\w:.,/$£€¥-])(1?\d|2[0-4])(?::([0-5]\d))?(?: ?({_HALF}))? ?{_DASH} ?"
         rf"(1?\d|2[0-4])(?::([0-5]\d))? ?({_HALF})(?!\w)", _hours,
         needs=after_digit(" ?[AaPp][Mm]")),
    rule("at 1.59 pm -> at one fifty nine PM",
         rf"(?<![\w.,:])(1?\d)\.([0-5]\d) ?({_HALF})\b", lambda m: clock(m[1], m[2], m[3]),
         needs=after_digit(" ?[AaPp][Mm]")),
    rule("at 14:30:15 -> at fourteen thirty and fifteen seconds",
         rf"{_NO_CLOCK_BEFORE}(2[0-4]|[01]?\d):([0-5]\d):([0-5]\d)(\.\d{{1,3}})?(?: ?({_HALF}))?"
         r"(?![\w:])", _clock_with_seconds, needs=":"),
    rule("in 3:45.67 -> in three forty five point six seven",
         r"(?<![\w:.,])(\d{1,2}):([0-5]\d)\.(\d{1,3})(?![\w:]|\.\d)",
         lambda m: f"{clock(m[1], m[2], bare=True)} point {spell(m[3])}", needs=":"),
    rule("at 8:05 am -> at eight o five AM",
         rf"{_NO_CLOCK_BEFORE}(?P<hour>2[0-4]|[01]?\d):(?P<minute>[0-5]\d)(?: ?(?P<half>{_HALF}))?"
         r"(?!(?!ish\b)\w|:|[.,]\d)", _clock, needs=":"),
    rule("at 3 pm -> at three PM", rf"(?<![\w.,:])(\d{{1,2}}) ?({_HALF})\b",
         lambda m: f"{cardinal(m[1])} {m[2].upper()}", needs=after_digit(" ?[AaPp][Mm]")),
    rule("at 1400 hours -> at fourteen hundred hours",
         r"(?i)\b((?:at|by|until|till|from|to|before|after|around|between|and) )([01]\d|2[0-4])("
         r"[0-5]\d)(?= ?(?:hours|hrs)\b)",
         lambda m: f"{m[1]}{'zero ' if m[2] < '10' else ''}{cardinal(m[2])} "
         f"{'hundred' if m[3] == '00' else cardinal(m[3])}", needs=after_digit(" ?(?i:hours|hrs)")),
    rule("run in 45:30 -> run in forty five thirty",
         r"\b((?:in|took|time of|takes?|lasted|ran|at|is|was) )(\d\d):([0-5]\d)(?![\w:])",
         _stopwatch, needs=":"),
    rule("odds of 10:1 -> odds of ten to one",
         r"(?<![\w:.,])\d{1,6}(?::\d{1,6}(?:,\d{3})*){1,3}(?![\w:])",
         lambda m: " to ".join(map(cardinal, m[0].split(":"))), needs=":"),
    rule("1h20m -> one hour twenty minutes", rf"(?<![\w.,])(?:{_D})?{_H} ?{_M}(?: ?{_S})?(?!\w)",
         _duration, needs=after_digit(" ?h")),
    rule("1h30 -> one hour thirty", r"(?<![\w.,])(\d{1,2})h([0-5]\d)(?!\w)",
         lambda m: f"{_count(m[1], 'hour')} {cardinal(m[2])}", needs=after_digit("h")),
    rule("5m 30s -> five minutes thirty seconds", rf"(?<![\w.,])()(){_M} ?{_S}(?!\w)", _duration,
         needs=after_digit(" ?s")),
    rule("3'20\" long -> three minutes twenty seconds long",
         r"(?<![\w.,])()()(\d{1,3})['′] ?([1-5]\d)(?<!'1[01])(?<! 1[01])[\"″](?!\w)", _duration,
         needs="'′"),
    rule("the 1960s-80s -> the nineteen sixties to eighties",
         r"\b((?:1[1-9]|20)\d0)s ?[-–] ?((?:1[1-9]|20)?\d0)s\b",
         lambda m: f"{plural(year(m[1]))} to {plural(year(m[2]))}", needs=after_digit("s")),
    rule("the 1990s -> the nineteen nineties", r"\b((?:1[1-9]|20)\d0)(?:['’]s|s)\b",
         lambda m: plural(year(m[1])), needs=after_digit("['’]?s")),
    rule("the 90s -> the nineties", r"(?<![\w.,$£€])(?<![ck]-)(['’])?([1-9]0)(['’](?=s))?s\b",
         _short_decade,
         needs=after_digit("['’]?s")),
    rule("the '00s -> the two thousands", r"(?<!\w)['’]00s\b", "two thousands",
         needs=after_digit("s")),
    rule("in 9.58s -> in nine point five eight seconds",
         r"(?<![\w.,$£€:])(?<![A-Za-z]-)(\d{1,4}|\d{1,4}\.\d{1,4})s(?!(?<=0s) of\b)(?!\w)",
         _seconds,
         needs=after_digit("s")),
    rule("hundreds: 100s of them -> hundreds: hundreds of them",
         rf"(?<![\w.,])({'|'.join(TENS_OF)})['’]?s(?= of\b)", lambda m: TENS_OF[m[1]],
         needs=after_digit("['’]?s")),
    rule("the '23-'24 season -> the twenty three to twenty four season",
         r"(?<!\w)['’](\d\d) ?[-–] ?['’](\d\d)(?![\w'’])",
         lambda m: f"{_end_of_range('', m[1])} to {_end_of_range('', m[2])}", needs="'’"),
    rule("the class of '99 -> the class of ninety nine",
         r"(?:(?<=[ (])|^)['’](\d\d)(?![\w'’]|[.,]\d)",
         lambda m: _end_of_range("", m[1]), needs="'’"),
    rule("the 2024-25 season -> the twenty twenty four to twenty five season",
         r"(?<![\w./-])((?:FY ?)?)((?:1[1-9]|20)\d\d)([-–/])((?:1[1-9]|20)\d\d|\d\d)"
         rf"(?![\w/-]|\.\d| ?{UNIT})",
         _years, needs="–/-"),
    rule("2500 BC -> twenty five hundred BC",
         r"(?<![\w.,])(\d{4})(?= ?(?:BCE?|CE|AD|B\.C\.|A\.D\.)(?!\w))", lambda m: year(m[1]),
         needs="BCA"),
    rule("in 1066 -> in ten sixty six",
         r"\b([Ii]n|[Ss]ince|[Uu]ntil|[Yy]ear|AD|[Ff]rom|[Bb]efore|[Aa]fter|[Cc]irca) (\d{4})"
         r"(?!\w|[.,]\d| ?[%$€])",
         _after_preposition,
         needs=(words("in|since|until|year|ad|from|before|after|circa"), "0-9")),
)
