"""wav2vec 2.0 (XLSR-53, stable layer norm) up to the last layer that Spark-TTS uses.

Source: arXiv 2006.11477; transformers' `Wav2Vec2Model`.

Padding samples are zeros, and attention and the positional convolution ignore their frames
(`mask` [T, 1] is 1 for a valid frame; None: all are valid).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from mindspore import Tensor, mint, nn

from sparktts_ms.config import Wav2Vec2Config
from sparktts_ms.ops.attention import fuse_qkv
from sparktts_ms.ops.convolution import PositionalConv, conv, to_conv_layout, to_frames
from sparktts_ms.ops.linear import Linear
from sparktts_ms.ops.normalization import LayerNorm
from sparktts_ms.ops.self_attention import SelfAttention, attention_mask
from sparktts_ms.runtime import Runtime
from sparktts_ms.weights.checkpoint import Checkpoint, Layout, fuse_weight_norm

T = TypeVar("T")

POSITIONAL_CONV = "wav2vec2.encoder.pos_conv_embed.conv"
LAYERS = "wav2vec2.encoder.layers"
LAYOUT = Layout("wav2vec2.", "feature_projection.projection.weight",
                ("quantizer.", "project_hid.", "project_q.", "lm_head."))
# The pre-training heads, the mask vector, and the encoder's final norm, after the 24th layer.
UNUSED_TENSORS = (r"wav2vec2\.masked_spec_embed", r"wav2vec2\.encoder\.layer_norm\..*",
                  r"quantizer\..*", r"project_hid\..*", r"project_q\..*")


class ConvLayer(nn.Cell):
    """Convolution, LayerNorm over channels, GELU, in convolution layout."""

    def __init__(self, weights: Checkpoint, inputs: int, outputs: int, size: int, stride: int):
        super().__init__()
        kernel = weights.at("conv").take("weight", outputs, inputs, size)
        self.conv = conv(kernel, weights.at("conv").take("bias", outputs), stride)
        self.norm = LayerNorm.load(weights.at("layer_norm"), outputs, 1e-5, gelu=True)

    def construct(self, x: Tensor) -> Tensor:
        return to_conv_layout(self.norm(to_frames(self.conv(x))))


class EncoderLayer(nn.Cell):
    def __init__(self, weights: Checkpoint, config: Wav2Vec2Config):
        super().__init__()
        size = config.hidden_size
        inner = config.intermediate_size
        eps = config.layer_norm_eps
        self.norm = LayerNorm.load(weights.at("layer_norm"), size, eps)
        heads = config.num_attention_heads
        attention = weights.at("attention")
        self.qkv_proj = Linear(*fuse_qkv(attention, size, heads, heads, size // heads),
                               frames=True)
        self.attention = SelfAttention(heads, size // heads)
        self.out_proj = Linear.load(attention.at("out_proj"), size, size)
        self.final_norm = LayerNorm.load(weights.at("final_layer_norm"), size, eps)
        feed_forward = weights.at("feed_forward")
        self.up_proj = Linear.load(feed_forward.at("intermediate_dense"), size, inner, gelu=True)
        self.down_proj = Linear.load(feed_forward.at("output_dense"), inner, size)

    def construct(self, x: Tensor, mask: Tensor | None) -> Tensor:
        # x [T, C], mask from `attention_mask` -> [T, C]
        x = self.out_proj(self.attention(self.qkv_proj(self.norm(x)), mask), x)
        return self.down_proj(self.up_proj(self.final_norm(x)), x)


class FrontEnd(nn.Cell):
    """Normalised samples -> the first layer's input."""

    def __init__(self, weights: Checkpoint, config: Wav2Vec2Config):
        super().__init__()
        size = config.hidden_size
        channels = 1
        convs = []
        shapes = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
        for n, (outputs, kernel_size, stride) in enumerate(shapes):
            layer = weights.at(f"wav2vec2.feature_extractor.conv_layers.{n}")
            convs.append(ConvLayer(layer, channels, outputs, kernel_size, stride))
            channels = outputs
        self.conv_layers = nn.CellList(convs)
        projection = weights.at("wav2vec2.feature_projection")
        self.norm = LayerNorm.load(projection.at("layer_norm"), channels, config.layer_norm_eps)
        self.in_proj = Linear.load(projection.at("projection"), channels, size)
        positional = weights.at(POSITIONAL_CONV)
        groups = config.num_conv_pos_embedding_groups
        kernel = fuse_weight_norm(positional, size, size // groups, config.num_conv_pos_embeddings,
                                  gain_axes=(2,))
        self.positional_conv = PositionalConv(kernel, positional.take("bias", size), groups)

    def construct(self, samples: Tensor, mask: Tensor | None) -> Tensor:
        # samples [N], mask [T, 1] with T = frames(N), or None -> [T, C]
        x = to_conv_layout(mint.unsqueeze(samples, 1))
        for layer in self.conv_layers:
            x = layer(x)
        return self.positional_conv(self.in_proj(self.norm(to_frames(x))), mask)


class Wav2Vec2(nn.Cell):
    """Normalised samples -> the mean of the hidden states that `config.mixed_layers` names.

    layers: an EncoderLayer for each layer that is used, or what yields them one after another.
    """

    def __init__(self, front_end: FrontEnd, layers: Iterable[EncoderLayer],
                 config: Wav2Vec2Config):
        super().__init__()
        self.front_end = front_end
        self.layers = layers
        self.mixed_layers = config.mixed_layers

    def construct(self, samples: Tensor, mask: Tensor | None) -> Tensor:
        # samples [N], mask [T, 1] with T = frames(N), or None -> [T, C]
        x = self.front_end(samples, mask)
        mask = attention_mask(mask)
        mixed = []
        for n, layer in enumerate(self.layers):
            x = layer(x, mask)
            if n + 1 in self.mixed_layers:
                mixed.append(x)
        total = mixed[0]
        for x in mixed[1:]:
            total = total + x
        return total / len(self.mixed_layers)


class LayerStream:
    """The encoder's layers, each loaded when it is its turn and freed afterwards, so that one is in
    memory at a time."""

    def __init__(self, load: Callable[[int], EncoderLayer], count: int, runtime: Runtime):
        self._load = load
        self._count = count
        self._runtime = runtime

    def __iter__(self) -> Iterator[EncoderLayer]:
        for n in range(self._count):
            yield self._load(n)
            self._runtime.release_memory()


def load_wav2vec2(path: Path, config: Wav2Vec2Config, runtime: Runtime | None = None) -> Wav2Vec2:
    """The network from a Wav2Vec2ForPreTraining checkpoint, without the layers that are not used.

    runtime: keeps the packed weights, where it has a cache; with its `low_memory` layers are loaded
    when they compute. Raises WeightsError for a checkpoint that does not fit `config`.
    """
    weights = Checkpoint(path, LAYOUT)

    def construct(network: Callable[[Checkpoint], T], part: str) -> T:
        if runtime is None:
            return network(weights.untaken())
        return runtime.construct(network, weights.untaken(), part, config, mapped=True)

    def front_end(weights: Checkpoint) -> FrontEnd:
        network = FrontEnd(weights, config)
        weights.finish((*UNUSED_TENSORS, rf"{re.escape(LAYERS)}\..*"))
        return network

    def load_layer(n: int) -> EncoderLayer:
        def layer(weights: Checkpoint) -> EncoderLayer:
            network = EncoderLayer(weights.at(f"{LAYERS}.{n}"), config)
            weights.finish((rf"(?!{re.escape(LAYERS)}\.{n}\.).*",))
            return network

        return construct(layer, f"layer {n}")

    front = construct(front_end, "front end")
    if runtime is not None and runtime.low_memory:
        return Wav2Vec2(front, LayerStream(load_layer, config.used_layers, runtime), config)
    layers = nn.CellList([load_layer(n) for n in range(config.used_layers)])
    return Wav2Vec2(front, layers, config)
