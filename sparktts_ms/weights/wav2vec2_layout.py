"""What a stock Wav2Vec2ForPreTraining checkpoint contains: names and shapes, worked out from its config.json.

Source: transformers' `Wav2Vec2ForPreTraining`; facebook/wav2vec2-large-xlsr-53 has exactly these 429 tensors.
Linear weights are (out, in), convolutions (out, in / groups, kernel).
"""

from __future__ import annotations

from collections.abc import Collection

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.safetensors_file import MappedWeights

POSITIONAL = "wav2vec2.encoder.pos_conv_embed.conv"
NEWER_NAMES = {f"{POSITIONAL}.parametrizations.weight.original0": f"{POSITIONAL}.weight_g",     # torch >= 2.0 saves
               f"{POSITIONAL}.parametrizations.weight.original1": f"{POSITIONAL}.weight_v"}     # weight norm so

Shapes = dict[str, tuple[int, ...]]


def expected_shapes(config: dict) -> Shapes:
    """Every tensor that must be there, under its older name (`weight_g`, `weight_v`). Raises ModelError."""
    hidden, inner = _size(config, "hidden_size"), _size(config, "intermediate_size")
    taps, groups = _size(config, "num_conv_pos_embeddings"), _size(config, "num_conv_pos_embedding_groups")
    widths, kernels = _sizes(config, "conv_dim"), _sizes(config, "conv_kernel")
    if len(widths) != len(kernels) or hidden % groups:
        raise ModelError("config.json of wav2vec2 contradicts itself: conv_dim and conv_kernel differ in length, "
                         "or num_conv_pos_embedding_groups does not divide hidden_size.")
    shapes: Shapes = {}
    for i, (width, before, kernel) in enumerate(zip(widths, (1, *widths), kernels, strict=False)):
        layer = f"wav2vec2.feature_extractor.conv_layers.{i}"
        shapes |= {f"{layer}.conv.weight": (width, before, kernel), f"{layer}.conv.bias": (width,)}
        shapes |= _norm(f"{layer}.layer_norm", width)
    shapes |= _norm("wav2vec2.feature_projection.layer_norm", widths[-1])
    shapes |= _linear("wav2vec2.feature_projection.projection", hidden, widths[-1])
    shapes |= {f"{POSITIONAL}.bias": (hidden,), f"{POSITIONAL}.weight_g": (1, 1, taps),
               f"{POSITIONAL}.weight_v": (hidden, hidden // groups, taps)}
    shapes |= _norm("wav2vec2.encoder.layer_norm", hidden)
    for i in range(_size(config, "num_hidden_layers")):
        layer = f"wav2vec2.encoder.layers.{i}"
        for role in ("q", "k", "v", "out"):
            shapes |= _linear(f"{layer}.attention.{role}_proj", hidden, hidden)
        shapes |= _norm(f"{layer}.layer_norm", hidden)
        shapes |= _linear(f"{layer}.feed_forward.intermediate_dense", inner, hidden)
        shapes |= _linear(f"{layer}.feed_forward.output_dense", hidden, inner)
        shapes |= _norm(f"{layer}.final_layer_norm", hidden)
    return shapes


def optional_shapes(config: dict) -> Shapes:
    """Tensors of training that may be there or not: the pre-training head and the mask. Raises ModelError."""
    hidden, features = _size(config, "hidden_size"), _sizes(config, "conv_dim")[-1]
    groups = _size(config, "num_codevector_groups")
    codes = groups * _size(config, "num_codevectors_per_group")
    code_width, projected = _size(config, "codevector_dim"), _size(config, "proj_codevector_dim")
    return {"wav2vec2.masked_spec_embed": (hidden,), "quantizer.codevectors": (1, codes, code_width // groups),
            **_linear("quantizer.weight_proj", codes, features),
            **_linear("project_hid", projected, hidden), **_linear("project_q", projected, code_width)}


def check_layout(weights: MappedWeights, config: dict) -> None:
    """See that the tensors of a file are those of its configuration. Raises WeightsError that names the odd ones."""
    found = {NEWER_NAMES.get(name, name): info.shape for name, info in weights.info.items()}
    required = expected_shapes(config)
    known = required | optional_shapes(config)
    reshaped = [name for name in found.keys() & known.keys() if found[name] != known[name]]
    said = [f"{len(names)} tensors {problem} ({_some(names)})" for problem, names in (
        ("are missing", required.keys() - found.keys()), ("are unknown", found.keys() - known.keys()),
        ("have another shape", [f"{name} {list(found[name])} instead of {list(known[name])}" for name in reshaped]),
    ) if names]
    if said:
        raise WeightsError(f"{weights.path} does not fit config.json of wav2vec2: {'; '.join(said)}.")


def _linear(name: str, out: int, into: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _size(config: dict, key: str) -> int:
    return _check_size(config.get(key), key)


def _sizes(config: dict, key: str) -> tuple[int, ...]:
    values = config.get(key)
    if not isinstance(values, list | tuple) or not values:
        raise ModelError(f"config.json of wav2vec2 needs {key} as a list of whole numbers.")
    return tuple(_check_size(value, key) for value in values)


def _check_size(value: object, key: str) -> int:
    if type(value) is not int or not 0 < value < 1 << 20:
        raise ModelError(f"config.json of wav2vec2 needs {key} as a whole number above zero.")
    return value


def _some(names: Collection[str]) -> str:
    return ", ".join(ascii(name[:120])[1:-1] for name in sorted(names)[:3]) + ", ..." * (len(names) > 3)
