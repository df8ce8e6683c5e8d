"""English sentences from a small grammar, grammar.yaml: text as written, and words as spoken.

All generators are seeded and endless. Sentences held out for evaluation never occur in training.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from pathlib import Path

from sparktts_ms.files import read_mapping


def _items(text: str) -> list[str]:
    """The items of a list separated by "|", without line breaks."""
    return [" ".join(item.split()) for item in text.split("|")]


GRAMMAR = read_mapping(Path(__file__).with_name("grammar.yaml"))
CHOICES = {slot: _items(text) for slot, text in GRAMMAR["slots"].items()}
TEMPLATES = [_items(text) for text in GRAMMAR["templates"].values()]
TEMPLATE_WEIGHTS = (70, 20, 10)     # of statements, questions and commands
PHRASES = [
    ("{thing}",), ("the {thing}",), ("{adjective}",), ("{adjective} {thing}",), ("{past}",),
    ("{person}", "{place}", "{time}", "{action}"), ("{base}",),
    ("{modal}", "{state}", "{spoken}"), ("{number}",),
]
PHRASE_WEIGHTS = (30, 8, 22, 10, 10, 12, 6, 6, 8)
ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
        "nineteen"]
TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
HELD_OUT = 20           # one sentence in this many is for evaluation only
MAX_WORDS = 14
COMMON_WORDS = 6000     # vocabulary of the rows of common words


def spoken_number(number: int) -> str:
    """A number from 0 to 999 in words."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (" " + ONES[ones] if ones else "")
    hundreds, rest = divmod(number, 100)
    return ONES[hundreds] + " hundred" + (" " + spoken_number(rest) if rest else "")


def spoken_year(year: int) -> str:
    """A year of four digits in words."""
    century, rest = divmod(year, 100)
    if not rest:
        return spoken_number(century) + " hundred"
    return spoken_number(century) + (" oh " if rest < 10 else " ") + spoken_number(rest)


def held_out(written: str) -> bool:
    """Whether a sentence is for evaluation only, by its hash."""
    return hashlib.sha256(written.encode()).digest()[0] % HELD_OUT == 0


def sentence(rng: random.Random) -> tuple[str, str]:
    """One sentence as written and, in lower case without punctuation, as spoken."""
    template = rng.choice(TEMPLATES[rng.choices((0, 1, 2), TEMPLATE_WEIGHTS)[0]])
    written = ""
    spoken = ""
    for n, part in enumerate(template.replace("}", "{").split("{")):
        if n % 2 == 0:                  # text between two slots
            written += part
            spoken += part
        elif part in ("number", "year"):
            digits, words = _random_number(part, rng)
            use_digits = part == "year" or rng.random() < 0.3
            written += digits if use_digits else words
            spoken += words
        else:
            choice = rng.choice(CHOICES[part])
            written += choice
            spoken += choice
    written = _fix_articles(written)
    return written[0].upper() + written[1:], _spoken_words(_fix_articles(spoken))


def sentences(seed: int, evaluation: bool = False) -> Iterator[tuple[str, str]]:
    """Distinct sentences of at most MAX_WORDS words: for training, or held out for `evaluation`."""
    rng = random.Random(seed)
    seen: set[str] = set()
    while True:
        written, spoken = sentence(rng)
        if len(spoken.split()) > MAX_WORDS or held_out(written) != evaluation:
            continue
        if written not in seen:
            seen.add(written)
            yield written, spoken


def common_words(count: int) -> tuple[list[str], list[float]]:
    """The most frequent words of pocketsphinx's English model, and square roots of their shares."""
    import pocketsphinx

    folder = Path(pocketsphinx.__file__).parent / "model" / "en-us"
    model = str(folder / "en-us.lm.bin")
    config = pocketsphinx.Config(lm=model, loglevel="FATAL")
    ngrams = pocketsphinx.NGramModel(config, pocketsphinx.LogMath(), model)
    log_base = math.log(1.0001)         # pocketsphinx's logarithms have the base 1.0001
    dictionary = (folder / "cmudict-en-us.dict").read_text().splitlines()
    scores = {}
    for word in sorted({line.split()[0] for line in dictionary}):
        if word.isalpha() and len(word) > 2:
            scores[word] = ngrams.prob([word])
    words = sorted(scores, key=lambda word: (-scores[word], word))[:count]
    return words, [math.exp(0.5 * log_base * scores[word]) for word in words]


def common_word_rows(seed: int) -> Iterator[tuple[str, str]]:
    """Distinct rows of 3 to 7 random common words: pronunciations without sentence context."""
    words, weights = common_words(COMMON_WORDS)
    rng = random.Random(seed)
    seen: set[str] = set()
    while True:
        spoken = " ".join(rng.choices(words, weights, k=rng.randrange(3, 8)))
        written = spoken[0].upper() + spoken[1:] + rng.choice("...?!")
        if spoken not in seen and not held_out(written):
            seen.add(spoken)
            yield written, spoken


def phrases(seed: int) -> Iterator[tuple[str, str]]:
    """Single words and short phrases of the grammar; some occur more than once."""
    rng = random.Random(seed)
    while True:
        template = rng.choice(rng.choices(PHRASES, PHRASE_WEIGHTS)[0])
        written = template.replace("{number}", spoken_number(rng.randrange(100)))
        for slot, choices in CHOICES.items():
            if f"{{{slot}}}" in written:
                written = written.replace(f"{{{slot}}}", rng.choice(choices))
        spoken = _spoken_words(written)
        if rng.random() < 0.5:
            written = written[0].upper() + written[1:]
        written += rng.choice(("", ".", ".", "?", "!"))
        if not held_out(written):
            yield written, spoken


def _random_number(kind: str, rng: random.Random) -> tuple[str, str]:
    """A number below 1000 or a year, in digits and in words."""
    if kind == "year":
        year = rng.randrange(1700, 2000)
        return str(year), spoken_year(year)
    number = rng.choice(
        (rng.randrange(2, 20), rng.randrange(20, 100), rng.randrange(100, 1000, 10)))
    return str(number), spoken_number(number)


def _fix_articles(text: str) -> str:
    """ "an" instead of "a" before a vowel."""
    for vowel in "aeiou":
        text = text.replace(" a " + vowel, " an " + vowel).replace("A " + vowel, "An " + vowel)
    return text


def _spoken_words(text: str) -> str:
    """Lower-case words without punctuation."""
    letters = [c if c.isalpha() or c == "'" else " " for c in text.lower()]
    return " ".join("".join(letters).split())
