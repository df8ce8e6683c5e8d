"""How upstream's streaming client puts chunks together (`client_grpc.py`, chunk overlap 0.1 s)."""

import itertools

import numpy as np

OVERLAP = 1600          # samples, 0.1 s


def join(chunks, overlap=OVERLAP):
    """Chunks [N] as one waveform: the end of each is faded into the beginning of the next."""
    if len(chunks) == 1:
        return chunks[0]
    rising = np.linspace(0, 1, overlap)
    falling = np.linspace(1, 0, overlap)
    parts = [chunks[0][:-overlap]]
    for before, after in itertools.pairwise(chunks):
        parts.append(before[-overlap:] * falling + after[:overlap] * rising)
        parts.append(after[overlap:-overlap])
    parts.append(chunks[-1][-overlap:])
    return np.concatenate(parts)
