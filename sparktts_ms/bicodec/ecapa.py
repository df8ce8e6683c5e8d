"""ECAPA-TDNN frame features of the reference clip; batch norm is a scale and shift after the ReLU.

Source: upstream `ecapa_tdnn.py`; the attentive pooling behind it is not used in inference.
"""

from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.planes import Conv1d, add_gated, plane_to_rows, time_mean
from sparktts_ms.ops.res2 import ConvReluNorm, NormedConv, res2_block
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_batch_norm

SCALE = 8           # channel groups of a Res2 block
BOTTLENECK = 128    # of the squeeze-and-excitation block


class SqueezeExcitation(nn.Cell):
    """A gate for each channel, computed from the channels' means over time."""

    def __init__(self, weights: Checkpoint, channels: int):
        super().__init__()
        self.squeeze = Linear.load(weights.at("linear1"), channels, BOTTLENECK)
        self.excite = Linear.load(weights.at("linear2"), BOTTLENECK, channels)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, C, 1, T] -> [1, C]
        return ops.sigmoid(self.excite(ops.relu(self.squeeze(time_mean(x)))))


class SERes2Block(nn.Cell):
    """x + y gate(y), where y is the output of a Res2 block."""

    def __init__(self, weights: Checkpoint, channels: int, dilation: int):
        super().__init__()
        width = channels // SCALE
        groups = [normed_conv(weights.at(f"1.convs.{n}"), weights.at(f"1.bns.{n}"), width, width, 3)
                  for n in range(SCALE - 1)]
        first = normed_conv(weights.at("0.conv"), weights.at("0.bn"), channels, channels)
        last = normed_conv(weights.at("2.conv"), weights.at("2.bn"), channels, channels)
        self.res2 = res2_block(first, groups, last, dilation)
        self.excitation = SqueezeExcitation(weights.at("3"), channels)

    def construct(self, x: Tensor) -> Tensor:
        y = self.res2(x)
        return add_gated(x, y, self.excitation(y))


class Ecapa(nn.Cell):
    """Mel spectrogram -> frame features of 3 x `channels`."""

    def __init__(self, weights: Checkpoint, mels: int, channels: int):
        super().__init__()
        first = weights.at("layer1")
        self.conv1 = ConvReluNorm(normed_conv(first.at("conv"), first.at("bn"), mels, channels, 5))
        self.blocks = nn.CellList([
            SERes2Block(weights.at(f"layer{n}.se_res2block"), channels, dilation=n)
            for n in (2, 3, 4)])
        kernel = weights.at("conv").take("weight", 3 * channels, 3 * channels, 1)
        self.conv2 = Conv1d(kernel, weights.at("conv").take("bias", 3 * channels))

    def construct(self, mel: Tensor) -> Tensor:
        # mel [M, T] -> [3 C, T]
        x = self.conv1(mint.unsqueeze(mint.unsqueeze(mel, 1), 0))
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        y = ops.relu(self.conv2(ops.concat(outputs, 1)))
        return plane_to_rows(y)


def normed_conv(conv: Checkpoint, norm: Checkpoint, inputs: int, outputs: int,
                kernel_size: int = 1) -> NormedConv:
    """A convolution and the batch norm behind it."""
    kernel = conv.take("weight", outputs, inputs, kernel_size)
    return NormedConv(kernel, conv.take("bias", outputs), *fuse_batch_norm(norm, outputs))
