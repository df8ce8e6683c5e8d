"""Where sentences end, in Chinese and in English."""

import re

CLOSING = "\"'”’」』）)】》〉]"
SENTENCE_MARKS = "。！？!?…"             # end a sentence wherever they stand; a full stop may not
AFTER_SENTENCE = SENTENCE_MARKS + CLOSING + "."     # belong to the sentence before
ABBREVIATIONS = frozenset("""
    mr mrs ms dr prof sr jr st vs etc e.g i.e no vol fig al inc ltd co corp gen col lt capt sgt
    rev hon jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun approx
    dept est min max""".split())
LONGEST_ABBREVIATION = max(map(len, ABBREVIATIONS))
SENTENCE_END = re.compile(
    rf"(?:[{SENTENCE_MARKS}]|(?P<dot>\.(?=[\s.{re.escape(CLOSING)}]|$)))"
    rf"[{re.escape(AFTER_SENTENCE)}]*")
WORD_BEFORE = re.compile(r"[\w.]*$")


def sentence_ends(paragraph: str) -> list[int]:
    """The positions after the sentences of one line of text, closing quotes and brackets included;
    after the last one only if it has a mark."""
    length = len(paragraph.rstrip())
    ends = []
    position = 0
    while match := SENTENCE_END.search(paragraph, position):
        dot = match.start("dot")
        position = match.end()
        if dot >= 0 and is_abbreviation(paragraph, dot) and dot + 1 < length:
            position = dot + 1
        else:
            ends.append(position)
    return ends


def ends_sentence(line: str) -> bool:
    """Whether a sentence ends with the line, which another one follows."""
    line = line.rstrip()
    text = line.rstrip(CLOSING)
    if text.endswith("."):
        return not is_abbreviation(text, len(text) - 1)
    return text.endswith(tuple(SENTENCE_MARKS))


def is_abbreviation(text: str, dot: int) -> bool:
    """Whether the full stop at `dot` belongs to the word before it, as in e.g., Mr. X or J. Smith.

    Those in 3.14 and example.com are no full stops: a character follows.
    """
    match = WORD_BEFORE.search(text[max(0, dot - LONGEST_ABBREVIATION - 1):dot])
    word = match[0].lower() if match else ""
    return word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i")
