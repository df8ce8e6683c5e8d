"""Arrays without values, as PyTorch's meta tensors: what is computed of them has the right shape
and data type, and nothing is read or computed.

A network whose packed weights are cached is constructed of them, by the same constructors that
otherwise read and pack. Their values cannot be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class MetaArray(NDArrayOperatorsMixin):
    """An array of which only shape and dtype exist. Using its values raises TypeError."""

    __array_priority__ = 1.0

    def __init__(self, shape: Sequence[int], dtype: Any = np.float32):
        # one element, which strides of zero repeat
        self._layout = np.broadcast_to(np.zeros((), dtype), shape)

    @classmethod
    def like(cls, layout: np.ndarray) -> MetaArray:
        return cls(layout.shape, layout.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._layout.shape

    @property
    def dtype(self) -> np.dtype:
        return self._layout.dtype

    @property
    def ndim(self) -> int:
        return self._layout.ndim

    @property
    def T(self) -> MetaArray:
        return self.transpose()

    def __len__(self) -> int:
        return len(self._layout)

    def __bool__(self) -> bool:
        raise self._no_values()

    def __float__(self) -> float:
        raise self._no_values()

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise self._no_values()

    def _no_values(self) -> TypeError:
        return TypeError(f"An array of shape {self.shape} is used that has no values.")

    def __getitem__(self, index: Any) -> MetaArray:
        return self.like(self._layout[index])

    def reshape(self, *shape: Any) -> MetaArray:
        return self.like(self._layout.reshape(*shape))

    def transpose(self, *axes: Any) -> MetaArray:
        return self.like(self._layout.transpose(*axes))

    def astype(self, dtype: Any) -> MetaArray:
        return MetaArray(self.shape, dtype)

    def sum(self, axis: Any = None, keepdims: bool = False) -> MetaArray:
        axes = range(self.ndim) if axis is None else np.atleast_1d(axis) % self.ndim
        kept = [1 if n in axes else size for n, size in enumerate(self.shape)]
        if not keepdims:
            kept = [size for n, size in enumerate(self.shape) if n not in axes]
        return MetaArray(kept, self.dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or ufunc.nout != 1 or "out" in options:
            return NotImplemented
        shapes = [np.shape(_layout(array)) for array in inputs]
        if ufunc is np.matmul and len(shapes[0]) == len(shapes[1]) == 2:
            shape: tuple[int, ...] = (shapes[0][0], shapes[1][1])
        elif ufunc.signature is None:
            shape = np.broadcast_shapes(*shapes)
        else:
            return NotImplemented
        with np.errstate(all="ignore"):
            # one element of each array tells the data type
            elements = [_element(array) for array in inputs]
            return MetaArray(shape, ufunc(*elements, **options).dtype)

    def __array_function__(self, function: Callable, types: Any, args: Any, options: Any) -> Any:
        if function not in FUNCTIONS:
            return NotImplemented
        return FUNCTIONS[function](*args, **options)


def is_meta(array: Any) -> bool:
    return isinstance(array, MetaArray)


def _layout(array: Any) -> Any:
    return array._layout if is_meta(array) else array


def _element(array: Any) -> Any:
    array = _layout(array)
    return np.ones((1,) * array.ndim, array.dtype) if np.ndim(array) else array


def _concatenate(arrays: Sequence[Any], axis: int = 0) -> MetaArray:
    shape = list(arrays[0].shape)
    shape[axis] = sum(array.shape[axis] for array in arrays)
    return MetaArray(shape, np.result_type(*(array.dtype for array in arrays)))


def _stack(arrays: Sequence[Any], axis: int = 0) -> MetaArray:
    shape = list(arrays[0].shape)
    shape.insert(axis % (len(shape) + 1), len(arrays))
    return MetaArray(shape, np.result_type(*(array.dtype for array in arrays)))


def _pad(array: MetaArray, widths: Sequence[Sequence[int]]) -> MetaArray:
    return MetaArray([before + size + after for size, (before, after)
                      in zip(array.shape, widths, strict=True)], array.dtype)


def _where(condition: Any, *values: Any) -> MetaArray:
    shape = np.broadcast_shapes(*(np.shape(_layout(array)) for array in (condition, *values)))
    return MetaArray(shape, np.result_type(*map(_element, values)))


FUNCTIONS: dict[Callable, Callable] = {
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.pad: _pad,
    np.where: _where,
    np.zeros_like: lambda array: np.zeros(array.shape, array.dtype),
    np.ones_like: lambda array: np.ones(array.shape, array.dtype),
    np.full_like: lambda array, value: np.full(array.shape, value, array.dtype),
}
