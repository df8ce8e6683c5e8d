"""BiCodec and wav2vec 2.0 in the released layout: written from checkpoints, and read back.

python -m recipes.demo_voice.codec.export WORK MODEL_DIR writes the joint checkpoint of WORK, or
those of the vocoder and tokenizer stages where there is none. With --base BASE only prenet and
wave generator are WORK's; every other tensor of BiCodec is BASE's, so that semantic ids and speaker
codes stay the same. Floats are stored as float16, or as its upper half, float8 (e5m2), where that
is exact.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from recipes.demo_voice.config import BICODEC, WAV2VEC2
from recipes.demo_voice.training import submodule_state
from sparktts_ms.files import atomic_write

Weights = dict[str, Tensor]

BICODEC_DIR = "BiCodec"
WAV2VEC2_DIR = "wav2vec2-large-xlsr-53"
BICODEC_PARTS = ("encoder.", "quantizer.", "speaker_encoder.", "prenet.")
NOT_STORED = ("quantizer.steps", "speaker_mel.")
MODEL_CONFIG = """highpass_cutoff_freq: 40
sample_rate: 16000
segment_duration: 2.4
max_val_duration: 12
latent_hop_length: 320
ref_segment_duration: 6
volume_normalize: true
languages: [en]
"""
WAV2VEC2_CONFIG = {
    "architectures": ["Wav2Vec2ForPreTraining"], "model_type": "wav2vec2", "conv_bias": True,
    **WAV2VEC2, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "do_stable_layer_norm": True, "feat_extract_activation": "gelu", "feat_extract_norm": "layer",
    "hidden_act": "gelu", "layer_norm_eps": 1e-05, "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 128, "num_feat_extract_layers": 7,
}
PREPROCESSOR_CONFIG = {
    "do_normalize": True, "feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1,
    "padding_side": "right", "padding_value": 0, "return_attention_mask": True,
    "sampling_rate": 16000,
}


# ---- writing -------------------------------------------------------------------------------------
def load_checkpoints(work: Path) -> tuple[Weights, Weights]:
    """Weights of `Codec` and of `WaveGenerator`."""
    if (work / "joint.pt").exists():
        return submodule_state(work, "joint", "codec"), submodule_state(work, "joint", "generator")
    return (submodule_state(work, "tokenizer", "codec"),
            submodule_state(work, "vocoder", "generator"))


def export_codec(work: Path, model_dir: Path) -> None:
    codec, generator = load_checkpoints(work)
    bicodec = {name: w for name, w in codec.items() if name.startswith(BICODEC_PARTS)}
    bicodec.pop("quantizer.steps")
    for layer in ("quantizer.in_project", "quantizer.out_project"):
        split_weight_norm(bicodec, layer)
    bicodec.update(released_generator(generator))
    save_weights(bicodec, model_dir / BICODEC_DIR)
    write_bicodec_config(model_dir / BICODEC_DIR / "config.yaml")
    (model_dir / "config.yaml").write_text(MODEL_CONFIG)
    prefix = "wav2vec2."
    wav2vec2 = {k.removeprefix(prefix): w for k, w in codec.items() if k.startswith(prefix)}
    export_wav2vec2(wav2vec2, model_dir / WAV2VEC2_DIR)


def export_decoder(work: Path, base: Path, model_dir: Path) -> None:
    """BASE's BiCodec with prenet and wave generator of WORK."""
    codec, generator = load_checkpoints(work)
    weights = load_file(base / BICODEC_DIR / "model.safetensors")
    trained = {name: w for name, w in codec.items() if name.startswith("prenet.")}
    trained.update(released_generator(generator))
    for name, weight in trained.items():
        if weights[name].shape != weight.shape:
            raise ValueError(f"{name} has another shape in {base}")
    save_weights(weights | trained, model_dir / BICODEC_DIR)
    shutil.copy(base / BICODEC_DIR / "config.yaml", model_dir / BICODEC_DIR)


def released_generator(generator: Weights) -> Weights:
    weights = {f"decoder.{name}": w for name, w in generator.items()}
    for name in list(weights):
        if name.endswith(".weight"):
            split_weight_norm(weights, name.removesuffix(".weight"))
    return weights


def split_weight_norm(weights: Weights, layer: str) -> None:
    """Replace a layer's weight by direction and, for each index of axis 0, magnitude. The direction
    of zeros is ones, for PyTorch divides by its length."""
    v = weights.pop(f"{layer}.weight")
    if v.ndim == 2:                     # linear layers of the quantizer are 1x1 convolutions there
        v = v[:, :, None]
    magnitude = v.double().square().sum(tuple(range(1, v.ndim)), keepdim=True).sqrt().float()
    weights[f"{layer}.weight_v"] = torch.where(magnitude == 0, torch.ones_like(v), v)
    weights[f"{layer}.weight_g"] = magnitude


def write_bicodec_config(path: Path) -> None:
    lines = ["audio_tokenizer:"]
    for section, values in BICODEC.items():
        lines.append(f"  {section}:")
        for key, value in values.items():
            lines.append(f"    {key}: {'null' if value is None else value}")
    path.write_text("\n".join(lines) + "\n")


def export_wav2vec2(weights: Weights, folder: Path) -> None:
    """The trained blocks, then identities: blocks whose output layers are zero."""
    conv = "encoder.pos_conv_embed.conv"
    v = weights.pop(f"{conv}.weight")
    weights[f"{conv}.weight_v"] = v
    weights[f"{conv}.weight_g"] = v.double().square().sum((0, 1), keepdim=True).sqrt().float()
    first_block = "encoder.layers.0."
    block = [name for name in weights if name.startswith(first_block)]
    for n in range(WAV2VEC2["num_hidden_layers"]):
        for first_name in block:
            name = first_name.removeprefix(first_block)
            fill = 1.0 if name.endswith("norm.weight") else 0.0
            identity = torch.full_like(weights[first_name], fill)
            weights.setdefault(f"encoder.layers.{n}.{name}", identity)
    weights["encoder.layer_norm.weight"] = torch.ones(WAV2VEC2["hidden_size"])
    weights["encoder.layer_norm.bias"] = torch.zeros(WAV2VEC2["hidden_size"])
    save_weights({f"wav2vec2.{name}": w for name, w in weights.items()}, folder)
    write_json(folder / "config.json", WAV2VEC2_CONFIG)
    write_json(folder / "preprocessor_config.json", PREPROCESSOR_CONFIG)


def write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")


def save_weights(weights: Weights, folder: Path) -> None:
    stored = {name: to_stored_dtype(name, weight) for name, weight in weights.items()}
    with atomic_write(folder / "model.safetensors", overwrite=True) as file:
        file.write(save(stored, metadata={"format": "pt"}))


def to_stored_dtype(name: str, weight: Tensor) -> Tensor:
    """float16, or float8 (e5m2) where every value has only zeros in its lower half."""
    if not weight.is_floating_point():
        return weight
    half = weight.float().half()
    if not half.isfinite().all():
        raise ValueError(f"{name} exceeds the range of float16")
    if (half.view(torch.int16) & 255).any():
        return half.contiguous()
    return half.to(torch.float8_e5m2).contiguous()


# ---- reading -------------------------------------------------------------------------------------
@torch.no_grad()
def load_released_codec(model_dir: Path, codec: nn.Module, generator: nn.Module) -> None:
    """Fill `Codec` and `WaveGenerator` from a model directory; the inverse of `export_codec`."""
    bicodec = fused_weights(model_dir / BICODEC_DIR)
    fill_network(codec, bicodec | fused_weights(model_dir / WAV2VEC2_DIR))
    fill_network(generator, bicodec, "decoder.")


def fill_network(net: nn.Module, weights: Weights, prefix: str = "") -> None:
    for name, tensor in net.state_dict().items():
        if not name.startswith(NOT_STORED):
            tensor.copy_(weights[prefix + name].reshape(tensor.shape))


def fused_weights(folder: Path) -> Weights:
    """All weights as float32, direction and magnitude fused."""
    stored = load_file(folder / "model.safetensors")
    weights = {name: w.float() for name, w in stored.items()}
    for name in stored:
        if not name.endswith(".weight_v"):
            continue
        layer = name.removesuffix("_v")
        v = weights.pop(f"{layer}_v")
        magnitude = weights.pop(f"{layer}_g")
        axes = [axis for axis, size in enumerate(magnitude.shape) if size == 1]
        weights[layer] = v * (magnitude / torch.linalg.vector_norm(v, dim=axes, keepdim=True))
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--base", type=Path, help="model directory of which the rest is taken")
    args = parser.parse_args()
    if args.base:
        export_decoder(args.work, args.base, args.model_dir)
    else:
        export_codec(args.work, args.model_dir)


if __name__ == "__main__":
    main()
