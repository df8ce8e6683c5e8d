"""The expert of DAgger: which phone is right next, whatever was generated so far.

The phones recognized in the model's speech are compared with those of the text; the text's phones,
without those that were left out, are aligned to its frames (forced alignment). At every frame both
the current phone and the next one are right, for the expert does not know durations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.alignment import alignment

STOP = -1               # expert target: the end of speech
NO_PHONE = -2           # fills unused places of an expert target
TRAILING_SILENCE = 5    # frames of silence after the last phone
MAX_PHONE_FRAMES = 20   # frames of one phone or pause, after which only the next is right
MIN_END_ERRORS = 2      # phones missing or too many at the end, for its place to count as wrong
LOG_ZERO = -1e9


@dataclass(frozen=True)
class ExpertTargets:
    """phones [T + 1, 3]: right at each frame and after the last are up to three phones, STOP among
    them; word_ends [words]: the frame at which each word ended; phone_errors: the edit distance."""

    phones: np.ndarray
    word_ends: np.ndarray
    phone_errors: int


def expert_targets(text_phones: np.ndarray, text_words: np.ndarray, ids: np.ndarray,
                   recognized: np.ndarray, recognized_ends: np.ndarray, phone_probs: np.ndarray,
                   ) -> ExpertTargets:
    """Label speech with semantic `ids` [T].

    text_phones, text_words [P]: phones of the text, and the word of each. recognized,
    recognized_ends [R]: phones in the speech, and the last frame of each. phone_probs [phones,
    codes]: how likely each phone is at a frame with that id; the last phone is the pause.
    """
    pairs = alignment((recognized[:, None] != text_phones).astype(int))
    phone_errors = 0
    for i, j in pairs:
        if i is None or j is None or recognized[i] != text_phones[j]:
            phone_errors += 1
    matched = _length_to_last_match(pairs)
    spoken = _spoken_text_phones(pairs[:matched])
    missing_at_end = [j for i, j in pairs[matched:] if i is None]
    extra_at_end = [i for i, j in pairs[matched:] if j is None]
    end = len(ids)
    if len(extra_at_end) >= MIN_END_ERRORS and spoken:
        last_frame = int(recognized_ends[pairs[matched - 1][0]])
        end = min(end, last_frame + 1 + TRAILING_SILENCE)
    targets = np.full((len(ids) + 1, 3), (STOP, NO_PHONE, NO_PHONE))
    word_ends = np.zeros(int(text_words[-1]) + 1)
    if spoken and end:
        targets[:end], words = forced_alignment(text_phones[spoken], text_words[spoken], ids[:end],
                                                phone_probs)
        frames = np.flatnonzero(words >= 0)
        np.maximum.at(word_ends, words[frames], frames + 1)
        word_ends = np.maximum.accumulate(word_ends)
    else:
        targets[:end, 0] = len(phone_probs) - 1
    if len(missing_at_end) >= MIN_END_ERRORS:
        targets[len(ids), 0] = text_phones[missing_at_end[0]]
    return ExpertTargets(targets, word_ends, phone_errors)


def _length_to_last_match(pairs: list[tuple[int | None, int | None]]) -> int:
    for n in range(len(pairs), 0, -1):
        if None not in pairs[n - 1]:
            return n
    return 0


def _spoken_text_phones(pairs: list[tuple[int | None, int | None]]) -> list[int]:
    """Indices of text phones, without those left out; the first of each omission stays, for that
    one was right when another was spoken."""
    spoken = []
    omitting = False
    for i, j in pairs:
        if j is not None and not (i is None and omitting):
            spoken.append(j)
        omitting = i is None
    return spoken


def forced_alignment(phones: np.ndarray, words: np.ndarray, ids: np.ndarray,
                     phone_probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Align `phones` [P], each for at least a frame and with optional pauses between words, to
    `ids` [T]. Returns the expert targets of each frame [T, 3], and its word, or -1 in a pause."""
    pause = len(phone_probs) - 1
    state_phones = np.full(2 * len(phones) + 1, pause)      # pause, phone, pause, phone, ..., pause
    state_phones[1::2] = phones
    emissions = np.log(phone_probs[state_phones][:, ids]).T
    within_word = words[1:] == words[:-1]
    emissions[:, 2:-1:2][:, within_word] = LOG_ZERO
    states = _viterbi(emissions)

    final_phone = len(state_phones) - 2
    in_phone = states % 2 == 1
    age = np.arange(len(states)) - np.searchsorted(states, states)      # frames since its beginning
    current = np.where(age < MAX_PHONE_FRAMES, state_phones[states], NO_PHONE)
    following = np.append(state_phones, [STOP, STOP])[np.where(in_phone, states + 2, states + 1)]
    following = np.where(in_phone & (states == final_phone), NO_PHONE, following)
    word_final = np.append(~within_word, True)[np.minimum(states, final_phone) // 2]
    pause_after = np.where(in_phone & word_final, pause, NO_PHONE)
    word = np.where(in_phone, words[np.maximum(states - 1, 0) // 2], -1)
    return np.stack([current, following, pause_after], 1), word


def _viterbi(emissions: np.ndarray) -> np.ndarray:
    """The likeliest states [T] for log emissions [T, S], from one of the first two to one of the
    last two; each stays, moves to the next, or, from phone to phone, skips the pause between."""
    num_frames, num_states = emissions.shape
    skip_penalty = np.where(np.arange(2, num_states) % 2 == 1, 0.0, LOG_ZERO)
    scores = np.full((3, num_states), LOG_ZERO)             # by the number of states moved
    best = scores[0]
    best[:2] = emissions[0, :2]
    moves = np.zeros((num_frames, num_states), np.int8)
    for t in range(1, num_frames):
        scores[1, 1:] = best[:-1]
        scores[2, 2:] = best[:-2] + skip_penalty
        moves[t] = scores.argmax(0)
        best[:] = scores.max(0) + emissions[t]
    states = np.zeros(num_frames, int)
    states[-1] = num_states - 1 if best[-1] >= best[-2] else num_states - 2
    for t in range(num_frames - 1, 0, -1):
        states[t - 1] = states[t] - moves[t, states[t]]
    return states
