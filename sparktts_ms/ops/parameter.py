"""How arrays become constants of a network: computed from a checkpoint, or from the weight cache.

While a network is constructed from the cache, its constructors compute shapes only (MetaArray), and
each constant takes the next of the arrays that were kept when it was first constructed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import numpy as np
from mindspore import Parameter, Tensor

from sparktts_ms.ops.ascend import on_ascend
from sparktts_ms.weights.checkpoint import Checkpoint
from sparktts_ms.weights.weight_cache import WeightCache

T = TypeVar("T")
Stored = Callable[[np.ndarray], np.ndarray]      # what an array passes on its way into the network

_stored: ContextVar[Stored | None] = ContextVar("stored", default=None)


def weight(array: np.ndarray, dtype=None) -> Parameter:
    """A Parameter without gradient; it shares a contiguous, writable `array` of type `dtype`."""
    return parameter(_pass(array), dtype)


def parameter(array: np.ndarray, dtype=None) -> Parameter:
    """Like `weight`, for what is no weight, such as a KV cache: it is never kept."""
    tensor = Tensor.from_numpy(np.require(array, requirements=["C", "W"]))
    if dtype is not None and tensor.dtype != dtype:
        tensor = tensor.astype(dtype)
    # the constructor copies, so it gets a placeholder
    parameter = Parameter(Tensor(np.zeros(1, np.float32), tensor.dtype), requires_grad=False)
    parameter.set_data(tensor, slice_shape=True)
    return parameter


def constant(array: np.ndarray) -> Tensor:
    """A Tensor on the device, for what a network reads more than once.

    In graph mode on Ascend a Parameter is copied at each read if there are views between them.
    """
    tensor = Tensor(_pass(array))
    return tensor + 0.0 if on_ascend() else tensor       # an eager operator leaves it there


def _pass(array: np.ndarray) -> np.ndarray:
    stored = _stored.get()
    return array if stored is None else stored(array)


class _Mismatch(Exception):
    """A kept file that does not fit the network."""


def construct(network: Callable[[Checkpoint], T], weights: Checkpoint, cache: WeightCache | None,
              *settings: object, allocate: Callable[[int], np.ndarray] | None = None) -> T:
    """network(weights), from the cache where it was constructed before with the same settings.

    settings: all that the constants depend on beside weights and code. allocate: makes the memory
    for what is read from the cache; None: it is mapped. Raises WeightsError.
    """
    key = cache.key(weights.file.paths, weights.prefix, *settings) if cache is not None else None
    if cache is None or key is None:
        return network(weights)
    arrays = cache.read(key, allocate)
    if arrays is not None:
        try:
            with _replay(arrays):
                return network(weights.without_values())
        except _Mismatch:
            cache.discard(key)
    taken_before = weights.without_values()
    with cache.writer(key) as writer:

        def keep(array: np.ndarray) -> np.ndarray:
            writer.append(array)
            return array

        with _passing(keep):
            made = network(weights)
    arrays = cache.read(key, None) if allocate is None else None
    if arrays is None:
        return made
    del made                # a mapped file's pages can be freed, and are in memory already
    with _replay(arrays):
        return network(taken_before)


@contextmanager
def _replay(arrays: list[np.ndarray]) -> Iterator[None]:
    """Each constant takes the next array. Raises _Mismatch unless they fit."""
    remaining = iter(arrays)

    def take(array: np.ndarray) -> np.ndarray:
        stored = next(remaining, None)
        if stored is None or stored.shape != array.shape or stored.dtype != array.dtype:
            raise _Mismatch
        return stored

    with _passing(take):
        yield
    if next(remaining, None) is not None:
        raise _Mismatch


@contextmanager
def _passing(stored: Stored) -> Iterator[None]:
    token = _stored.set(stored)
    try:
        yield
    finally:
        _stored.reset(token)
