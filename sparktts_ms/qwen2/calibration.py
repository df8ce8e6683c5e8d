"""What 4-bit rounding has to know: the inputs of each matrix for a few prompts, as layers compute
them while they are constructed, one after another.

A weight is rounded as what makes up for the errors of those before it, so that the products of such
inputs change least. Source: arXiv 2210.17323 (GPTQ), in the form of arXiv 2307.13304 (LDLQ).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mindspore import Tensor, nn

from sparktts_ms.ops.native import library
from sparktts_ms.weights import memory

# Inputs that make up for each other's errors, at most: the time grows with its square. All 4864 of
# the released size would leave two thirds of the error that blocks of 1216 leave.
BLOCK = 1280
DAMPING = 0.1       # of the mean square, added to each input's, since prompts are few


class Calibration:
    """None: what a layer's constructor asks and tells, in the order of its matrices."""

    def factor(self, dtype: str, eps: float | None = None) -> np.ndarray | None:
        """For a matrix that will be stored as `dtype`, the factor of its inputs; None where that
        needs none. eps: they pass an RMS norm before."""
        return None

    def attend(self, qkv_proj: nn.Cell, attention: nn.Cell) -> None:
        """The next inputs are what the attention makes of the hidden states."""

    def activate(self, gate_up_proj: nn.Cell) -> None:
        """The next inputs are the activated ones of the feed-forward network."""

    def add(self, projection: nn.Cell) -> None:
        """The projection of the inputs is added to the hidden states, which are the next inputs."""


class Prompts(Calibration):
    """The hidden states of some prompts, computed by the layers that are there, quantized as they
    are.

    embeddings: of each prompt, [T, C] each; prompt n is computed in slot n of the KV cache.
    """

    def __init__(self, embeddings: Sequence[np.ndarray]):
        lengths = [len(rows) for rows in embeddings]
        positions = np.concatenate([np.arange(length) for length in lengths])
        slots = np.repeat(np.arange(len(lengths)), lengths)
        self._step = Tensor(positions.astype(np.int32)), Tensor(slots.astype(np.int32))
        self._states = Tensor(np.concatenate(embeddings))
        self._inputs = self._states

    def factor(self, dtype: str, eps: float | None = None) -> np.ndarray | None:
        if dtype != "int4":
            return None
        inputs = self._inputs.asnumpy()
        if eps is not None:
            inputs = inputs / np.sqrt(np.square(inputs).mean(-1, keepdims=True) + eps)
        return error_factor(inputs)

    def attend(self, qkv_proj: nn.Cell, attention: nn.Cell) -> None:
        self._inputs = attention(qkv_proj(self._states), *self._step)
        for cache in (attention.keys, attention.values):
            memory.make_zero(cache.data_ptr(), cache.nbytes)

    def activate(self, gate_up_proj: nn.Cell) -> None:
        self._inputs = gate_up_proj(self._states)

    def add(self, projection: nn.Cell) -> None:
        self._states = self._inputs = projection(self._inputs, self._states)


NO_CALIBRATION = Calibration()


def error_factor(rows: np.ndarray) -> np.ndarray:
    """The factor of the rows [R, I] of a product (see `library.pack`), float32 [I, block]."""
    block = library.factor_block(rows.shape[1], BLOCK)
    mean_square = np.einsum("ri,ri->r", rows, rows).mean() / rows.shape[1]
    return library.error_factor(rows, block, DAMPING * mean_square + np.finfo(np.float32).tiny)
