"""English: the words that are said for numbers and symbols. What a person reads aloud."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.text import numbers_en, roman_en, units_en
from sparktts_ms.text.normalize import normalize
from tests.text.test_normalize import cases

TABLE = """
dates
    Today is May 6, 2024. = Today is May sixth, twenty twenty four.
    It was on 6 May 2024. = It was on the sixth of May twenty twenty four.
    It was on the 6th of May. = It was on the sixth of May.
    The date is 2024-05-06. = The date is the sixth of May twenty twenty four.
    The date is 12/31/2023. = The date is the thirty first of December twenty twenty three.
    Jan. 1, Dec. 25th and July 4 = January first, December twenty fifth and July fourth
    From May 5-7, and in March 2020 = From May fifth to seventh, and in March twenty twenty
    Born in 1998, died in 2008. = Born in nineteen ninety eight, died in two thousand eight.
    In 1066, 1776 and 2010 = In ten sixty six, seventeen seventy six and twenty ten
    In 1900 and 1905 = In nineteen hundred and nineteen oh five
    In the 1990s, the 80s and 2020-2024 = \
In the nineteen nineties, the eighties and twenty twenty to twenty twenty four
times
    Meet at 3:30 pm or 8:05 a.m. = Meet at three thirty PM or eight o five AM.
    It ends at 5 p.m. Bring 2 pens. = It ends at five PM. Bring two pens.
    At 9:00 sharp, 14:30, 7pm = At nine o'clock sharp, fourteen thirty, seven PM
    Open 9am-5pm, 9:00-17:00 = Open nine AM to five PM, nine o'clock to seventeen o'clock
numbers
    Pi is 3.14159, half is 0.5 or .5 = \
Pi is three point one four one five nine, half is zero point five or point five
    2 cats, 22 birds, 2,000 ants = two cats, twenty two birds, two thousand ants
    1,234 people = one thousand two hundred and thirty four people
    1,005 of 10,000 = one thousand and five of ten thousand
    It is -5 degrees (-3.5). = It is minus five degrees (minus three point five).
    1/2 of it, 3/4 cup, 2 1/2 cups, 1½ = \
one half of it, three quarters cup, two and a half cups, one and a half
    1.5 billion, 3.5M users = one point five billion, three point five million users
per cent
    It grew by 12.5%. = It grew by twelve point five percent.
    5-10% or 5%–10 % = five to ten percent or five to ten percent
money
    It costs $5.99. = It costs five dollars and ninety nine cents.
    It costs $1,234.56! = \
It costs one thousand two hundred and thirty four dollars and fifty six cents!
    $1, $3 million, $5k, $1.5bn = \
one dollar, three million dollars, five thousand dollars, one point five billion dollars
    €30, £20.50, 20 €, 100 USD = \
thirty euros, twenty pounds and fifty pence, twenty euros, one hundred US dollars
    $5-10, -$5 = five to ten dollars, minus five dollars
units
    5 kg, 1 kg, 10 km, 180cm, 60 km/h = \
five kilograms, one kilogram, ten kilometers, one hundred and eighty centimeters, \
sixty kilometers per hour
    100 m, 10 m/s, 100 m² = one hundred meters, ten meters per second, one hundred square meters
    16GB, 2.5GHz, 220V, 2 hrs = \
sixteen gigabytes, two point five gigahertz, two hundred and twenty volts, two hours
    72°F, -40 °C, 25° = \
seventy two degrees Fahrenheit, minus forty degrees Celsius, twenty five degrees
    He is 5'11" tall. = He is five foot eleven tall.
telephone
    Call 555-1234. = Call five five five, one two three four.
    Call (555) 123-4567. = Call five five five, one two three, four five six seven.
    Call +1 555 123 4567. = Call plus one, five five five, one two three, four five six seven.
    Call 1-800-555-0199. = Call one, eight hundred, five five five, zero one nine nine.
    Dial 911 now = Dial nine one one now
ordinals
    The 1st, 2nd, 3rd, 21st and 100th. = The first, second, third, twenty first and one hundredth.
    The 21st-century #1, No. 5 = The twenty first century number one, number five
ranges and scores
    5-10 people, pages 10–20, 1.5-2.5 = \
five to ten people, pages ten to twenty, one point five to two point five
    Won 3-2, ratio 10:1, 24/7 = Won three to two, ratio ten to one, twenty four seven
signs
    3 + 5 = 8, 10 × 2 = 20, x = 3 = \
three plus five equals eight, ten times two equals twenty, x equals three
    5>3, ~20, ±5, 2^8 = \
five is greater than three, about twenty, plus or minus five, two to the power of eight
    Tom & Jerry, R&D, C++ = Tom and Jerry, R and D, C plus plus
    Version 2.5.1, v1.0, 192.168.1.1 = \
Version two point five point one, version one point oh, \
one nine two dot one six eight dot one dot one
    Mail abc@example.com or see https://example.com/x1. = \
Mail abc at example dot com or see example dot com slash x one.
names
    COVID-19, iPhone 15, MP3, B2B, F-16 = \
COVID-nineteen, iPhone fifteen, MP three, B two B, F-sixteen
    a 20-minute walk, a 10-year-old = a twenty minute walk, a ten year-old
"""

KINDS = """
scores and ratios
    They won 112-108. = They won one hundred and twelve to one hundred and eight.
    A 21–19 win, a 0-0 draw. = A twenty one to nineteen win, a zero to zero draw.
    The score was 21:19. = The score was twenty one to nineteen.
    An aspect ratio of 16:9, odds of 100:1 = \
An aspect ratio of sixteen to nine, odds of one hundred to one
    A 4-4-2 formation and a 50-50 chance = A four four two formation and a fifty fifty chance
    It is a 1-on-1 and a 2-for-1 deal. = It is a one on one and a two for one deal.
    John 3:16 and Psalm 23:4 = John three sixteen and Psalm twenty three four
ranges
    Open 7:30~8:30 and 10:00 – 11:45. = \
Open seven thirty to eight thirty and ten o'clock to eleven forty five.
    From 9:30-11 am, 7-8 pm = From nine thirty to eleven AM, seven to eight PM
    pp. 5-9, pages 100-1200 = pages five to nine, pages one hundred to twelve hundred
    aged 18-24, 5- to 10-year-olds = aged eighteen to twenty four, five to ten year-olds
    20-25°C, 20°–25°C, -5 to 5 °C = twenty to twenty five degrees Celsius, \
twenty to twenty five degrees Celsius, minus five to five degrees Celsius
    May 5–7, 5–7 May, Jan-Mar, Mon-Fri = \
May fifth to seventh, the fifth to the seventh of May, Jan to Mar, Mon to Fri
    $10k-20k, $5M–$10M, £3m-£5m, $500-1k = ten to twenty thousand dollars, \
five to ten million dollars, three to five million pounds, five hundred to one thousand dollars
    5–10 kg, 5%–10 %, 10k-20k = five to ten kilograms, five to ten percent, \
ten thousand to twenty thousand
    2019–present, 9–noon = twenty nineteen to present, nine to noon
seasons and years
    The 2024-25 season, the 2023/24 one = \
The twenty twenty four to twenty five season, the twenty twenty three to twenty four one
    From 1998-2004, in 1999-2000 = From nineteen ninety eight to two thousand four, \
in nineteen ninety nine to two thousand
    Caesar died in 44 BC, Vesuvius in AD 79. = \
Caesar died in forty four BC, Vesuvius in AD seventy nine.
    From 2500 BC to 300 BCE = From twenty five hundred BC to three hundred BCE
    The '90s, mid-1980s and 1990s' = The nineties, mid-nineteen eighties and nineteen nineties'
    in his 30s, the 60's, the 1960's = in his thirties, the sixties, the nineteen sixties
    80s music in the early 2000s = eighties music in the early two thousands
    the class of '99, summer of '05 = the class of ninety nine, summer of oh five
    1500 people in 1500, 1234 votes = fifteen hundred people in fifteen hundred, \
one thousand two hundred and thirty four votes
codes
    My PIN is 0420, the code is 12-34. = \
My PIN is zero four two zero, the code is one two dash three four.
    Card 4111 1111 1111 1111 = Card four one one one, one one one one, one one one one, one one one one
    Order #12345, order number 0042 = \
Order number one two three four five, order number zero zero four two
    Tracking number: 1Z999AA1 = Tracking number: one Z nine nine nine AA one
    ISBN 978-3-16-148410-0 = ISBN nine seven eight, three, one six, one four eight four one zero, zero
    ZIP code 90210, Boston, MA 02134 = \
ZIP code nine zero two one zero, Boston, MA zero two one three four
    My SSN is 123-45-6789. = My SSN is one two three, four five, six seven eight nine.
    Agent 007 has 05 cars. = Agent zero zero seven has zero five cars.
    flight BA287, case 2024-001 = flight BA two eighty seven, \
case two zero two four dash zero zero one
    a card ending in 4242, postcode SW1A 1AA = \
a card ending in four two four two, postcode SW one A one AA
telephone
    Call +44 20 7946 0958. = Call plus four four, two zero, seven nine four six, zero nine five eight.
    Ring 020 7946 0958 or 07700 900123. = Ring zero two zero, seven nine four six, \
zero nine five eight or zero seven seven zero zero, nine zero zero one two three.
    Call 1-800-FLOWERS or 1-800-GO-FEDEX. = \
Call one, eight hundred, FLOWERS or one, eight hundred, GO, FEDEX.
    555.123.4567, 555 123 4567, 1 (800) 555-0199 = five five five, one two three, \
four five six seven, five five five, one two three, four five six seven, one, eight hundred, \
five five five, zero one nine nine
    Fax: 555-0199 ext. 12 = Fax: five five five, zero one nine nine extension one two
    Tel. 01 23 45 67 89 = Tel. zero one, two three, four five, six seven, eight nine
    Dial 9-1-1, a 911 call, 911 people = \
Dial nine one one, a nine one one call, nine hundred and eleven people
    They called 112 people and 112. = They called one hundred and twelve people and one hundred and twelve.
rooms and addresses
    Room 1208, room 101, Suite 300 = Room twelve oh eight, room one oh one, Suite three hundred
    221B Baker Street, Apt 4B, Gate B12 = two twenty one B Baker Street, Apt four B, Gate B twelve
    at 350 5th Ave, 1600 Pennsylvania Avenue = \
at three fifty fifth Avenue, sixteen hundred Pennsylvania Avenue
    Rooms 101-110, Highway 101, Route 66 = \
Rooms one oh one to one ten, Highway one oh one, Route sixty six
models
    RTX 4090, Boeing 737-800, Porsche 911 = \
RTX forty ninety, Boeing seven thirty seven eight hundred, Porsche nine eleven
    iPhone 15 Pro, F-16, A320, GPT-4o = iPhone fifteen Pro, F-sixteen, A three twenty, GPT-four o
    H2O, H₂O, CO₂, B2B, MP3, Windows 11 = H two O, H two O, CO two, B two B, MP three, Windows eleven
    two 747s, PM2.5, GPT-3.5, 1080p, 5G = two seven forty sevens, PM two point five, \
GPT-three point five, ten eighty p, five G
    705A, 5090D, i7-13700K, 802.11ac = seven oh five A, fifty ninety D, \
i seven-one three seven zero zero K, eight oh two dot eleven ac
money
    US$5, A$5, C$2.50, HK$10, NZ$1 = five US dollars, five Australian dollars, \
two Canadian dollars and fifty cents, ten Hong Kong dollars, one New Zealand dollar
    £5.50, €1.2bn, ¥500, ₹99, 5 € = five pounds and fifty pence, one point two billion euros, \
five hundred yen, ninety nine rupees, five euros
    €1.234,56, €5,50, 1.234,56 € = one thousand two hundred and thirty four euros and fifty six cents, \
five euros and fifty cents, one thousand two hundred and thirty four euros and fifty six cents
    $5/hr, $10 / month, $3/kg = five dollars per hour, ten dollars per month, three dollars per kilogram
    99¢, 1¢, 50p, $.99 = ninety nine cents, one cent, fifty pence, ninety nine cents
    the $5 lego, a $20 bill, two $5 tickets = \
the five dollar lego, a twenty dollar bill, two five dollar tickets
    a $3.5-million deal, the $5 he owes = a three point five million dollar deal, \
the five dollars he owes
    EUR 20, USD 5 million, 20 CHF, RMB 100 = twenty euros, five million US dollars, \
twenty Swiss francs, one hundred yuan
    It costs $5 today, $100+, -$5. = It costs five dollars today, one hundred plus dollars, \
minus five dollars.
large numbers
    1,000.50, 1 000 000, 45 500 people = one thousand point five zero, one million, \
forty five thousand five hundred people
    Our 1,000th, 1'000'000, 1,00,000 = Our one thousandth, one million, one hundred thousand
    1.6k of 10k, 2B views, 30,000+ = one point six thousand of ten thousand, two billion views, \
thirty thousand plus
    a 4K video, a 10k run, 5K followers = a four K video, a ten K run, five thousand followers
    1.5x faster, 10x, 3x4 m = one point five times faster, ten times, three by four meters
    1920x1080, a 3 x 5 card, 3 × 4 = 12 = nineteen twenty by ten eighty, a three by five card, \
three times four equals twelve
units
    5 μg, 5 µm, 10 kΩ, 2 MΩ, 5 mL, 20 kPa = five micrograms, five micrometers, ten kilohms, \
two megohms, five milliliters, twenty kilopascals
    5 kWh, 3000 mAh, 10 MB/s, 100 Mbps = five kilowatt hours, three thousand milliamp hours, \
ten megabytes per second, one hundred megabits per second
    5 mg/dL, 2 kg/m³, 9.8 m/s², 6 L/100 km = five milligrams per deciliter, \
two kilograms per cubic meter, nine point eight meters per second squared, \
six liters per one hundred kilometers
    400 ppm, 30 psi, 60 fps, 72 bpm = four hundred parts per million, \
thirty pounds per square inch, sixty frames per second, seventy two beats per minute
    6'2", 6 ft 2 in, 5 sq ft, 3 oz. of it = six foot two, six feet two inches, \
five square feet, three ounces of it
    a 5 km run, a 5-km run, a 16GB stick = \
a five kilometer run, a five kilometer run, a sixteen gigabyte stick
    a 27" monitor, 1/2 kg, a 5 km from here = a twenty seven inch monitor, one half kilogram, \
a five kilometers from here
    40.7° N, 40°42'46"N = forty point seven degrees north, \
forty degrees forty two minutes forty six seconds north
durations
    90s, 1h20m, 5m 30s, 1h30, 2hrs = ninety seconds, one hour twenty minutes, \
five minutes thirty seconds, one hour thirty, two hours
    in 9.58s, 3'20" long, a 30s timer = in nine point five eight seconds, \
three minutes twenty seconds long, a thirty second timer
dates and times
    2024-05-06T14:30:00Z = the sixth of May twenty twenty four, fourteen thirty
    2024-05-06T08:05:09 = the sixth of May twenty twenty four, eight o five and nine seconds
    2024-05-06T10:00:05 = the sixth of May twenty twenty four, ten o'clock and five seconds
years of two digits
    On 24-05-06 or 99-12-31. = \
On the sixth of May twenty twenty four or the thirty first of December nineteen ninety nine.
    sort code 20-05-06 = sort code two zero dash zero five dash zero six
powers with signs
    2⁵=32 = two to the power of five equals thirty two
    a²+b²=c² = a squared plus b squared equals c squared
    10³+1=1001 = ten cubed plus one equals one thousand and one
numbers not to be called
    Dial 911, not 912. = Dial nine one one, not nine one two.
    Call 112, never 113. = Call one one two, never one one three.
    It is 5, not 912. = It is five, not nine hundred and twelve.
    06.05.2024, 5/6/24, 31/12/2023 = the sixth of May twenty twenty four, \
the sixth of May twenty twenty four, the thirty first of December twenty twenty three
    on 5/6, due 12/25, 2024-05 = on May sixth, due December twenty fifth, May twenty twenty four
    at 14:30:15, UTC+8, GMT-5 = at fourteen thirty and fifteen seconds, UTC plus eight, GMT minus five
    It took 2:03:59. = It took two hours three minutes and fifty nine seconds.
    9:05am, 12:00 noon, 1400 hours = nine o five AM, twelve noon, fourteen hundred hours
    Sept. 11, 9/11, 6-May-2024, 6 May. = September eleventh, nine eleven, \
the sixth of May twenty twenty four, the sixth of May.
signs
    x ≥ 60, n ≠ 0, a < b, BMI ≥ 30 = x is greater than or equal to sixty, \
n is not equal to zero, a is less than b, BMI is greater than or equal to thirty
    in >30 places, <5 minutes, ≈5 = in more than thirty places, less than five minutes, \
approximately five
    10³, x², 10⁶, 10⁻³, √9 = ten cubed, x squared, ten to the power of six, \
ten to the power of minus three, the square root of nine
    2+2=4, 10÷2=5, 10/2 = 5, 5! = 120 = two plus two equals four, ten divided by two equals five, \
ten divided by two equals five, five factorial equals one hundred and twenty
    an A+, a B-, C#, -5, 3 @ $2 = an A plus, a B minus, C sharp, minus five, three at two dollars
    0.5%, -3 %, 50%+, 3‰ = zero point five percent, minus three percent, fifty percent plus, \
three per mille
    the 3/4 mark, 2/3rds, 8/10 rating, rated 8/10 = the three quarters mark, two thirds, \
eight tenths rating, rated eight out of ten
    120/80, 7.5/10 stars = one hundred and twenty over eighty, seven point five out of ten stars
Roman numerals
    Henry VIII, Louis XIV, Queen Elizabeth I = \
Henry the eighth, Louis the fourteenth, Queen Elizabeth the first
    World War II, Chapter IV, Part III, Type II = \
World War two, Chapter four, Part three, Type two
    Super Bowl LVIII, Rocky IV, World War I = Super Bowl fifty eight, Rocky four, World War one
    Chapters IV-VI, type I and II, the XIX century = Chapters four to six, type one and two, \
the nineteenth century
    I think Part I was fun. = I think Part one was fun.
hosts and files
    Open localhost:7860. = Open localhost colon seven eight six zero.
    example.com:8080, github.com/x/y = example dot com colon eight zero eight zero, \
github dot com slash x slash y
    192.168.1.1:80, C:\\x, README.md = one nine two dot one six eight dot one dot one \
colon eight zero, C colon backslash x, README dot md
abbreviations
    p. 5, vol. 3, Fig. 2.1, ch. 4, § 5 = \
page five, volume three, Figure two point one, chapter four, section five
    approx. 5, No. 5, c. 1850, 5 vs. 3 = \
approximately five, number five, circa eighteen fifty, five versus three
    Dr. Lee and Prof. Wu on Mt. Fuji = Doctor Lee and Professor Wu on Mount Fuji
versions
    Python 3.12, iOS 17.4.1, USB 3.0 = Python three point twelve, \
iOS seventeen point four point one, USB three point zero
names of numbers
    401(k), 501(c)(3), error 404, Form 1040 = \
four oh one k, five oh one c three, error four oh four, Form ten forty
    7-Eleven, 3-in-1, 24/7, 9-to-5 = seven Eleven, three in one, twenty four seven, nine to five
further sentences
    He finished in 45:30; a 45-12 win. = He finished in forty five thirty; a forty five to twelve win.
    A 2.5-3x rise, 10k-15k, 2x/day = A two point five to three times rise, \
ten thousand to fifteen thousand, two times per day
    $50.25-$60.75, a $20/month plan = fifty dollars and twenty five cents to \
sixty dollars and seventy five cents, a twenty dollar per month plan
    $100 USD, $1 = €0.92, ~$5, 50c = one hundred US dollars, one dollar equals ninety two cents, \
about five dollars, fifty cents
    0.5 mg/kg/day, 10 ft x 12 ft, 8½ x 11 in = zero point five milligrams per kilogram per day, \
ten by twelve feet, eight and a half by eleven inches
    3/4" bolts, 1.5" x 3.5", a 4'x8' sheet = three quarters inch bolts, \
one point five by three point five inches, a four by eight foot sheet
    3.0×10⁸ m/s, 100 million kg, 5 per km = three point zero times ten to the power of eight \
meters per second, one hundred million kilograms, five per kilometer
    α = 0.05, Δt, ±0.5 mm, 50% ± 3% = alpha equals zero point zero five, delta t, \
plus or minus zero point five millimeters, fifty percent plus or minus three percent
    Jan-15-2020, SEPT. 15, 25 july 2012, 10/2024 = January fifteenth twenty twenty, \
September fifteenth, the twenty fifth of July twenty twelve, October twenty twenty four
    at 1.59 pm, the 1960s-80s, FY2024/25 = at one fifty nine PM, the nineteen sixties to eighties, \
FY twenty twenty four to twenty five
    May 3 people enter? At 0900 hours. = May three people enter? At zero nine hundred hours.
    a year ending in 2024, fax 20 pages = a year ending in twenty twenty four, fax twenty pages
    Call us on 1300 655 506, text 12 people = \
Call us on one three zero zero, six five five, five zero six, text twelve people
    Text STOP to 12345, call 112 or 911 = \
Text STOP to one two three four five, call one one two or nine one one
    two F-16s, under-18s, size 8s, the 5s = two F-sixteens, under-eighteens, size eights, the fives
    12 N Main St, Room 5, order no. 12 = \
twelve North Main Street, Room five, order number twelve
    The file is 4.7 GB, an area 120 m² wide = The file is four point seven gigabytes, \
an area one hundred and twenty square meters wide
    C++11, ESPN+, 4/4 time, rated 4.5/5 = C plus plus eleven, ESPN plus, four four time, \
rated four point five out of five
    He said "5" and left. = He said "five" and left.
    Flight DL 1402 boards, our line is 555 0134 = Flight DL fourteen oh two boards, \
our line is five five five, zero one three four
    The 70s and 80s; a 30s ad; 15s of fame = The seventies and eighties; a thirty second ad; \
fifteen seconds of fame
    A two-year, $10 million contract. = A two-year, ten million dollar contract.
    It's 5° warmer, it is 20C, -40°C/-40°F = It's five degrees warmer, it is twenty degrees Celsius, \
minus forty degrees Celsius/minus forty degrees Fahrenheit
    1⅔ cups, ⅛ tsp, 2,5 kg = one and two thirds cups, one eighth teaspoon, two point five kilograms
    x² - 2x - 1 = 0, 1/2 + 1/4 = 3/4 = x squared minus two x minus one equals zero, \
one half plus one quarter equals three quarters
    S02E05, Q1-Q3, H.264, V8, v8.1 = season two episode five, Q one to Q three, \
H dot two sixty four, V eight, version eight point one
    3x3x3, 8-9:30, 4:30-5, 8½ x 11, a 3x3x3 cube = three times three times three, \
eight to nine thirty, four thirty to five, eight and a half by eleven, a three by three by three cube
    two $5s, ten 10s, the '00s, 1st-4th = two fives, ten tens, the two thousands, first to fourth
    May the 4th, noon–3pm, 3:45.67 = May the fourth, noon to three PM, three forty five point six seven
    Final Fantasy VII, VIII and IX = Final Fantasy seven, eight and nine
    Robert V. Smith saw Henry V. He won. = Robert V. Smith saw Henry the fifth. He won.
    Charles I and Charles II ruled. = Charles the first and Charles the second ruled.
    Wait...5 more, 5ish, the 5pm train = Wait...five more, five ish, the five PM train
    Part II and type Ⅳ; the XXIst = Part two and type four; the twenty first
"""  # noqa: E501

UNCHANGED = """
    The quick brown fox jumps over the lazy dog.
    I think that Malcolm X liked vitamin C, CDs and a DIV.
    MIX the LCD and the CIVIC; I, Claudius was XXL.
    An IV drip, the VI editor, and Part of it.
    Dr., Mr. and Mrs. Green left; St. was short for it, vs. too.
    "Wait..." - she said (no!) -- #MeToo; rock 'n' roll, 'tis so.
    A -> B, <b>bold</b>, a_b, x.y, e.g. this, i.e. that, etc.
    Mary and Henry. Henry I know well; the part I like, chapter after chapter.
    Well-known, self-made people... Mon amour, May I? Sat on it.
"""



@pytest.mark.parametrize("written, spoken", [*cases(TABLE), *cases(KINDS)])
def test_normalize_english(written, spoken):
    assert normalize(written) == spoken


@pytest.mark.parametrize("written, spoken", [*cases(TABLE), *cases(KINDS)])
def test_normalize_english_is_idempotent(written, spoken):
    assert normalize(spoken) == spoken


@pytest.mark.parametrize("text", [line.strip() for line in UNCHANGED.strip().splitlines()])
def test_text_with_nothing_to_normalize_is_unchanged(text):
    assert normalize(text) == text


@pytest.mark.parametrize("number, spoken", [
    ("0", "zero"), ("13", "thirteen"), ("40", "forty"), ("101", "one hundred and one"),
    ("1,000", "one thousand"), ("1023", "one thousand and twenty three"),
    ("110,000", "one hundred ten thousand"), ("1000001", "one million one"),
    ("999,999", "nine hundred ninety nine thousand nine hundred and ninety nine"),
    ("2000000000000", "two trillion"), ("1" + "0" * 15, "one" + " zero" * 15)])
def test_cardinal(number, spoken):
    assert numbers_en.cardinal(number) == spoken


@pytest.mark.parametrize("number, spoken", [
    ("1", "first"), ("5", "fifth"), ("12", "twelfth"), ("20", "twentieth"), ("21", "twenty first"),
    ("100", "one hundredth"), ("1,001", "one thousand first"), ("1000000", "one millionth")])
def test_ordinal(number, spoken):
    assert numbers_en.ordinal(number) == spoken


@pytest.mark.parametrize("number, spoken", [
    ("476", "four hundred and seventy six"), ("1066", "ten sixty six"), ("1500", "fifteen hundred"),
    ("1905", "nineteen oh five"), ("2000", "two thousand"), ("2009", "two thousand nine"),
    ("2010", "twenty ten"), ("2100", "twenty one hundred")])
def test_year(number, spoken):
    assert numbers_en.year(number) == spoken


def test_every_cardinal_can_be_read_back():
    words = {word: value for value, word in enumerate([*numbers_en.DIGITS, *numbers_en.TEENS])}
    words |= {word: 10 * tens for tens, word in enumerate(numbers_en.TENS, start=2)}
    scales = {word: 1000**power for power, word in enumerate(numbers_en.SCALES, start=1)}
    for number in (*range(0, 3000), *range(10**5, 10**15, 10**15 // 997)):
        total = group = 0
        for word in numbers_en.cardinal(str(number)).replace(" and ", " ").split():
            if word == "hundred":
                group *= 100
            elif word in scales:
                total += group * scales[word]
                group = 0
            else:
                group += words[word]
        assert total + group == number


@given(st.integers(1, 399))
def test_roman_numerals(number):
    numeral = ""
    rest = number
    for value, letters in ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"),
                           (5, "V"), (4, "IV"), (1, "I")):
        numeral += letters * (rest // value)
        rest %= value
    assert roman_en.value(numeral) == str(number)


@pytest.mark.parametrize("unit, one, many", [
    ("kg", "kilogram", "kilograms"), ("ft", "foot", "feet"), ("kΩ", "kilohm", "kilohms"),
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("kg/m³", "kilogram per cubic meter", "kilograms per cubic meter"),
    ("in²", "square inch", "square inches"),
    ("mg/kg/day", "milligram per kilogram per day", "milligrams per kilogram per day"),
    ("Hz", "hertz", "hertz")])
def test_unit_names(unit, one, many):
    assert re.fullmatch(units_en.UNIT, unit)
    assert units_en.unit_name(unit, is_one=True) == one
    assert units_en.unit_name(unit, is_one=False) == many


@pytest.mark.parametrize("unit", ["1", "1-", "$1", "1/", "'5", "555-123-4567 ", "1.5 kg, "])
def test_time_is_linear_in_length(unit):
    def seconds(length):
        text = (unit * length)[:length]
        times = []
        for _ in range(2):
            begin = time.process_time()
            normalize(text, "en")
            times.append(time.process_time() - begin)
        return min(times)

    seconds(500)
    assert seconds(6_000) < 12 * seconds(1_000)
