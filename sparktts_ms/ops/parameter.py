"""Arrays become constants of a network here, once."""

import numpy as np
from mindspore import Parameter, Tensor


def weight(array: np.ndarray, dtype=None) -> Parameter:
    """A fixed Parameter over `array` (shared, not copied, when it is contiguous and `dtype` is its own)."""
    tensor = Tensor.from_numpy(np.require(array, requirements=["C", "W"]))
    if dtype is not None and tensor.dtype != dtype:
        tensor = tensor.astype(dtype)
    return Parameter(tensor, requires_grad=False)
