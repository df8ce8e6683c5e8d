"""What the words beside a number say about it, in English."""

import re

# Words that follow an amount without being what it describes: the $5 he owes, a 5 km from here.
FUNCTION_WORDS = frozenset("""
    a about above across after again against ago all alone along already also although always am
    among an and any are around as at away back be became because become been before behind being
    below between both but by came can come comes could cover covers did do does down during each
    either else enough even ever every everyone extra far few for from further get gets go goes
    going gone got had has have he help helps her here hers him his how however i if in inside
    instead into is it its just last later least left less long made make makes many may maybe me
    might mine more most much must my near need needed needs never next no nor not now of off often
    on once one only onto or other our ours out outside over paid past pay pays per perhaps plus
    rather right said she should since so some soon still such than that the their theirs them
    then there these they this those though through throughout thus till to today together tomorrow
    tonight too toward towards under unless until up upon us very was we went were what whatever
    when whenever where whether which while who whole whom whose why will with within without
    would yesterday yet you your yours sometimes versus besides perhaps costs requires
    equals means upwards downwards weeks days hours minutes seconds months years times sits weighs
    high wide tall deep thick apart""".split())
# What an amount of money or a quantity often describes, also without an article.
DESCRIBED = (
    "bill|note|coin|banknote|fine|fee|ticket|deal|budget|prize|bonus|discount|coupon|gift card|"
    "bottle|can|bag|box|pack|jar|bulb|charger|battery|hard drive|drive|stick|card|cable|motor|"
    "engine|run|race|walk|hike|drive|sprint|swim|radius|screen|monitor|resistor|capacitor|dose|"
    "tablet|pill|steak|dumbbell|plate|journey|stretch|outlet|adapter|panel|tank|loan|bet|menu"
    "|shift|break|delay|notice|flight|workweek|window|limit|pipe|board|ruler|lens|pistol|clock"
    "|film|gun|bullet|rifle|ad|timer|mortgage|warranty")
_DESCRIBED = re.compile(rf"[ -](?:{DESCRIBED})s?\b", re.ASCII)
_ARTICLE = re.compile(
    r"(?i)(?:\b(?:an?|the|this|each|every|my|your|his|her|our|their|another|per|no)|(?<!\bit)"
    r"(?<!\bhe)(?<!she)(?<!that)(?<!what)(?<!here)(?<!who)(?<!let)(?<=\w)['’]s)"
    r"(?: [\w-]{2,20},)?(?: (?:new|small|big|large|huge|single|extra|full|standard|typical"
    r"|massive|whopping|annual|"
    r"monthly|nearly|roughly|about|over|mere|short|quick|long|easy|daily|minus|plus|second|"
    r"first|third))? $", re.ASCII)
_NEXT_WORD = re.compile(r" ([A-Za-z]+)", re.ASCII)


def before(match: re.Match[str], length: int = 40) -> str:
    """The text before a match, at most so many characters of it."""
    return match.string[max(0, match.start() - length):match.start()]


def after(match: re.Match[str], length: int = 40) -> str:
    """The text after a match, at most so many characters of it."""
    return match.string[match.end():match.end() + length]


def is_adjective(match: re.Match[str], plural: bool = True) -> bool:
    """Whether an amount describes what follows, and is said in the singular: a $5 bill, the 5 km
    run, but not the $5 he owes. `plural`: also where a plural follows without an article: two $5
    tickets."""
    following = after(match)
    if following[:1] not in (" ", "-"):
        return False
    if re.match("-[a-z]", following) or _DESCRIBED.match(following):
        return True
    next_word = _NEXT_WORD.match(following)
    if next_word is None or next_word[1].lower() in FUNCTION_WORDS:
        return False
    word = next_word[1]
    is_plural = word.endswith("s") and not word.endswith(("ss", "us", "ways"))
    if plural and is_plural and len(word) > 4:
        return True
    return _ARTICLE.search(before(match)) is not None


_PLURAL = re.compile(
    r" (?:(?:[a-z]+(?:ed|ing|al|ic|ous|ful|ese|ish|ive|an)|new|old|small|large|big|red|green|blue|"
    r"black|white|free|other|more|young|different) ){0,2}"
    r"(?:people|men|women|children|feet|teeth|mice|sheep|fish|cattle|police|staff|units?|"
    r"[a-z]{2,}[a-rt-z]s)\b(?<! this)(?<! was)(?<! has)(?<! his)(?<! its)(?<! does)(?<! always)"
    r"(?<! plus)(?<! thus)(?<! versus)(?<! perhaps)(?<! sometimes)(?<! besides)", re.ASCII)


def counts(match: re.Match[str]) -> bool:
    """Whether a number is followed by what it counts: 1234 people, 3 new users."""
    return _PLURAL.match(after(match)) is not None
