"""What was due while a text was spoken, whatever was said instead: the teacher's part of `practise.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.alignment import alignment

STOP, NONE = -1, -2     # as what is due: the end of speech, nothing
EDGE = 5                # frames of silence that a reading ends with
LONG = 20               # frames of one phone, or one pause, after which the next is due
MISSED = 2              # phones that are missing, or too many, at an end that comes too soon, or too late
IMPOSSIBLE = -1e9


@dataclass(frozen=True)
class Correction:
    """What was due at each frame and after them [T + 1, 3]: any of up to three, phones or STOP, for whether a phone goes on or
    gives way to the next, or to a pause, is not to be told here; at which frame each word ended; how many phones were wrong."""

    due: np.ndarray
    ends: np.ndarray
    wrong: int


def corrected(phones: np.ndarray, words: np.ndarray, ids: np.ndarray, heard: np.ndarray, over: np.ndarray, table: np.ndarray,
              ) -> Correction:
    """What should have been said, given the `ids` [T] that were said before: `phones` [P] of the text, and which of its `words`
    each belongs to. `heard` are the phones that were read off the ids, `over` the frames at which each is over; `table`
    [phones, codes] says how likely each phone is where an id is, the last phone being a pause.

    The text's phones, less those that were left out (but for the first of a row, which was due), are laid along the frames as
    is likeliest by `table`; at an end that comes too soon the next phone is due, after the last one the end.
    """
    pause, pairs = len(table) - 1, alignment((heard[:, None] != phones).astype(int))
    wrong = sum(i is None or j is None or heard[i] != phones[j] for i, j in pairs)
    rest = next((n for n, (i, j) in enumerate(reversed(pairs)) if i is not None and j is not None), len(pairs))
    body, tail = pairs[:len(pairs) - rest], pairs[len(pairs) - rest:]
    kept = [j for n, (i, j) in enumerate(body) if j is not None and (i is not None or n == 0 or body[n - 1][0] is not None)]
    missing, extra = [j for i, j in tail if i is None], [i for i, j in tail if j is None]
    end = len(ids)
    if len(extra) >= MISSED and kept:
        end = min(end, int(over[body[-1][0]]) + 1 + EDGE)
    due, ends = np.full((len(ids) + 1, 3), (STOP, NONE, NONE)), np.zeros(int(words[-1]) + 1)
    if kept and end:
        due[:end], said = laid(phones[kept], words[kept], ids[:end], table)
        np.maximum.at(ends, said[said >= 0], np.flatnonzero(said >= 0) + 1)
        ends = np.maximum.accumulate(ends)
    else:
        due[:end, 0] = pause
    if len(missing) >= MISSED:
        due[len(ids), 0] = phones[missing[0]]
    return Correction(due, ends, wrong)


def laid(phones: np.ndarray, words: np.ndarray, ids: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest course of `phones` along `ids` [T], each for a frame at least, with pauses between words: what is due at each
    frame [T, 3], and the word that it is in, or -1 in a pause."""
    pause, states = len(table) - 1, 2 * len(phones) + 1
    names = np.full(states, pause)
    names[1::2] = phones
    odds, last = np.log(table[names][:, ids]).T, np.zeros(states, np.intp)
    odds[:, 2:-1:2][:, words[1:] == words[:-1]] = IMPOSSIBLE
    ways, came = np.full((3, states), IMPOSSIBLE), np.zeros((len(ids), states), np.int8)      # stay, go on, leave out a pause
    best, skips = ways[0], np.where(np.arange(2, states) % 2 == 1, 0.0, IMPOSSIBLE)
    best[:2] = odds[0, :2]
    for t in range(1, len(ids)):
        ways[1, 1:] = best[:-1]
        np.add(best[:-2], skips, out=ways[2, 2:])
        ways.argmax(0, out=last)
        came[t] = last
        np.add(ways.max(0), odds[t], out=best)
    at = np.zeros(len(ids), int)
    at[-1] = states - 1 if best[-1] >= best[-2] else states - 2
    for t in range(len(ids) - 1, 0, -1):
        at[t - 1] = at[t] - came[t, at[t]]
    spoken, last = at % 2 == 1, states - 1
    held = np.arange(len(at)) - np.searchsorted(at, at)             # frames since its beginning
    now = np.where(held < LONG, names[at], NONE)
    ended = np.append(words[1:] != words[:-1], True)[np.minimum(at, last - 1) // 2]         # the word, with this phone
    then = np.append(names, [STOP, STOP])[np.where(spoken, at + 2, at + 1)]
    between = np.where(spoken & ended, pause, NONE)
    return (np.stack([now, np.where(spoken & (at == last - 1), NONE, then), between], 1),
            np.where(spoken, words[np.maximum(at - 1, 0) // 2], -1))
