"""English names of units of measurement. `unit_name` gives that of any symbol UNIT matches."""

import re

# Symbols, comma-separated: what is said for one of it; for many, where that has not just an s.
NAMES = """
ft: foot|feet
yd, yds: yard
mi: mile
nmi: nautical mile
lb, lbs: pound
oz: ounce
fl oz, fl. oz: fluid ounce
gal: gallon
qt: quart
tbsp: tablespoon
tsp: teaspoon
ha: hectare
sq ft, sq. ft, sqft: square foot|square feet
sq mi: square mile
sq m, sqm: square meter
sq km: square kilometer
sq in: square inch|square inches
sq yd: square yard
cu ft: cubic foot|cubic feet
cu in: cubic inch|cubic inches
cu m: cubic meter
cc: cc|cc
h, hr, hrs: hour
min, mins: minute
sec, secs: second
wk, wks: week
mos: month
yr, yrs: year
yo, y/o: year old|year old
ly: light year
Hz, hz: hertz|hertz
kHz, KHz, khz: kilohertz|kilohertz
MHz, Mhz, mhz: megahertz|megahertz
GHz, Ghz, ghz: gigahertz|gigahertz
THz: terahertz|terahertz
dB, dBA, db: decibel
lm: lumen
lx: lux|lux
atm: atmosphere
Å: angstrom
hp: horsepower|horsepower
psi, PSI: pound per square inch|pounds per square inch
mmHg: millimeter of mercury|millimeters of mercury
ppm: part per million|parts per million
ppb: part per billion|parts per billion
mph, MPH: mile per hour|miles per hour
kph, kmh: kilometer per hour|kilometers per hour
mpg: mile per gallon|miles per gallon
rpm, RPM: revolution per minute|revolutions per minute
fps, FPS: frame per second|frames per second
bpm, BPM: beat per minute|beats per minute
dpi, DPI: dot per inch|dots per inch
ppi: pixel per inch|pixels per inch
px: pixel
MP: megapixel
pts: point
bp, bps: basis point
KG, Kg, kgs: kilogram
KM, kms: kilometer
ML: milliliter
CM: centimeter
MM: millimeter
mcg: microgram
gb, Gb: gigabit
mb, Mb: megabit
kb, Kb: kilobit
tb: terabyte
Gbps, Gbit/s: gigabit per second|gigabits per second
Mbps, mbps, Mbit/s: megabit per second|megabits per second
kbps, Kbps, kbit/s: kilobit per second|kilobits per second
GiB: gibibyte
MiB: mebibyte
KiB: kibibyte
TiB: tebibyte
KWh, kwh, KWH: kilowatt hour
kVA: kilovolt amp
Nm, N·m, N⋅m: newton meter
°C, ° C: degree Celsius|degrees Celsius
°F, ° F: degree Fahrenheit|degrees Fahrenheit
°: degree
"""
MICRO = {"n": "nano", "μ": "micro", "m": "milli"}
KILO = {"k": "kilo", "M": "mega", "G": "giga", "T": "tera"}
# Symbols of the International System with their prefixes; "" is the unit without one.
PREFIXED = {
    "m": ("meter", {**MICRO, "": "", "c": "centi", "d": "deci", "k": "kilo"}),
    "g": ("gram", {**MICRO, "": "", "k": "kilo"}),
    "L": ("liter", {**MICRO, "": "", "c": "centi", "d": "deci"}),
    "l": ("liter", {**MICRO, "": "", "c": "centi", "d": "deci"}),
    "s": ("second", MICRO),
    "V": ("volt", {**MICRO, "": "", "k": "kilo", "M": "mega"}),
    "W": ("watt", {**MICRO, "": "", **KILO}),
    "A": ("amp", {**MICRO, "k": "kilo"}),
    "F": ("farad", {**MICRO, "p": "pico"}),
    "Ω": ("ohm", {"m": "milli", "": "", "k": "kilo", "M": "mega"}),
    "J": ("joule", {"": "", "m": "milli", **KILO}),
    "N": ("newton", {"m": "milli", "k": "kilo", "M": "mega"}),
    "Pa": ("pascal", {"": "", "h": "hecto", **KILO}),
    "bar": ("bar", {"": "", "m": "milli"}),
    "eV": ("electronvolt", {"": "", **KILO}),
    "cal": ("calorie", {"": "", "k": "kilo"}),
    "Wh": ("watt hour", {"": "", "m": "milli", **KILO}),
    "Ah": ("amp hour", {"": "", "m": "milli"}),
    "B": ("byte", {**KILO, "K": "kilo", "P": "peta"}),
    "mol": ("mole", {**MICRO, "": "", "k": "kilo"}),
    "Sv": ("sievert", MICRO),
    "T": ("tesla", MICRO),
}
LENGTHS = "m cm mm km ft yd mi in".split()
POWERS = {"²": "square", "^2": "square", "2": "square", "³": "cubic", "^3": "cubic", "3": "cubic"}
DENOMINATORS = {
    "s": "second", "s²": "second squared", "s^2": "second squared", "hr": "hour", "in": "inch",
    "mo": "month", "d": "day", "gal": "gallon", "wk": "week", "y": "year", "a": "year"}


def _units() -> dict[str, tuple[str, str]]:
    units = {}
    for symbol, (name, prefixes) in PREFIXED.items():
        for prefix, prefix_name in prefixes.items():
            full = (prefix_name + name).replace("kiloohm", "kilohm").replace("megaohm", "megohm")
            units[prefix + symbol] = (full, f"{full}s")
    for line in NAMES.strip().splitlines():
        symbols, _, names = line.partition(": ")
        one, _, many = names.partition("|")
        for symbol in symbols.split(", "):
            units[symbol] = (one, many or f"{one}s")
    for length in LENGTHS:
        one, many = units.get(length, ("inch", "inches"))
        for power, name in POWERS.items():
            units[length + power] = (f"{name} {one}", f"{name} {many}")
    return units


UNITS = _units()
_SYMBOL = "|".join(re.escape(symbol) for symbol in sorted(UNITS, key=len, reverse=True))
_DENOMINATOR = "|".join(map(re.escape, sorted({*UNITS, *DENOMINATORS}, key=len, reverse=True)))
# A unit, or one for each of another: km/h, mg/dL, L/100 km, mg/day.
UNIT = (
    rf"(?:{_SYMBOL})(?:/(?:\d{{1,4}} ?)?(?:(?:{_DENOMINATOR})(?!\w)|(?!minus|plus|and\b|about)"
    rf"[a-z]{{3,12}}\b)){{0,2}}"
    r"(?![\w²³])")


def unit_name(unit: str, is_one: bool) -> str:
    """kg -> kilogram if `is_one`, else kilograms; km/h -> kilometers per hour."""
    if unit in UNITS:
        return UNITS[unit][0 if is_one else 1]
    numerator, *denominators = unit.split("/")
    name = UNITS[numerator][0 if is_one else 1]
    for denominator in denominators:
        symbol = denominator.lstrip("0123456789 ")
        count = denominator[:len(denominator) - len(symbol)].strip()
        name += f" per {f'{count} ' if count else ''}{unit_per(symbol, is_one=not count)}"
    return name


def unit_per(symbol: str, is_one: bool = True) -> str:
    """What is said after per: hr -> hour, m³ -> cubic meter, day -> day."""
    if symbol in DENOMINATORS:
        return DENOMINATORS[symbol]
    return UNITS[symbol][0 if is_one else 1] if symbol in UNITS else symbol
