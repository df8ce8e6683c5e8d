"""What lies outside an utterance is kept at zero."""

from mindspore import Tensor, nn, ops

from sparktts_ms.ops.native.library import kernel


class Kept(nn.Cell):
    """x, or the sum of x and y, where `keep` is 1, and zero where it is 0."""

    def __init__(self):
        super().__init__()
        self.fused = kernel("kept", lambda x, keep: x, lambda x, keep: x)
        self.fused_sum = kernel("add_kept", lambda x, y, keep: x, lambda x, y, keep: x)

    def construct(self, x: Tensor, keep: Tensor) -> Tensor:
        # x [1, C, 1, T], keep [T, 1] -> [1, C, 1, T]
        return self.fused(x, keep) if self.fused is not None else x * self.over_channels(keep, x.shape[1])

    def sum(self, x: Tensor, y: Tensor, keep: Tensor) -> Tensor:
        # x and y [1, C, 1, T], keep [T, 1] -> [1, C, 1, T]
        if self.fused_sum is not None:
            return self.fused_sum(x, y, keep)
        return (x + y) * self.over_channels(keep, x.shape[1])

    def over_channels(self, keep: Tensor, channels: int) -> Tensor:
        # at full size, because broadcasting is dear (see ops/convolution.py); graphs make it once a stage
        return ops.tile(keep.reshape(1, 1, 1, -1), (1, channels, 1, 1))
