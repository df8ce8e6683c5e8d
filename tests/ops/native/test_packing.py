"""4-bit weights: what packed bytes stand for, and how near that is to the matrix."""

import ctypes
import platform
import re

import numpy as np
import pytest

from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.native import library
from tests.helpers import run_cell

GROUP = 32
PANEL = 32


@pytest.fixture(autouse=True)
def native(kernels):
    """Packing is part of the compiled library."""


# here AVX-512; AVX2; SSE
@pytest.fixture(params=["native", "-march=x86-64-v3", "-march=x86-64-v2"])
def processor(request, monkeypatch):
    """Packing as compiled for a kind of processor, on one thread unless that is this one."""
    if request.param == "native":
        return
    if platform.machine() != "x86_64":
        pytest.skip("no such processor here")
    sources = [library.FOLDER / name for name in ("packing.cc", "error_factor.cc")]
    monkeypatch.setattr(library, "SOURCES", sources)
    compiled = ctypes.CDLL(str(library.build(request.param)))
    compiled.sparktts_packed_bytes.restype = ctypes.c_int64
    monkeypatch.setattr(library, "_library", compiled)


@pytest.fixture(scope="module")
def codebook():
    """The values of the codes, as quantized.h has them."""
    source = (library.FOLDER / "quantized.h").read_text()
    numbers = re.search(r"kCodebook\[16\] = \{([^}]*)\}", source)[1]
    values = np.array(list(map(int, numbers.split(",")))) - 128
    assert len(values) == 16 and (np.diff(values) > 0).all()
    return values


def unpack(packed, outputs, inputs, codebook):
    """Scales [outputs, groups] and values [outputs, groups, 32] of the codes."""
    panels = -(-outputs // PANEL)
    groups = -(-inputs // GROUP)
    data = packed.reshape(panels, groups, 2 * PANEL + PANEL * GROUP // 2)
    scales = data[:, :, :2 * PANEL].copy().view(np.uint16).astype(np.uint32) << 16
    quads = data[:, :, 2 * PANEL:].reshape(panels, groups, GROUP // 4, 16, 4)
    halves = codebook[np.stack([quads & 15, quads >> 4], 1)]    # panel, half, group, quad, lane, 4
    values = halves.transpose(0, 1, 4, 2, 3, 5).reshape(panels * PANEL, groups, GROUP)
    scales = scales.view(np.float32).transpose(0, 2, 1).reshape(panels * PANEL, groups)
    return scales[:outputs].astype(np.float64), values[:outputs]


def restored(matrix, codebook, factor=None):
    """The matrix for which its packed one stands, float64."""
    packed = library.pack(matrix, "int4", factor)
    scales, values = unpack(packed, *matrix.shape, codebook)
    return (scales[..., None] * values).reshape(len(matrix), -1)[:, :matrix.shape[1]]


def in_groups(matrix):
    padded = np.pad(matrix.astype(np.float64), ((0, 0), (0, -matrix.shape[1] % GROUP)))
    return padded.reshape(len(matrix), -1, GROUP)


def nearest(groups, scales, codebook):
    """The multiples of the codebook's values nearest to the groups' weights, for these scales."""
    levels = scales[..., None, None] * codebook
    index = np.abs(groups[..., None] - levels).argmin(-1)
    return np.take_along_axis(levels[..., 0, :], index, -1)


def factor_of(products):
    """U with U D U^T = products, unit upper triangular, and D on its diagonal."""
    root = np.linalg.cholesky(products[::-1, ::-1])[::-1, ::-1]
    diagonal = np.diag(root)
    factor = root / diagonal
    np.fill_diagonal(factor, diagonal**2)
    return factor.astype(np.float32)


@pytest.mark.parametrize("outputs, inputs", [(64, 128), (33, 70), (5, 31)])
def test_codes_are_the_nearest_and_scales_the_best_for_them(processor, codebook, outputs, inputs):
    random = np.random.default_rng(outputs)
    matrix = random.standard_normal((outputs, inputs)).astype(np.float32)
    matrix[0] *= 100
    matrix[1, :GROUP] = 0
    scales, values = unpack(library.pack(matrix, "int4"), outputs, inputs, codebook)
    groups = in_groups(matrix)
    width = np.minimum(GROUP, inputs - GROUP * np.arange(groups.shape[1]))
    inside = np.arange(GROUP) < width[:, None]
    error = np.abs(scales[..., None] * values - groups)
    least = np.abs(nearest(groups, scales, codebook) - groups)
    np.testing.assert_allclose(error[:, inside], least[:, inside], rtol=1e-4, atol=1e-5)
    kept = values * inside
    best = (groups * kept).sum(-1) / (kept**2).sum(-1)
    # the codes are those of the scale that was found, not of the last one that was tried
    np.testing.assert_allclose(scales, best, rtol=0.05)
    assert not scales[1, 0]


def test_the_search_leaves_less_error_than_the_largest_weight_as_scale(codebook):
    matrix = np.random.default_rng(0).standard_normal((96, 512)).astype(np.float32)
    groups = in_groups(matrix)
    largest = np.take_along_axis(
        groups, np.abs(groups).argmax(-1)[..., None], -1)[..., 0]
    searched = ((in_groups(restored(matrix, codebook)) - groups) ** 2).sum(-1)
    plain = [((nearest(groups, largest / end, codebook) - groups) ** 2).sum(-1)
             for end in (codebook[0], codebook[-1])]
    assert (searched <= np.minimum(*plain) * 1.02).mean() > 0.95
    assert searched.sum() < 0.9 * min(map(np.sum, plain))
    equidistant = np.arange(16) * 16 - 128
    best = min(((nearest(groups, clip * largest / -128, equidistant) - groups) ** 2).sum()
               for clip in (0.8, 0.9, 1.0, 1.1))
    assert searched.sum() < 0.85 * best
    # the best sixteen values with one scale for all leave 0.0095 (Max, 1960)
    assert searched.sum() / (groups**2).sum() < 0.0055


@pytest.mark.parametrize("outputs, inputs", [(64, 128), (33, 70)])
def test_products_change_less_where_rounding_knows_the_inputs(processor, codebook, outputs, inputs):
    random = np.random.default_rng(1)
    mixing = random.standard_normal((inputs, inputs)) * 0.9 ** np.arange(inputs)[:, None]
    x = random.standard_normal((4000, inputs)) @ mixing + 0.1 * random.standard_normal(inputs)
    matrix = random.standard_normal((outputs, inputs)).astype(np.float32)
    products = x.T @ x / len(x)
    products += 0.05 * np.trace(products) / inputs * np.eye(inputs)

    def error(weights):
        return np.square(x @ (weights - matrix).T).sum()

    calibrated = restored(matrix, codebook, factor_of(products))
    assert error(calibrated) < 0.5 * error(restored(matrix, codebook))
    # for independent inputs of equal size there is nothing to know
    identity = restored(matrix, codebook, np.eye(inputs, dtype=np.float32))
    np.testing.assert_array_equal(identity, restored(matrix, codebook))


def test_weights_of_larger_inputs_are_rounded_more_carefully(codebook):
    random = np.random.default_rng(2)
    matrix = random.standard_normal((64, 256)).astype(np.float32)
    squares = np.exp(random.standard_normal(256))

    def error(weights):
        return (squares * np.square(weights - matrix)).sum()

    weighted = restored(matrix, codebook, np.diag(squares).astype(np.float32))
    assert error(weighted) < 0.97 * error(restored(matrix, codebook))


def test_a_linear_layer_multiplies_what_the_packed_matrix_stands_for(codebook):
    random = np.random.default_rng(3)
    matrix = random.standard_normal((70, 200)).astype(np.float32)
    x = random.integers(-127, 128, (9, 200)).astype(np.float32)
    x[:, ::GROUP] = 127                     # rows whose 8-bit values are themselves
    expected = x @ restored(matrix, codebook).T
    actual = run_cell(Linear(matrix, None, "int4"), x)
    np.testing.assert_allclose(actual, expected, atol=2e-5 * np.abs(expected).max())


def test_a_factor_in_blocks_is_the_whole_one_with_zeros_between_them(codebook):
    random = np.random.default_rng(4)
    inputs = 150
    block = library.factor_block(inputs, 70)
    assert block == 64
    matrix = random.standard_normal((40, inputs)).astype(np.float32)
    whole = np.zeros((inputs, inputs), np.float32)
    parts = np.zeros((inputs, block), np.float32)
    for first in range(0, inputs, block):
        rows = slice(first, min(first + block, inputs))
        size = rows.stop - first
        x = random.standard_normal((300, size)) @ random.standard_normal((size, size))
        parts[rows, :size] = whole[rows, rows] = factor_of(x.T @ x / 300 + np.eye(size))
    expected = restored(matrix, codebook, whole)
    np.testing.assert_array_equal(restored(matrix, codebook, parts), expected)
    assert not np.array_equal(restored(matrix, codebook), expected)


# rows and inputs of a part of a panel, of a chunk and a slab of rows and more; blocks that are
# shorter at the end
@pytest.mark.parametrize("rows, inputs, block", [
    (1, 31, 31), (50, 64, 64), (127, 100, 32), (300, 130, 64), (520, 97, 97), (2000, 200, 200)])
def test_error_factor(processor, rows, inputs, block):
    random = np.random.default_rng(rows)
    mixing = random.standard_normal((inputs, inputs)) * 0.97 ** np.arange(inputs)
    x = (random.standard_normal((rows, inputs)) @ mixing).astype(np.float32)
    damping = 0.02 * np.square(x).mean()
    factor = library.error_factor(x, block, damping)
    assert factor.shape == (inputs, block)
    for first in range(0, inputs, block):
        part = x[:, first:first + block].astype(np.float64)
        size = part.shape[1]
        expected = factor_of(part.T @ part / rows + damping * np.eye(size))
        actual = factor[first:first + size]
        np.testing.assert_allclose(actual[:, :size], expected, rtol=2e-4,
                                   atol=2e-5 * np.abs(expected - np.diag(expected)).max())
        assert not actual[:, size:].any()


def test_error_factor_of_inputs_that_are_zeros():
    factor = library.error_factor(np.zeros((70, 40), np.float32), 40, 1e-30)
    np.testing.assert_allclose(factor, 1e-30 * np.eye(40), rtol=1e-6)
