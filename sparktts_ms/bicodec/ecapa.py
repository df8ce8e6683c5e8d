"""ECAPA-TDNN frame features of the reference clip; batch norm is a scale and shift after the ReLU.

Source: upstream `ecapa_tdnn.py`; the attentive pooling behind it is not used in inference.
"""

from mindspore import Tensor, nn, ops

from sparktts_ms.ops.activation import ChannelScale
from sparktts_ms.ops.convolution import Conv1d
from sparktts_ms.ops.linear import Linear
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_batch_norm

SCALE = 8           # channel groups of a Res2 block
BOTTLENECK = 128    # of the squeeze-and-excitation block


class ConvReluNorm(nn.Cell):
    """Convolution, ReLU, batch norm."""

    def __init__(self, conv: Checkpoint, norm: Checkpoint, inputs: int, outputs: int,
                 kernel_size: int = 1, dilation: int = 1):
        super().__init__()
        kernel = conv.take("weight", outputs, inputs, kernel_size)
        self.conv = Conv1d(kernel, conv.take("bias", outputs), dilation=dilation,
                           padding=dilation * (kernel_size // 2))
        self.norm = ChannelScale(*fuse_batch_norm(norm, outputs))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T]
        return self.norm(ops.relu(self.conv(x)))


class Res2Block(nn.Cell):
    """Channel groups, convolved after adding the previous output; the last stays as it is."""

    def __init__(self, weights: Checkpoint, channels: int, dilation: int):
        super().__init__()
        width = channels // SCALE
        convs = []
        for n in range(SCALE - 1):
            convs.append(ConvReluNorm(weights.at(f"convs.{n}"), weights.at(f"bns.{n}"), width,
                                      width, kernel_size=3, dilation=dilation))
        self.convs = nn.CellList(convs)

    def construct(self, x: Tensor) -> Tensor:
        groups = ops.split(x, x.shape[1] // SCALE, 1)
        y = self.convs[0](groups[0])
        outputs = [y]
        for n in range(1, SCALE - 1):
            y = self.convs[n](y + groups[n])
            outputs.append(y)
        return ops.concat([*outputs, groups[SCALE - 1]], 1)


class SqueezeExcitation(nn.Cell):
    """Each channel is multiplied by a gate that is computed from the channels' means over time."""

    def __init__(self, weights: Checkpoint, channels: int):
        super().__init__()
        self.squeeze = Linear.load(weights.at("linear1"), channels, BOTTLENECK)
        self.excite = Linear.load(weights.at("linear2"), BOTTLENECK, channels)

    def construct(self, x: Tensor) -> Tensor:
        mean = x.reshape(x.shape[1], -1).mean(1).reshape(1, -1)
        gate = ops.sigmoid(self.excite(ops.relu(self.squeeze(mean))))
        return x * gate.reshape(1, -1, 1, 1)


class SERes2Block(nn.Cell):
    def __init__(self, weights: Checkpoint, channels: int, dilation: int):
        super().__init__()
        self.conv1 = ConvReluNorm(weights.at("0.conv"), weights.at("0.bn"), channels, channels)
        self.res2 = Res2Block(weights.at("1"), channels, dilation)
        self.conv2 = ConvReluNorm(weights.at("2.conv"), weights.at("2.bn"), channels, channels)
        self.excitation = SqueezeExcitation(weights.at("3"), channels)

    def construct(self, x: Tensor) -> Tensor:
        return x + self.excitation(self.conv2(self.res2(self.conv1(x))))


class Ecapa(nn.Cell):
    """Mel spectrogram -> frame features of 3 x `channels`."""

    def __init__(self, weights: Checkpoint, mels: int, channels: int):
        super().__init__()
        first = weights.at("layer1")
        self.conv1 = ConvReluNorm(first.at("conv"), first.at("bn"), mels, channels, kernel_size=5)
        self.blocks = nn.CellList([
            SERes2Block(weights.at(f"layer{n}.se_res2block"), channels, dilation=n)
            for n in (2, 3, 4)])
        kernel = weights.at("conv").take("weight", 3 * channels, 3 * channels, 1)
        self.conv2 = Conv1d(kernel, weights.at("conv").take("bias", 3 * channels))

    def construct(self, mel: Tensor) -> Tensor:
        # mel [M, T] -> [3 C, T]
        x = self.conv1(mel.reshape(1, mel.shape[0], 1, -1))
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        y = ops.relu(self.conv2(ops.concat(outputs, 1)))
        return y.reshape(y.shape[1], -1)
