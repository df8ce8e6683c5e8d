"""ECAPA-TDNN frame features of the voice clip. Batch norm is a scale and a shift, after the ReLU.
Source: upstream `ecapa_tdnn.py`; the attentive pooling behind it is not used in inference."""

from __future__ import annotations

from mindspore import Tensor, nn, ops

from sparktts_ms.bicodec.backbone import linear
from sparktts_ms.ops.activation import ChannelScale
from sparktts_ms.ops.convolution import Conv1d
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_batch_norm

SCALE = 8           # channel groups of a Res2 block
BOTTLENECK = 128    # of the squeeze-and-excitation block


class ScaledConv(nn.Cell):
    """Convolution, ReLU, batch norm."""

    def __init__(self, conv: Checkpoint, norm: Checkpoint, inputs: int, outputs: int, taps: int = 1,
                 dilation: int = 1):
        super().__init__()
        self.conv = Conv1d(conv.take("weight", outputs, inputs, taps), conv.take("bias", outputs),
                           padding=dilation * (taps // 2), dilation=dilation)
        self.norm = ChannelScale(*fuse_batch_norm(norm, outputs))

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T]
        return self.norm(ops.relu(self.conv(x)))


class Res2(nn.Cell):
    """Channel groups, each convolved after adding the result of the group before; the last stays as it is."""

    def __init__(self, weights: Checkpoint, channels: int, dilation: int):
        super().__init__()
        width = channels // SCALE
        self.convs = nn.CellList([
            ScaledConv(weights.at(f"convs.{n}"), weights.at(f"bns.{n}"), width, width, 3, dilation)
            for n in range(SCALE - 1)])

    def construct(self, x: Tensor) -> Tensor:
        groups = ops.split(x, x.shape[1] // SCALE, 1)
        part = self.convs[0](groups[0])
        parts = [part]
        for n in range(1, SCALE - 1):
            part = self.convs[n](part + groups[n])
            parts.append(part)
        return ops.concat([*parts, groups[SCALE - 1]], 1)


class SqueezeExcite(nn.Cell):
    """Each channel is weighted by a gate computed from the channels' means over time."""

    def __init__(self, weights: Checkpoint, channels: int):
        super().__init__()
        self.squeeze = linear(weights.at("linear1"), channels, BOTTLENECK)
        self.excite = linear(weights.at("linear2"), BOTTLENECK, channels)

    def construct(self, x: Tensor) -> Tensor:
        mean = x.reshape(x.shape[1], -1).mean(1).reshape(1, -1)
        gate = ops.sigmoid(self.excite(ops.relu(self.squeeze(mean))))
        return x * gate.reshape(1, -1, 1, 1)


class ResidualBlock(nn.Cell):
    def __init__(self, weights: Checkpoint, channels: int, dilation: int):
        super().__init__()
        first, last = weights.at("0"), weights.at("2")
        self.first = ScaledConv(first.at("conv"), first.at("bn"), channels, channels)
        self.res2 = Res2(weights.at("1"), channels, dilation)
        self.last = ScaledConv(last.at("conv"), last.at("bn"), channels, channels)
        self.gate = SqueezeExcite(weights.at("3"), channels)

    def construct(self, x: Tensor) -> Tensor:
        return x + self.gate(self.last(self.res2(self.first(x))))


class Ecapa(nn.Cell):
    """Mel spectrogram -> frame features of 3 x `channels`."""

    def __init__(self, weights: Checkpoint, mels: int, channels: int):
        super().__init__()
        first, mix = weights.at("layer1"), weights.at("conv")
        self.first = ScaledConv(first.at("conv"), first.at("bn"), mels, channels, taps=5)
        self.blocks = nn.CellList([ResidualBlock(weights.at(f"layer{n}.se_res2block"), channels, dilation=n)
                                   for n in (2, 3, 4)])
        self.mix = Conv1d(mix.take("weight", 3 * channels, 3 * channels, 1), mix.take("bias", 3 * channels))

    def construct(self, mel: Tensor) -> Tensor:
        # mel [M, T] -> [3 C, T]
        x = self.first(mel.reshape(1, mel.shape[0], 1, -1))
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        y = ops.relu(self.mix(ops.concat(outputs, 1)))
        return y.reshape(y.shape[1], -1)
