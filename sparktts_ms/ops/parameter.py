"""How arrays become constants of a network."""

import numpy as np
from mindspore import Parameter, Tensor

from sparktts_ms.ops.ascend import on_ascend


def weight(array: np.ndarray, dtype=None) -> Parameter:
    """A Parameter without gradient; it shares a contiguous, writable `array` of type `dtype`."""
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
    tensor = Tensor(array)
    return tensor + 0.0 if on_ascend() else tensor       # an eager operator leaves it there
