"""ECAPA-TDNN frame features of the reference clip; batch norm is a scale and shift after the ReLU.

Source: upstream `ecapa_tdnn.py`; the attentive pooling behind it is not used in inference.
"""

import numpy as np
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.ops.native import library
from sparktts_ms.ops.planes import Conv1d, plane_to_frames
from sparktts_ms.ops.res2 import ConvReluNorm, NormedConv, SqueezeExcitation, res2_block
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_batch_norm

SCALE = 8           # channel groups of a Res2 block
BOTTLENECK = 128    # of the squeeze-and-excitation block


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
        gate = weights.at("3")
        squeeze, excite = gate.at("linear1"), gate.at("linear2")
        self.excitation = SqueezeExcitation(
            squeeze.take("weight", BOTTLENECK, channels), squeeze.take("bias", BOTTLENECK),
            excite.take("weight", channels, BOTTLENECK), excite.take("bias", channels))

    def construct(self, x: Tensor) -> Tensor:
        return self.excitation(x, self.res2(x))


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
        unchanged = np.ones(3 * channels, np.float32)
        bias = weights.at("conv").take("bias", 3 * channels)
        self.native = library.enabled()
        self.conv2 = (ConvReluNorm(NormedConv(kernel, bias, unchanged, 0 * unchanged))
                      if self.native else Conv1d(kernel, bias))

    def construct(self, mel: Tensor) -> Tensor:
        # mel [M, T] -> [T, 3 C]
        x = self.conv1(mel.transpose(1, 0) if self.native
                       else mint.unsqueeze(mint.unsqueeze(mel, 1), 0))
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        y = self.conv2(ops.concat(outputs, 1))
        return y if self.native else plane_to_frames(ops.relu(y))


def normed_conv(conv: Checkpoint, norm: Checkpoint, inputs: int, outputs: int,
                kernel_size: int = 1) -> NormedConv:
    """A convolution and the batch norm behind it."""
    kernel = conv.take("weight", outputs, inputs, kernel_size)
    return NormedConv(kernel, conv.take("bias", outputs), *fuse_batch_norm(norm, outputs))
