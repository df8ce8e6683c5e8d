"""A long text that is read in one go, and whether the memory that it takes grows."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.plan import TOKENS_PER_WORD
from benchmarks.serving_texts import PARAGRAPHS

CHARACTERS = 20000
MAX_GROWTH = 0.02       # of the peak, from the first third to the last


def speech_text(characters: int) -> str:
    """Paragraphs of natural text, repeated, that end with a sentence after at least so many
    characters."""
    paragraphs: list[str] = []
    length = 0
    while length < characters:
        paragraphs.append(PARAGRAPHS[len(paragraphs) % len(PARAGRAPHS)])
        length += len(paragraphs[-1]) + 2
    return "\n\n".join(paragraphs)


def segment_tokens(text: str, num_segments: int) -> int:
    """Tokens of each segment, so that all together have the length of 200 words a minute."""
    return round(TOKENS_PER_WORD * len(text.split()) / num_segments)


def memory_growth(samples: Sequence[int]) -> float | None:
    """The peak of the last third over that of the first, minus 1; None for fewer than three."""
    third = len(samples) // 3
    if not third:
        return None
    return max(samples[-third:]) / max(samples[:third]) - 1


def growth_line(engine: str, growth: float | None) -> str:
    if growth is None:
        return f"memory of {engine}: too few samples to say whether it grows"
    verdict = "flat" if growth <= MAX_GROWTH else "grows"
    return f"memory of {engine}: {verdict} ({growth:+.1%} from the first third to the last)"
