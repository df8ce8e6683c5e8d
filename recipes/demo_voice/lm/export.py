"""The language model in the released layout: with random weights to begin from, or as trained.

python -m recipes.demo_voice.lm.export MODEL_DIR writes MODEL_DIR/LLM: a byte-level tokenizer with
Spark-TTS's tokens, and a Qwen2 with random weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from evaluation.sentences import sentences
from recipes.demo_voice.config import BICODEC, LLM, TEXT_VOCAB_SIZE
from sparktts_ms.files import atomic_write

# Qwen2's pre-tokenization
SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TOKEN_FAMILIES = {
    "bicodec_global": math.prod(BICODEC["speaker_encoder"]["fsq_levels"]),
    "bicodec_semantic": BICODEC["quantizer"]["codebook_size"],
    "pitch_value": 1001, "pitch_label": 5, "speed_value": 11, "speed_label": 5, "gender": 3,
}
DELIMITED = ("content", "style_label", "acoustic_token", "global_token", "semantic_token")
TOKENIZER_CONFIG = {
    "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>", "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
}


def spark_tokens() -> list[str]:
    """All tokens that Spark-TTS adds to a text tokenizer, in order of their ids."""
    names = []
    for family, count in TOKEN_FAMILIES.items():
        names += [f"<|{family}_{n}|>" for n in range(count)]
    names += ["<|task_tts|>", "<|task_controllable_tts|>"]
    names += [f"<|start_{part}|>" for part in DELIMITED]
    return names + [f"<|end_{part}|>" for part in DELIMITED]


def write_tokenizer(folder: Path, seed: int) -> dict[str, int]:
    """A byte-level BPE tokenizer, by its size without merges; returns the ids of added tokens."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=TEXT_VOCAB_SIZE, show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    texts = [written for written, _ in itertools.islice(sentences(seed), 5000)]
    tokenizer.train_from_iterator(texts, trainer)
    special = [AddedToken(name, normalized=False, special=True) for name in SPECIAL_TOKENS]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(name, normalized=True) for name in spark_tokens()])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    return {name: tokenizer.token_to_id(name) for name in (*SPECIAL_TOKENS, *spark_tokens())}


def write_initial_llm(folder: Path, seed: int) -> None:
    token_ids = write_tokenizer(folder, seed)
    vocab_size = math.ceil((max(token_ids.values()) + 1) / 16) * 16
    write_json(folder / "config.json", {
        "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0,
        "bos_token_id": token_ids["<|endoftext|>"], "eos_token_id": token_ids["<|im_end|>"],
        "hidden_act": "silu", "vocab_size": vocab_size, **LLM, "initializer_range": 0.02,
        "max_position_embeddings": 32768, "max_window_layers": LLM["num_hidden_layers"],
        "model_type": "qwen2", "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "sliding_window": 32768, "tie_word_embeddings": True, "torch_dtype": "float32",
        "use_cache": True, "use_sliding_window": False,
    })
    write_weights(folder, initial_weights(vocab_size, np.random.default_rng(seed)))


def initial_weights(vocab_size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    hidden = LLM["hidden_size"]
    intermediate = LLM["intermediate_size"]
    kv_size = hidden // LLM["num_attention_heads"] * LLM["num_key_value_heads"]
    residual_gain = 1 / math.sqrt(2 * LLM["num_hidden_layers"])

    def matrix(outputs: int, inputs: int, gain: float = 1.0) -> np.ndarray:
        values = rng.standard_normal((outputs, inputs)) * gain / math.sqrt(inputs)
        return values.astype(np.float32)

    weights = {"model.embed_tokens.weight": matrix(vocab_size, hidden)}
    weights["model.norm.weight"] = np.ones(hidden, np.float32)
    for n in range(LLM["num_hidden_layers"]):
        layer = {
            "input_layernorm.weight": np.ones(hidden, np.float32),
            "post_attention_layernorm.weight": np.ones(hidden, np.float32),
            "self_attn.q_proj.weight": matrix(hidden, hidden),
            "self_attn.q_proj.bias": np.zeros(hidden, np.float32),
            "self_attn.k_proj.weight": matrix(kv_size, hidden),
            "self_attn.k_proj.bias": np.zeros(kv_size, np.float32),
            "self_attn.v_proj.weight": matrix(kv_size, hidden),
            "self_attn.v_proj.bias": np.zeros(kv_size, np.float32),
            "self_attn.o_proj.weight": matrix(hidden, hidden, residual_gain),
            "mlp.gate_proj.weight": matrix(intermediate, hidden),
            "mlp.up_proj.weight": matrix(intermediate, hidden),
            "mlp.down_proj.weight": matrix(hidden, intermediate, residual_gain),
        }
        weights.update({f"model.layers.{n}.{name}": w for name, w in layer.items()})
    return weights


def export_llm(base: Path, model_dir: Path, model) -> None:
    """MODEL_DIR becomes a copy of BASE with the language model `model` (model.Qwen2) as float16."""
    if not model_dir.exists():
        shutil.copytree(base, model_dir)
    config = json.loads((base / "LLM" / "config.json").read_text())
    config["num_hidden_layers"] = model.config.num_hidden_layers
    config["max_window_layers"] = model.config.num_hidden_layers
    write_json(model_dir / "LLM" / "config.json", config)
    weights = {name: w.astype(np.float16) for name, w in model.released_weights().items()}
    write_weights(model_dir / "LLM", weights)


def write_weights(folder: Path, weights: dict[str, np.ndarray]) -> None:
    with atomic_write(folder / "model.safetensors", overwrite=True) as file:
        file.write(save(weights, metadata={"format": "pt"}))


def write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    write_initial_llm(args.model_dir / "LLM", args.seed)


if __name__ == "__main__":
    main()
