"""Writes the trained codec, and a language model still to be trained, as a model directory in the released layout.

python export.py WORK MODEL: BiCodec and wav2vec 2.0 from WORK/content.pt and WORK/generator.pt (or WORK/joint.pt, where there is
one), floats as float16 or half of that; the tokenizer, and a language model of random weights for `python -m cli.finetune`. A
language model that MODEL already holds is left alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from evaluation.sentences import sentences
from recipes.demo_voice.config import BICODEC, LLM, TEXT_TOKENS, WAV2VEC2
from sparktts_ms.weights.safetensors_file import TensorInfo, write_safetensors

CONFIG = """highpass_cutoff_freq: 40
sample_rate: 16000
segment_duration: 2.4
max_val_duration: 12
latent_hop_length: 320
ref_segment_duration: 6
volume_normalize: true
"""
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")                                                 # Qwen2's way to cut text before merges
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
FAMILIES = {"bicodec_global": math.prod(BICODEC["speaker_encoder"]["fsq_levels"]),
            "bicodec_semantic": BICODEC["quantizer"]["codebook_size"], "pitch_value": 1001, "pitch_label": 5,
            "speed_value": 11, "speed_label": 5, "gender": 3}
PARTS = ("content", "style_label", "acoustic_token", "global_token", "semantic_token")
MARKS = ("task_tts", "task_controllable_tts", *(f"start_{part}" for part in PARTS), *(f"end_{part}" for part in PARTS))


# ---- codec ----------------------------------------------------------------------------------------------------------------
def trained(work: Path) -> tuple[dict, dict]:
    """State dicts of the codec's parts and of the generator."""
    def part(stage: str, prefix: str) -> dict:
        net = torch.load(work / f"{stage}.pt", weights_only=True)["net"]
        return {k.removeprefix(prefix): v.numpy() for k, v in net.items() if k.startswith(prefix)}
    if (work / "joint.pt").exists():
        return part("joint", "codec."), part("joint", "generator.")
    return part("content", "codec."), part("generator", "generator.")


def with_norm(weights: dict, name: str) -> dict:
    """A plain weight as the released pair: direction and, for each index of axis 0, length. Zeros have a direction too, for
    PyTorch divides by its length."""
    v = weights.pop(f"{name}.weight")
    v = v[:, :, None] if v.ndim == 2 else v                  # linear layers of the quantizer are 1x1 convolutions there
    length = np.sqrt((v.astype(np.float64) ** 2).sum(axis=tuple(range(1, v.ndim)), keepdims=True)).astype(np.float32)
    v = np.where(length == 0, np.float32(1), v)
    return {f"{name}.weight_v": v, f"{name}.weight_g": length, f"{name}.bias": weights.pop(f"{name}.bias")}


def write_codec(work: Path, model: Path) -> None:
    codec, generator = trained(work)
    bicodec = {k: v for k, v in codec.items() if k.split(".")[0] in ("encoder", "quantizer", "speaker_encoder", "prenet")}
    bicodec.pop("quantizer.steps")
    bicodec.update({f"decoder.{k}": v for k, v in generator.items()})
    convolutions = [k.removesuffix(".weight") for k, v in bicodec.items() if k.startswith("decoder.") and k.endswith(".weight")]
    for name in [*convolutions, "quantizer.in_project", "quantizer.out_project"]:
        bicodec.update(with_norm(bicodec, name))
    save(bicodec, model / "BiCodec")
    lines = ["audio_tokenizer:"]
    for section, values in BICODEC.items():
        lines += [f"  {section}:", *(f"    {k}: {'null' if v is None else v}" for k, v in values.items())]
    (model / "BiCodec" / "config.yaml").write_text("\n".join(lines) + "\n")
    (model / "config.yaml").write_text(CONFIG)
    write_wav2vec2({k.removeprefix("wav2vec2."): v for k, v in codec.items() if k.startswith("wav2vec2.")},
                   model / "wav2vec2-large-xlsr-53")


def write_wav2vec2(weights: dict, folder: Path) -> None:
    """The trained blocks, then blocks that add nothing: their output layers are zero."""
    conv = "encoder.pos_conv_embed.conv"
    v = weights.pop(f"{conv}.weight")
    weights[f"{conv}.weight_v"] = v
    weights[f"{conv}.weight_g"] = np.sqrt((v.astype(np.float64) ** 2).sum((0, 1), keepdims=True)).astype(np.float32)
    first = {k.removeprefix("encoder.layers.0."): v for k, v in weights.items() if k.startswith("encoder.layers.0.")}
    for n in range(WAV2VEC2["num_hidden_layers"]):
        for name, value in first.items():
            ones = name.endswith("norm.weight")
            weights.setdefault(f"encoder.layers.{n}.{name}", np.ones_like(value) if ones else np.zeros_like(value))
    size = WAV2VEC2["hidden_size"]
    weights["encoder.layer_norm.weight"], weights["encoder.layer_norm.bias"] = np.ones(size, "f4"), np.zeros(size, "f4")
    save({f"wav2vec2.{k}": v for k, v in weights.items()}, folder)
    config = {"architectures": ["Wav2Vec2ForPreTraining"], "model_type": "wav2vec2", "conv_bias": True, **WAV2VEC2,
              "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2], "do_stable_layer_norm": True,
              "feat_extract_activation": "gelu", "feat_extract_norm": "layer", "hidden_act": "gelu", "layer_norm_eps": 1e-05,
              "num_conv_pos_embedding_groups": 16, "num_conv_pos_embeddings": 128, "num_feat_extract_layers": 7}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "do_normalize": True, "feature_extractor_type": "Wav2Vec2FeatureExtractor", "feature_size": 1, "padding_side": "right",
        "padding_value": 0, "return_attention_mask": True, "sampling_rate": 16000}, indent=2) + "\n")


def save(weights: dict, folder: Path) -> None:
    """Floats as float16, or as its upper half where nothing is in the lower, as in the blocks that add nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, infos = {}, []
    for name, value in sorted(weights.items()):
        dtype = "I64"
        if value.dtype.kind == "f":
            assert np.isfinite(value.astype(np.float16)).all(), name
            bits, dtype = value.astype("<f2").view("<u2"), "F16"
            if not (bits & 255).any():
                bits, dtype = (bits >> 8).astype("u1"), "F8_E5M2"
            value = bits
        kept[name] = value
        infos.append((name, TensorInfo(dtype, value.shape)))
    write_safetensors(folder / "model.safetensors", infos, lambda name: kept[name].tobytes())


# ---- language model -------------------------------------------------------------------------------------------------------
def write_tokenizer(folder: Path, seed: int) -> dict[str, int]:
    """Byte-level BPE over the recipe's own sentences, cut as Qwen2 cuts, and Spark's tokens behind it; returns their ids."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.TrainingExample([pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([written for written, _ in itertools.islice(sentences(seed), 5000)], trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    t.add_special_tokens([AddedToken(name, normalized=False, special=True) for name in SPECIAL])
    names = [f"<|{family}_{n}|>" for family, count in FAMILIES.items() for n in range(count)] + [f"<|{mark}|>" for mark in MARKS]
    t.add_tokens([AddedToken(name, normalized=True) for name in names])
    folder.mkdir(parents=True, exist_ok=True)
    t.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "tokenizer_class": "Qwen2Tokenizer", "unk_token": None}, indent=2) + "\n")
    return {name: t.token_to_id(name) for name in (*SPECIAL, *names)}


def write_llm(folder: Path, seed: int) -> None:
    ids = write_tokenizer(folder, seed)
    c = {"vocab_size": -(-(max(ids.values()) + 1) // 16) * 16, **LLM}
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"], "hidden_act": "silu", **c, "initializer_range": 0.02,
        "max_position_embeddings": 32768, "max_window_layers": LLM["num_hidden_layers"], "model_type": "qwen2",
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "sliding_window": 32768, "tie_word_embeddings": True,
        "torch_dtype": "float32", "use_cache": True, "use_sliding_window": False}, indent=2) + "\n")
    random = np.random.default_rng(seed)
    size, inner = c["hidden_size"], c["intermediate_size"]
    narrow = size // c["num_attention_heads"] * c["num_key_value_heads"]

    def matrix(outputs, inputs, gain=1.0):
        return (random.standard_normal((outputs, inputs)) * gain / math.sqrt(inputs)).astype(np.float32)
    w = {"model.embed_tokens.weight": matrix(c["vocab_size"], size), "model.norm.weight": np.ones(size, "f4")}
    deep = 1 / math.sqrt(2 * c["num_hidden_layers"])
    for n in range(c["num_hidden_layers"]):
        for name, value in {
                "input_layernorm.weight": np.ones(size, "f4"), "post_attention_layernorm.weight": np.ones(size, "f4"),
                "self_attn.q_proj.weight": matrix(size, size), "self_attn.q_proj.bias": np.zeros(size, "f4"),
                "self_attn.k_proj.weight": matrix(narrow, size), "self_attn.k_proj.bias": np.zeros(narrow, "f4"),
                "self_attn.v_proj.weight": matrix(narrow, size), "self_attn.v_proj.bias": np.zeros(narrow, "f4"),
                "self_attn.o_proj.weight": matrix(size, size, deep), "mlp.gate_proj.weight": matrix(inner, size),
                "mlp.up_proj.weight": matrix(inner, size), "mlp.down_proj.weight": matrix(size, inner, deep)}.items():
            w[f"model.layers.{n}.{name}"] = value
    save_file(w, folder / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_codec(options.work, options.model)
    if not (options.model / "LLM" / "config.json").exists():
        write_llm(options.model / "LLM", options.seed)
    size = sum(f.stat().st_size for f in options.model.rglob("*") if f.is_file())
    print(f"{options.model}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
