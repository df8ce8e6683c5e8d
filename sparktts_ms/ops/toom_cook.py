"""Convolutions of seven taps with fewer products, by the method of Toom and Cook.

Source: A. Toom 1963, S. Cook 1966; for convolutions S. Winograd 1980. Four neighbouring outputs are
a product of polynomials, which is known from its values at ten points: an output channel then costs
10 products for 4 outputs instead of 28. Inputs, filters and products pass a small matrix each; the
filters' part is done once when they are loaded. In float32 the error is 2e-6 of the largest output,
because the points (among them inverses and opposites) keep the entries of the matrices near one.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

OUTPUTS = 4
TAPS = 7
# and infinity
POINTS = tuple(map(Fraction, ("0", "1", "-1", "3/2", "-3/2", "2/3", "-2/3", "1/3", "-3")))
SIZE = len(POINTS) + 1
assert SIZE == OUTPUTS + TAPS - 1


def transform_matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A [4, 10], G [10, 7], B [10, 10], float64, with outputs = A ((G filter) * (B inputs)).

    B is the transposed inverse of the matrix of powers: its rows are the Lagrange polynomials of
    the points. They are scaled, and G with them, so that no entry of B exceeds 1.
    """
    rows = []
    for point in POINTS:
        others = [other for other in POINTS if other != point]
        value = math.prod(point - other for other in others)
        rows.append([c / value for c in polynomial(others)] + [Fraction(0)])
    rows.append(polynomial(POINTS))
    inputs = np.array(rows, dtype=np.float64)
    scale = np.abs(inputs).max(axis=1, keepdims=True)
    return powers(OUTPUTS).T, powers(TAPS) * scale, inputs / scale


def powers(length: int) -> np.ndarray:
    """Powers 0 .. length - 1 of each point, [10, length]; at infinity only the highest counts."""
    rows = [[point**n for n in range(length)] for point in POINTS]
    return np.array([*rows, [0] * (length - 1) + [1]], dtype=np.float64)


def polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients, ascending, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [*coefficients, Fraction(0)]
        coefficients = [a - root * b for a, b in zip(shifted, coefficients, strict=True)]
    return coefficients


TO_OUTPUTS, TO_FILTERS, TO_INPUTS = transform_matrices()
# the matrices of inputs [10, 10] and outputs [4, 10], as the kernels take them
TRANSFORMS = np.concatenate([TO_INPUTS.ravel(), TO_OUTPUTS.ravel()]).astype(np.float32)


def transform_filters(kernel: np.ndarray) -> np.ndarray:
    """A kernel [O, I, 7] -> its values at each point, [10, O, I] float32."""
    outputs, inputs, taps = kernel.shape
    filters = TO_FILTERS.astype(np.float32) @ kernel.reshape(-1, taps).T
    return filters.reshape(SIZE, outputs, inputs)
