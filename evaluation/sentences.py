"""English sentences from a small grammar: (text as written, words as spoken). Seeded; held-out ones never occur in training."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from pathlib import Path

PEOPLE = """my mother| my father| my sister| my brother| the teacher| the doctor| the captain| the farmer| the driver| the
singer| the painter| the writer| the nurse| the judge| the baker| the king| the queen| the old man| the young woman| the
little boy| the little girl| our neighbour| your friend| his uncle| her aunt| their cousin| the president| the manager| the
student| the soldier| the sailor| the pilot| the lawyer| the engineer| the artist| the reporter| the officer| the children|
everybody| nobody| somebody| the visitors| the workers| the players| John| Mary| Peter| Susan| David| Anna| Robert| Helen|
Thomas| Alice| George| Laura| Michael| Sarah| William| Emma| Henry| Julia| Daniel| Martha| Frank| Linda| Paul| Nancy| James|
Karen| the guide| the clerk| the waiter| the poet| the prince| the hunter| the gardener| the mayor| the girl next door| the
man from the village| the woman in the red coat| the other team| a friend of mine| the director| the editor| the secretary|
the owner of the house| the professor| the dancer| the thief| a stranger| the committee| the company| the government| the
crowd| the whole family| an old friend| the chairman| the customer| the tourist| the detective"""
THINGS = """book| letter| house| garden| table| window| door| car| bicycle| train| boat| bridge| road| river| mountain|
picture| song| story| question| answer| problem| machine| computer| telephone| camera| radio| newspaper| ticket| map| box|
bottle| cup| knife| plate| coat| hat| shoe| shirt| jacket| umbrella| bag| basket| candle| lamp| clock| watch| key| coin| ring|
chair| bed| blanket| mirror| carpet| kitchen| bathroom| roof| wall| tower| castle| church| school| hospital| station| airport|
hotel| restaurant| market| shop| factory| office| library| museum| theater| park| forest| field| farm| beach| island| lake|
valley| desert| village| city| street| corner| horse| dog| cat| bird| fish| sheep| cow| chicken| rabbit| mouse| lion| tiger|
elephant| monkey| snake| spider| flower| tree| leaf| apple| orange| lemon| banana| potato| tomato| onion| carrot| cake|
sandwich| soup| cheese| butter| bread| sugar| coffee| tea| water| milk| wine| juice| breakfast| dinner| lunch| paper| pencil|
pen| ruler| hammer| nail| rope| wheel| engine| battery| plan| idea| secret| promise| mistake| accident| journey| holiday|
birthday| party| wedding| meeting| lesson| exam| contract| report| message| number| price| program| project| document|
package| present| treasure| weapon| flag| drum| guitar| piano| violin| statue| painting| curtain| ladder| fence| gate| tunnel|
harbor| ship| truck| bus| airplane| rocket| planet| moon| star| cloud| storm| fire"""
ADJECTIVES = """big| small| old| new| young| long| short| high| low| heavy| light| dark| bright| red| green| blue| yellow|
black| white| brown| gray| purple| warm| cold| hot| cool| dry| wet| clean| dirty| empty| full| open| broken| strange|
familiar| famous| quiet| loud| soft| hard| smooth| rough| sharp| sweet| bitter| fresh| rich| poor| cheap| expensive|
beautiful| ugly| pretty| simple| difficult| easy| dangerous| safe| wonderful| terrible| happy| sad| angry| lonely| lucky|
careful| clever| stupid| lazy| busy| tired| hungry| thirsty| brave| proud| gentle| honest| polite| rude| golden| silver|
wooden| iron| glass| paper| plastic| electric| modern| ancient| foreign| local| public| private| special| ordinary| perfect|
secret| favorite| important| interesting| boring| enormous| tiny| narrow| wide| deep| shallow| thick| thin| round| square|
little| second| third| first| last| next| other| different| similar| possible| wrong| right| useful| useless| natural|
national| serious| funny| mysterious| valuable"""
PAST = """found| lost| bought| sold| opened| closed| cleaned| painted| carried| dropped| broke| repaired| watched| noticed|
remembered| forgot| described| discovered| destroyed| delivered| followed| touched| moved| pushed| pulled| lifted| measured|
examined| borrowed| returned| kept| left| wanted| needed| loved| hated| liked| preferred| chose| ordered| received| sent|
brought| took| stole| hid| saw| heard about| thought about| talked about| looked at| waited for| searched for| paid for| asked
for| laughed at| believed in| worried about| dreamed about| wrote about| walked past| ran toward| sat near| stood behind|
drove past| jumped over| pointed at| admired| changed| covered| collected| counted| designed| drew| enjoyed| explained|
finished| protected| served| shared| showed us| studied| tested| threw away| used| visited| wore out"""
BASE = """find| lose| buy| sell| open| close| clean| paint| carry| drop| break| repair| watch| notice| remember| forget|
describe| discover| destroy| deliver| follow| touch| move| push| pull| lift| measure| examine| borrow| return| keep| leave|
want| need| love| hate| like| prefer| choose| order| receive| send| bring| take| steal| hide| see| understand| improve|
protect| share| show| study| test| use| visit| check| build| catch| cover| count| design| draw| enjoy| explain| finish| serve|
win| write about| talk about| look at| wait for| search for| pay for| ask for"""
PLACES = """in the kitchen| at the station| near the river| behind the house| on the table| under the bridge| in the garden|
at school| at home| in the city| by the window| on the roof| along the road| across the street| in front of the hotel| beside
the lake| over the mountain| through the forest| inside the box| outside the door| on the second floor| at the market| in the
north| in the south of the country| from the other side| around the corner| among the trees| between the two houses| in the
middle of the room| at the end of the street| on the left| on the right| in the harbor| at the airport| in the hospital| on
the island| at the museum| in a small village| on the beach| in the corner of the office| in America| in London| in Paris| in
China| in Africa| in New York"""
TIMES = """yesterday| today| tomorrow morning| last night| last week| this morning| every day| in the evening| after dinner|
before breakfast| on Monday| on Tuesday| on Wednesday| on Thursday| on Friday| on Saturday| on Sunday| in January| in March|
in April| in July| in August| in October| in December| a long time ago| for the first time| once again| at midnight| at noon|
during the winter| in the summer| all day long| very slowly| quite suddenly| with great care| without a word| almost every
year| as soon as possible| from time to time| in the spring| in the autumn| after the storm| before the meeting| late in the
afternoon| early in the morning| three times a week| right now"""
SPOKEN = """I think that| I believe| She said that| He told me that| They say that| We know that| It seems that| I hope|
Perhaps| Of course| In fact| As usual| However| For example| At first| Finally| Unfortunately| Fortunately| To be honest| As
you know| It is true that| Nobody knows why| I remember that| Everyone thinks that| According to the report| On the other
hand| In my opinion| Sooner or later"""
STATES = """is| was| seemed| looked| became| is not| was never| will always be| must be| can be| might be| should be| has
become| used to be| is still| was already| is really| was very| is too| was rather| is quite"""
MODALS = """can| could| will| would| should| must| may| might| cannot| will not| should never| would like to| has to| wants
to| tried to| began to| decided to| hopes to| refused to| is going to| was able to| promised to| forgot to| learned to| did
not| will probably| must not"""
ACTIONS = """walked home| went to sleep| began to sing| started to cry| stopped talking| fell down| got up early| went away|
came back| sat down| stood up| worked hard| slept well| laughed loudly| smiled| ran away| was waiting| arrived too late| lived
alone| died young| grew up| felt better| disappeared| agreed at once| danced together| shouted for help| turned around| drank
too much| ate nothing| said goodbye| kept quiet"""
QUESTIONS = """Where did {person} put the {thing}?| Why is the {thing} so {adjective}?| Who {past} the {adjective} {thing}?|
When will {person} {base} the {thing}?| How much does the {adjective} {thing} cost?| Did {person} really {base} a {thing}?|
Have you ever seen such a {adjective} {thing}?| What happened {place} {time}?| Can you {base} the {thing} for me?| Is there a
{thing} {place}?| Would you like a {adjective} {thing}?| Do you know where the {thing} is?| How many {thing}s are there
{place}?| Which {thing} did you {base}?| Could you please {base} the {adjective} {thing}?| Are you sure that {person} {past}
it?| What does {person} want to {base}?| Whose {thing} is this?| How far is it to the {thing}?| Why did {person} {base} it?|
What is your {adjective} {thing}?| Shall we {base} it {time}?"""
COMMANDS = """Please {base} the {thing} {place}.| Do not {base} the {adjective} {thing}.| Let us {base} the {thing}.| Never
{base} a {adjective} {thing}.| Give me the {thing}, please.| Tell {person} about the {thing}.| Put the {thing} {place}.| Thank
you for the {thing}.| Good morning, this is {person} speaking.| Excuse me, I am looking for the {thing}.| Listen to me, and
{base} the {thing}.| Welcome to the {adjective} {thing}.| Be careful with the {thing}.| Turn left at the {thing}.| Remember to
{base} it.| Take the {thing} and go home."""
STATEMENTS = """{person} {past} the {thing}.| {person} {past} a {adjective} {thing} {place}.| {person} {past} the {adjective}
{thing} {time}.| The {thing} {state} {adjective}.| The {adjective} {thing} {state} {place}.| {person} {modal} {base} the
{thing}.| {person} {modal} {base} the {adjective} {thing} {time}.| {spoken} {person} {past} the {thing}.| {spoken} the {thing}
{state} {adjective}.| {person} and {person} {past} the {thing} together.| There was a {adjective} {thing} {place}.| There is
no {thing} {place}.| {person} {action} {time}.| {person} {action}, and the {thing} {state} {adjective}.| If {person} {past}
it, the {thing} {state} {adjective}.| When {person} {action}, we {past} the {thing}.| The {thing} {place} {state}
{adjective}.| This {thing} {state} more {adjective} than that {thing}.| My {thing} {state} as {adjective} as yours.| {spoken}
{person} {action}.| It is a {adjective}, {adjective} {thing}.| We {past} the {thing}, but {person} {action}.| {number}
{thing}s were {adjective}.| {person} {past} {number} {thing}s {place}.| The {thing} costs {number} dollars.| It took {number}
minutes to {base} the {thing}.| {person} is {number} years old.| The train leaves at {number} in the morning.| She lives at
number {number}, near the {thing}.| He counted {number}, {number}, and {number}.| About {number} people {action}.| In {year},
{person} {action}.| The {thing} was built in {year}.| Page {number} of the {thing} {state} {adjective}.| They {past} it
because the {thing} {state} {adjective}.| No one {modal} {base} it without a {thing}.| I never {past} the {thing} that
{person} {past}."""

SLOTS = {"person": PEOPLE, "thing": THINGS, "adjective": ADJECTIVES, "past": PAST, "base": BASE, "place": PLACES, "time": TIMES,
         "spoken": SPOKEN, "state": STATES, "modal": MODALS, "action": ACTIONS}
CHOICES = {slot: [" ".join(words.split()) for words in text.split("|")] for slot, text in SLOTS.items()}
TEMPLATES = [[" ".join(words.split()) for words in text.split("|")] for text in (STATEMENTS, QUESTIONS, COMMANDS)]
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
HELD_OUT = 20       # one sentence in this many is never trained on


def spoken_number(number: int) -> str:
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (" " + ONES[number % 10] if number % 10 else "")
    rest = number % 100
    return ONES[number // 100] + " hundred" + (" " + spoken_number(rest) if rest else "")


def spoken_year(year: int) -> str:
    century, rest = divmod(year, 100)
    return spoken_number(century) + " " + ("hundred" if not rest else ("oh " if rest < 10 else "") + spoken_number(rest))


def sentence(random_: random.Random) -> tuple[str, str]:
    """One sentence as it is written and, in lower case without punctuation, as it is spoken."""
    template = random_.choice(TEMPLATES[random_.choices((0, 1, 2), (70, 20, 10))[0]])
    written, spoken = "", ""
    for n, part in enumerate(template.replace("}", "{").split("{")):
        said = part
        if n % 2:
            if part in ("number", "year"):
                value = random_.choice((random_.randrange(2, 20), random_.randrange(20, 100), random_.randrange(100, 1000, 10))) \
                    if part == "number" else random_.randrange(1700, 2000)
                said = spoken_number(value) if part == "number" else spoken_year(value)
                part = str(value) if part == "year" or random_.random() < 0.3 else said
            else:
                part = said = random_.choice(CHOICES[part])
        written, spoken = written + part, spoken + said
    for vowel in "aeiou":
        for article in (" a ", "A "):
            written = written.replace(article + vowel, article.rstrip() + "n " + vowel)
            spoken = spoken.replace(article + vowel, article.rstrip() + "n " + vowel)
    written = written[0].upper() + written[1:]
    spoken = "".join(c if c.isalpha() or c == "'" else " " for c in spoken.lower())
    return written, " ".join(spoken.split())


def held_out(written: str) -> bool:
    return hashlib.sha256(written.encode()).digest()[0] % HELD_OUT == 0


def sentences(seed: int, evaluation: bool = False, longest: int = 14) -> Iterator[tuple[str, str]]:
    """Distinct sentences without end, of at most `longest` words: those to train on, or those held out."""
    random_, seen = random.Random(seed), set()
    while True:
        written, spoken = sentence(random_)
        if written in seen or held_out(written) != evaluation or len(spoken.split()) > longest:
            continue
        seen.add(written)
        yield written, spoken


def common_words(count: int) -> tuple[list[str], list[float]]:
    """The `count` most frequent words of pocketsphinx's English model, and the square roots of their shares."""
    import pocketsphinx

    folder = Path(pocketsphinx.__file__).parent / "model" / "en-us"
    model = str(folder / "en-us.lm.bin")
    language = pocketsphinx.NGramModel(pocketsphinx.Config(lm=model, loglevel="FATAL"), pocketsphinx.LogMath(), model)
    scale = math.log(1.0001)            # of pocketsphinx's logarithms
    known = {line.split()[0] for line in (folder / "cmudict-en-us.dict").read_text().splitlines()}
    shares = {word: language.prob([word]) for word in sorted(known) if word.isalpha() and len(word) > 2}
    best = sorted(shares, key=lambda word: (-shares[word], word))[:count]
    return best, [math.exp(0.5 * scale * shares[word]) for word in best]


def wide_sentences(seed: int) -> Iterator[tuple[str, str]]:
    """Distinct rows of common words that mean nothing: they teach how words are spoken, not how sentences are made."""
    words, shares = common_words(6000)
    random_, seen = random.Random(seed), set()
    while True:
        spoken = " ".join(random_.choices(words, shares, k=random_.randrange(3, 8)))
        written = spoken[0].upper() + spoken[1:] + random_.choice("...?!")
        if spoken not in seen and not held_out(written):
            seen.add(spoken)
            yield written, spoken


def phrases(seed: int) -> Iterator[tuple[str, str]]:
    """Words of the grammar alone, and what it puts together of two or three, some more than once."""
    random_ = random.Random(seed)
    kinds = [("{thing}",), ("the {thing}",), ("{adjective}",), ("{adjective} {thing}",), ("{past}",),
             ("{person}", "{place}", "{time}", "{action}"), ("{base}",), ("{modal}", "{state}", "{spoken}"), ("{number}",)]
    while True:
        kind = random_.choice(random_.choices(kinds, (30, 8, 22, 10, 10, 12, 6, 6, 8))[0])
        written = kind.replace("{number}", spoken_number(random_.randrange(100)))
        for slot, choices in CHOICES.items():
            if f"{{{slot}}}" in written:
                written = written.replace(f"{{{slot}}}", random_.choice(choices))
        spoken = " ".join("".join(c if c.isalpha() or c == "'" else " " for c in written.lower()).split())
        if random_.random() < 0.5:
            written = written[0].upper() + written[1:]
        written += random_.choice(("", ".", ".", "?", "!"))
        if not held_out(written):
            yield written, spoken
