"""Arrays without values have the shapes and dtypes that NumPy gives."""

import numpy as np
import pytest

from sparktts_ms.ops.linear import interleave
from sparktts_ms.ops.toom_cook import transform_filters
from sparktts_ms.weights.meta_array import MetaArray

SHAPE = (4, 6, 7)


def fuse(array):
    squares = np.square(array, dtype=np.float64).sum(axis=(1, 2), keepdims=True)
    return (array * (array[:, :1, :1] / np.sqrt(squares))).astype(np.float32)


@pytest.mark.parametrize("compute", [
    lambda a: a * 2.0,
    lambda a: np.float32(2) * a + 1e-5,
    lambda a: a * np.ones(7, np.float32),
    lambda a: np.ones(7, np.float64) / a,
    lambda a: -a[:, None, ::2, 1:],
    lambda a: a.sum(), lambda a: a.sum(axis=1), lambda a: a.sum(axis=(0, -1), keepdims=True),
    lambda a: a.reshape(-1, 7).T,
    lambda a: a.transpose(0, 2, 1).reshape(4, -1),
    lambda a: a[0] @ np.ones((7, 3), np.float32),
    lambda a: np.ones((5, 6)) @ a[0],
    lambda a: np.concatenate([a, a[:, :2]], axis=1),
    lambda a: np.concatenate([a[:2], a]),
    lambda a: np.stack([a, a], 1), lambda a: np.stack([a, a], -1),
    lambda a: np.where(np.abs(a) < 1e-6, np.float32(1e-6), a),
    lambda a: np.pad(a[0], ((0, 3), (1, 0))),
    lambda a: interleave(a[0], a[1]),
    transform_filters, fuse], ids=range(21))
def test_shapes_and_dtypes(compute):
    expected = compute(np.ones(SHAPE, np.float32))
    result = compute(MetaArray(SHAPE))
    assert isinstance(result, MetaArray)
    assert (result.shape, result.dtype) == (np.shape(expected), expected.dtype)
    assert result.ndim == np.ndim(expected)


@pytest.mark.parametrize("use", [
    bool, float, lambda a: a @ a.transpose(0, 2, 1), np.asarray, np.array,
    lambda a: np.concatenate([a, np.asarray(a)]),
    lambda a: np.add(a, 1, out=np.ones(SHAPE, np.float32)), np.linalg.norm, np.add.accumulate,
    lambda a: float(a[0, 0, 0])], ids=range(10))
def test_values_cannot_be_used(use):
    with pytest.raises(TypeError):
        use(MetaArray(SHAPE))


def test_constants_of_the_same_shape_have_values():
    np.testing.assert_array_equal(np.zeros_like(MetaArray((2,))), np.zeros(2, np.float32))
    np.testing.assert_array_equal(np.full_like(MetaArray((2,)), 3), np.full(2, 3, np.float32))
