"""What lies outside an utterance is kept at zero."""

from mindspore import Tensor, ops


def kept(signal: Tensor, keep: Tensor | None) -> Tensor:
    """A plane [1, C, 1, T] with zeros where `keep` [T, 1] is 0; any signal as it is where `keep` is None."""
    if keep is None:
        return signal
    # at full size, because broadcasting is dear (see ops/convolution.py); graphs make it once a stage
    return signal * ops.tile(keep.reshape(1, 1, 1, -1), (1, signal.shape[1], 1, 1))
