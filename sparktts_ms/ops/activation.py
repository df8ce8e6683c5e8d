"""Activations whose CPU kernels need care."""

from mindspore import Tensor, ops


def gelu(x: Tensor) -> Tensor:
    """The exact erf form; `ops.GeLU` is the tanh approximation, 5e-4 off."""
    return ops.gelu(x, approximate="none")


def tanh(x: Tensor) -> Tensor:
    """`ops.tanh` on the CPU is a rational approximation, 1e-4 off; this is within 2e-6."""
    return 2.0 * ops.sigmoid(2.0 * x) - 1.0


def snake(x: Tensor) -> Tensor:
    """x + sin(x)^2. Snake with a frequency a per channel is snake(a x) / a; both scales belong to the neighbours."""
    return x + ops.square(ops.sin(x))
