"""wav2vec 2.0 (XLSR-53, stable layer norm) up to the last layer whose output Spark-TTS reads.

Source: arXiv 2006.11477; transformers' `Wav2Vec2Model`.

Samples beyond the end of the recording are zeros and their frames are shut out by `keep` [T, 1] (1 for a real frame): the
convolutions look at nothing outside their window, the positional convolution reads zeros there, attention ignores them.
"""

from __future__ import annotations

from mindspore import Tensor, nn, ops

from sparktts_ms.config import Wav2Vec2Config
from sparktts_ms.ops.activation import GELU
from sparktts_ms.ops.convolution import Conv1d
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import ChannelNormGELU, LayerNorm
from sparktts_ms.weights.folding import weight_norm
from sparktts_ms.weights.source import WeightSource

# The pre-training heads, the mask vector, and the encoder's final norm, which only the 24th layer feeds.
LEFT_OUT = (r"wav2vec2\.masked_spec_embed", r"wav2vec2\.encoder\.layer_norm\..*", r"quantizer\..*", r"project_hid\..*",
            r"project_q\..*")
BARRED = -1e9


class ConvLayer(nn.Cell):
    """Convolution, LayerNorm over channels, GELU."""

    def __init__(self, weights: WeightSource, inputs: int, outputs: int, taps: int, stride: int):
        super().__init__()
        conv, norm = weights.at("conv"), weights.at("layer_norm")
        self.conv = Conv1d(conv.take("weight", outputs, inputs, taps), conv.take("bias", outputs), stride=stride)
        self.finish = ChannelNormGELU(outputs, norm.take("weight", outputs), norm.take("bias", outputs), 1e-5)

    def construct(self, x: Tensor) -> Tensor:
        # x [1, I, 1, T] -> [1, O, 1, T']
        return self.finish(self.conv(x))


class PositionalConv(nn.Cell):
    """A grouped convolution of 128 taps stands for positions; the extra last frame of an even kernel is dropped."""

    def __init__(self, weights: WeightSource, config: Wav2Vec2Config):
        super().__init__()
        size, taps, groups = config.hidden_size, config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
        self.conv = Conv1d(weight_norm(weights, size, size // groups, taps, gain_axes=(2,)), weights.take("bias", size),
                           padding=taps // 2, groups=groups)
        self.activate = GELU()

    def construct(self, x: Tensor, keep: Tensor) -> Tensor:
        # x [T, C], keep [T, 1] -> [T, C]
        frames = x.shape[0]
        y = self.conv((x * keep).transpose(1, 0).reshape(1, -1, 1, frames))
        return x + self.activate(y.reshape(x.shape[1], -1)[:, :frames].transpose(1, 0))


class SelfAttention(nn.Cell):
    def __init__(self, weights: WeightSource, size: int, heads: int):
        super().__init__()
        self.heads, self.head_dim = heads, size // heads
        scale = self.head_dim**-0.5
        query = weights.at("q_proj")
        self.query = Linear(query.take("weight", size, size) * scale, query.take("bias", size) * scale)
        self.key, self.value, self.out = (linear(weights.at(name), size, size)
                                          for name in ("k_proj", "v_proj", "out_proj"))
        self.scores = ops.BatchMatMul(transpose_b=True)
        self.gather = ops.BatchMatMul()

    def construct(self, x: Tensor, ones: Tensor, barred: Tensor) -> Tensor:
        # x [T, C], ones and barred [heads, T, 1] -> [T, C]; one more dimension carries the mask through the product,
        # since adding a broadcast mask to [heads, T, T] costs a table of that size in every layer
        query = ops.concat([self.split(self.query(x)), ones], -1)
        key = ops.concat([self.split(self.key(x)), barred], -1)
        y = self.gather(ops.softmax(self.scores(query, key), -1), self.split(self.value(x)))
        return self.out(y.transpose(1, 0, 2).reshape(x.shape))

    def split(self, x: Tensor) -> Tensor:
        # [T, C] -> [heads, T, C / heads]
        return x.reshape(-1, self.heads, self.head_dim).transpose(1, 0, 2)


class Layer(nn.Cell):
    def __init__(self, weights: WeightSource, config: Wav2Vec2Config):
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.attention_norm = layer_norm(weights.at("layer_norm"), size, config.layer_norm_eps)
        self.attention = SelfAttention(weights.at("attention"), size, config.num_attention_heads)
        self.feed_norm = layer_norm(weights.at("final_layer_norm"), size, config.layer_norm_eps)
        self.widen = linear(weights.at("feed_forward.intermediate_dense"), size, inner)
        self.narrow = linear(weights.at("feed_forward.output_dense"), inner, size)
        self.activate = GELU()

    def construct(self, x: Tensor, ones: Tensor, barred: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), ones, barred)
        return x + self.narrow(self.activate(self.widen(self.feed_norm(x))))


class Wav2Vec2(nn.Cell):
    """Normalised samples -> the mean of three hidden states (before the encoder's final norm, which is never reached)."""

    def __init__(self, weights: WeightSource, config: Wav2Vec2Config):
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
        self.positions = PositionalConv(base.at("encoder.pos_conv_embed.conv"), config)
        self.layers = nn.CellList([Layer(base.at(f"encoder.layers.{n}"), config) for n in range(config.used_layers)])
        self.mixed, self.heads = config.mixed_layers, config.num_attention_heads

    def construct(self, samples: Tensor, keep: Tensor) -> Tensor:
        # samples [N], keep [T, 1] with T = frames(N) -> [T, C]
        x = samples.reshape(1, 1, 1, -1)
        for conv in self.convs:
            x = conv(x)
        x = x.reshape(x.shape[1], -1).transpose(1, 0)
        x = self.positions(self.project(self.norm(x)), keep)
        barred = ops.tile(((1.0 - keep) * BARRED).reshape(1, -1, 1), (self.heads, 1, 1))
        ones = ops.ones_like(barred)
        total = ops.zeros_like(x)
        for n, layer in enumerate(self.layers):
            x = layer(x, ones, barred)
            if n + 1 in self.mixed:
                total = total + x
        return total / len(self.mixed)


def load_wav2vec2(path, config: Wav2Vec2Config) -> Wav2Vec2:
    """The network from a stock Wav2Vec2ForPreTraining checkpoint; layers that are not run are left out.

    Newer files name the positional convolution's weight norm `parametrizations.weight.original0/1`."""
    pair = "wav2vec2.encoder.pos_conv_embed.conv."
    source = WeightSource(path, renames={
        f"{pair}parametrizations.weight.original0": f"{pair}weight_g",
        f"{pair}parametrizations.weight.original1": f"{pair}weight_v"})
    network = Wav2Vec2(source, config)
    unused = "|".join(str(n) for n in range(config.used_layers, config.num_hidden_layers))
    source.finish((*LEFT_OUT, rf"wav2vec2\.encoder\.layers\.({unused})\..*"))
    return network


def linear(weights: WeightSource, inputs: int, outputs: int) -> Linear:
    return Linear(weights.take("weight", outputs, inputs), weights.take("bias", outputs))


def layer_norm(weights: WeightSource, size: int, eps: float) -> LayerNorm:
    return LayerNorm(size, weights.take("weight", size), weights.take("bias", size), eps)
