"""Pages: words that nobody reads aloud, so that how words are spoken is learnt from hundreds at a time.

In a batch of speech few tokens end a word, and the same common words come again and again. A page is nothing but words out of
the manifest, rare ones more often than there, with the phones they were spoken with; only `phones.py` teaches on it.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from sparktts_ms.errors import InputError
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.batches import Batch, stack
from sparktts_ms.training.dataset import EncodedRecording
from sparktts_ms.training.examples import TrainingExample

LENGTH = 192            # ids of a page, one of `batches.LENGTHS`
COMMON = 0.5            # a word is drawn in proportion to this power of how often it is said


class Pages:
    """Page n follows from the seed and n alone. Raises InputError if nothing says how any word is spoken."""

    def __init__(self, v: Vocabulary, spoken: list[EncodedRecording], tokens: int, seed: int):
        self.vocabulary, self.rows, self.seed = v, max(1, tokens // LENGTH), seed
        said: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        for one in spoken:
            for word, phones in zip(one.text.split(), one.pronunciation or (), strict=False):
                if phones:
                    said[word][phones] += 1
        if not said:
            raise InputError("--pages: no line of the manifest has both word_ends and phones.")
        self.words = list(said)
        self.phones = [said[word].most_common(1)[0][0] for word in self.words]
        often = np.array([said[word].total() for word in self.words]) ** COMMON
        self.odds = often / often.sum()

    def __call__(self, number: int) -> Batch:
        random = np.random.default_rng((self.seed, number))
        return stack([self._row(random) for _ in range(self.rows)], LENGTH, self.rows)

    def _row(self, random: np.random.Generator) -> TrainingExample:
        v = self.vocabulary
        ids: list[int] = []
        chosen: list[int] = []
        for word in random.choice(len(self.words), LENGTH, p=self.odds):
            longer = v.encode(" ".join(self.words[n] for n in (*chosen, word)))
            if len(longer) > LENGTH - 3:
                break
            chosen.append(int(word))
            ids = longer
        row = np.array([v.task_tts, v.start_content, *ids, v.end_content, v.start_global_token], np.int32)
        return TrainingExample(row, len(row), pronunciation=tuple(self.phones[n] for n in chosen))
