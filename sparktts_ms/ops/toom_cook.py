"""Convolutions of seven taps with fewer products, by the method of Toom and Cook.

Source: A. Toom 1963, S. Cook 1966; for convolutions S. Winograd 1980. Four neighbouring outputs are
a product of polynomials, which is known from its values at ten points: an output channel then costs
10 products for 4 outputs instead of 28. Inputs, filters and products pass a small matrix each; the
filters' part is done once when they are loaded. In float32 the error is 2e-6 of the largest output,
because the points (among them inverses and opposites) keep the entries of the matrices near one.
"""

from fractions import Fraction

import numpy as np

OUTPUTS = 4
TAPS = 7
# and infinity
POINTS = tuple(map(Fraction, ("0", "1", "-1", "3/2", "-3/2", "2/3", "-2/3", "1/3", "-3")))
SIZE = len(POINTS) + 1
assert SIZE == OUTPUTS + TAPS - 1


def transform_matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A [4, 10], G [10, 7], B [10, 10], float64, with outputs = A ((G filter) * (B inputs)); no
    entry of B exceeds 1."""
    inputs = np.array(inverse(powers(SIZE)), dtype=np.float64).T
    scale = np.abs(inputs).max(axis=1, keepdims=True)
    outputs = np.array(powers(OUTPUTS), dtype=np.float64).T
    return outputs, np.array(powers(TAPS), dtype=np.float64) * scale, inputs / scale


def powers(length: int) -> list[list[Fraction]]:
    """Powers 0 .. length - 1 of each point, [10, length]; at infinity only the highest counts."""
    rows = [[point**n for n in range(length)] for point in POINTS]
    rows.append([Fraction(0)] * (length - 1) + [Fraction(1)])
    return rows


def inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """The exact inverse of a square matrix, by Gauss-Jordan elimination."""
    size = len(matrix)
    rows = []
    for i, row in enumerate(matrix):
        unit = [Fraction(0)] * size
        unit[i] = Fraction(1)
        rows.append(row + unit)
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        pivot_row = [value / rows[pivot][column] for value in rows[pivot]]
        rows[pivot] = rows[column]
        rows[column] = pivot_row
        for i in range(size):
            factor = rows[i][column]
            if i != column and factor:
                rows[i] = [a - factor * b for a, b in zip(rows[i], pivot_row, strict=True)]
    return [row[size:] for row in rows]


TO_OUTPUTS, TO_FILTERS, TO_INPUTS = transform_matrices()
# the matrices of inputs [10, 10] and outputs [4, 10], as the kernels take them
TRANSFORMS = np.concatenate([TO_INPUTS.ravel(), TO_OUTPUTS.ravel()]).astype(np.float32)


def transform_filters(kernel: np.ndarray) -> np.ndarray:
    """A kernel [O, I, 7] -> its values at each point, [10, O, I] float32."""
    outputs, inputs, taps = kernel.shape
    filters = TO_FILTERS.astype(np.float32) @ kernel.reshape(-1, taps).T
    return filters.reshape(SIZE, outputs, inputs)
