"""wav2vec 2.0 (XLSR-53, stable layer norm) up to the last layer whose output Spark-TTS reads.

Source: arXiv 2006.11477; transformers' `Wav2Vec2Model`.

Samples beyond the end of the recording are zeros and their frames are shut out by `keep` [T, 1] (1 for a real frame; None
if there are no others): the
convolutions look at nothing outside their window, the positional convolution reads zeros there, attention ignores them.
"""

from __future__ import annotations

import numpy as np
from mindspore import Tensor, nn, ops

from sparktts_ms.config import Wav2Vec2Config
from sparktts_ms.ops.attention import SelfAttention
from sparktts_ms.ops.convolution import Conv, PositionConv, as_rows, as_signal
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import LayerNorm
from sparktts_ms.weights.checkpoint import Checkpoint, fuse_weight_norm

# The pre-training heads, the mask vector, and the encoder's final norm, which only the 24th layer feeds.
LEFT_OUT = (r"wav2vec2\.masked_spec_embed", r"wav2vec2\.encoder\.layer_norm\..*", r"quantizer\..*", r"project_hid\..*",
            r"project_q\..*")


class ConvLayer(nn.Cell):
    """Convolution, LayerNorm over channels, GELU, on signals."""

    def __init__(self, weights: Checkpoint, inputs: int, outputs: int, taps: int, stride: int):
        super().__init__()
        conv, norm = weights.at("conv"), weights.at("layer_norm")
        self.conv = Conv(conv.take("weight", outputs, inputs, taps), conv.take("bias", outputs), stride)
        self.finish = LayerNorm(norm.take("weight", outputs), norm.take("bias", outputs), 1e-5, gelu=True)

    def construct(self, x: Tensor) -> Tensor:
        # T frames -> T' frames
        return as_signal(self.finish(as_rows(self.conv(x))))


class Attention(nn.Cell):
    def __init__(self, weights: Checkpoint, size: int, heads: int):
        super().__init__()
        parts = [weights.at(name) for name in ("q_proj", "k_proj", "v_proj")]
        matrices, biases = ([part.take("weight", size, size) for part in parts], [part.take("bias", size) for part in parts])
        scale = np.float32((size // heads)**-0.5)
        self.query_key_value = Linear(np.concatenate([matrices[0] * scale, *matrices[1:]]),
                                      np.concatenate([biases[0] * scale, *biases[1:]]))
        self.attend = SelfAttention(heads, size // heads)
        self.out = linear(weights.at("out_proj"), size, size)

    def construct(self, x: Tensor, residual: Tensor, keep: Tensor | None) -> Tensor:
        # x and residual [T, C], keep [T, 1] or None -> [T, C]
        return self.out(self.attend(self.query_key_value(x), keep), residual)


class Layer(nn.Cell):
    def __init__(self, weights: Checkpoint, config: Wav2Vec2Config):
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.attention_norm = layer_norm(weights.at("layer_norm"), size, config.layer_norm_eps)
        self.attention = Attention(weights.at("attention"), size, config.num_attention_heads)
        self.feed_norm = layer_norm(weights.at("final_layer_norm"), size, config.layer_norm_eps)
        self.widen = linear(weights.at("feed_forward.intermediate_dense"), size, inner, gelu=True)
        self.narrow = linear(weights.at("feed_forward.output_dense"), inner, size)

    def construct(self, x: Tensor, keep: Tensor | None) -> Tensor:
        x = self.attention(self.attention_norm(x), x, keep)
        return self.narrow(self.widen(self.feed_norm(x)), x)


class Wav2Vec2(nn.Cell):
    """Normalised samples -> the mean of three hidden states (before the encoder's final norm, which is never reached)."""

    def __init__(self, weights: Checkpoint, config: Wav2Vec2Config):
        super().__init__()
        base, channels, convs = weights.at("wav2vec2"), 1, []
        for n, (outputs, taps, stride) in enumerate(zip(config.conv_dim, config.conv_kernel, config.conv_stride,
                                                        strict=True)):
            convs.append(ConvLayer(base.at(f"feature_extractor.conv_layers.{n}"), channels, outputs, taps, stride))
            channels = outputs
        self.convs = nn.CellList(convs)
        projection = base.at("feature_projection")
        self.norm = layer_norm(projection.at("layer_norm"), channels, config.layer_norm_eps)
        self.project = linear(projection.at("projection"), channels, config.hidden_size)
        conv, size = base.at("encoder.pos_conv_embed.conv"), config.hidden_size
        groups = config.num_conv_pos_embedding_groups
        kernel = fuse_weight_norm(conv, size, size // groups, config.num_conv_pos_embeddings, gain_axes=(2,))
        self.positions = PositionConv(kernel, conv.take("bias", size), groups)
        self.layers = nn.CellList([Layer(base.at(f"encoder.layers.{n}"), config) for n in range(config.used_layers)])
        self.mixed = config.mixed_layers

    def construct(self, samples: Tensor, keep: Tensor | None) -> Tensor:
        # samples [N], keep [T, 1] with T = frames(N), or None -> [T, C]
        x = as_signal(samples.reshape(-1, 1))
        for conv in self.convs:
            x = conv(x)
        x = self.positions(self.project(self.norm(as_rows(x))), keep)
        total = ops.zeros_like(x)
        for n, layer in enumerate(self.layers):
            x = layer(x, keep)
            if n + 1 in self.mixed:
                total = total + x
        return total / len(self.mixed)


def load_wav2vec2(path, config: Wav2Vec2Config) -> Wav2Vec2:
    """The network from a stock Wav2Vec2ForPreTraining checkpoint; layers that are not run are left out.

    Newer files name the positional convolution's weight norm `parametrizations.weight.original0/1`."""
    pair = "wav2vec2.encoder.pos_conv_embed.conv."
    source = Checkpoint(path, renames={
        f"{pair}parametrizations.weight.original0": f"{pair}weight_g",
        f"{pair}parametrizations.weight.original1": f"{pair}weight_v"})
    network = Wav2Vec2(source, config)
    unused = "|".join(str(n) for n in range(config.used_layers, config.num_hidden_layers))
    source.finish((*LEFT_OUT, rf"wav2vec2\.encoder\.layers\.({unused})\..*"))
    return network


def linear(weights: Checkpoint, inputs: int, outputs: int, gelu: bool = False) -> Linear:
    return Linear(weights.take("weight", outputs, inputs), weights.take("bias", outputs), gelu=gelu)


def layer_norm(weights: Checkpoint, size: int, eps: float) -> LayerNorm:
    return LayerNorm(weights.take("weight", size), weights.take("bias", size), eps)
