"""Batches of word lists without speech, to learn pronunciations from hundreds of words at a time.

In a batch of speech few tokens end a word, and the same common words recur. A word list holds words
of the manifest, rare ones oversampled, with the phones they were spoken with; only the phone losses
of `auxiliary_loss.py` learn from it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recipes.demo_voice.lm.dataset import AlignedRecording, Pronunciation
from sparktts_ms.errors import InputError
from sparktts_ms.generation.vocabulary import Vocabulary
from sparktts_ms.training.batches import Batch, collate
from sparktts_ms.training.examples import TrainingExample

LENGTH = 192            # token ids of a list; one of the buckets of batches.py
FREQUENCY_POWER = 0.5   # a word is drawn in proportion to this power of its count


@dataclass(frozen=True)
class WordListExample(TrainingExample):
    """A list of words and the phones of each."""

    pronunciation: Pronunciation = ()


class WordLists:
    """Batches of word lists; batch n follows from the seed and n alone.

    Raises InputError if no recording has the phones of a word.
    """

    def __init__(self, vocabulary: Vocabulary, recordings: Iterable[AlignedRecording],
                 batch_tokens: int, seed: int):
        self.vocabulary = vocabulary
        self.rows = max(1, batch_tokens // LENGTH)
        self.seed = seed
        counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
        for recording in recordings:
            pronunciation = recording.pronunciation or ()
            for word, phones in zip(recording.text.split(), pronunciation, strict=False):
                if phones:
                    counts[word][phones] += 1
        if not counts:
            raise InputError("No line of the manifest has both word_ends and phones.",
                             "Word lists need them.")
        self.words = list(counts)
        self.phones = [counts[word].most_common(1)[0][0] for word in self.words]
        frequencies = np.array([counts[word].total() for word in self.words])
        weights = frequencies ** FREQUENCY_POWER
        self.probabilities = weights / weights.sum()

    def batch(self, number: int) -> Batch:
        random = np.random.default_rng((self.seed, number))
        examples = [self._example(random) for _ in range(self.rows)]
        return collate(examples, LENGTH, self.rows)

    def _example(self, random: np.random.Generator) -> WordListExample:
        v = self.vocabulary
        text_ids: list[int] = []
        chosen: list[int] = []
        for word in random.choice(len(self.words), LENGTH, p=self.probabilities):
            longer = v.encode(" ".join(self.words[n] for n in (*chosen, word)))
            if len(longer) > LENGTH - 3:
                break
            chosen.append(int(word))
            text_ids = longer
        ids = np.array(
            [v.task_tts, v.start_content, *text_ids, v.end_content, v.start_global_token], np.int32)
        return WordListExample(ids, len(ids), pronunciation=tuple(self.phones[n] for n in chosen))
