"""A Qwen2 folder as a GGUF file for llama.cpp: python -m benchmarks.gguf_file LLM_DIR FILE KIND

Q8_0 and Q4_0: all matrices of that kind, vectors in float32, no tokenizer. Q4_K_M: what llama.cpp's
own quantizer makes of the Q8_0 file beside it; rows that are no multiple of 256, as the 896 of the
released model, get the kinds that it falls back to (Q5_0, Q8_0).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

KINDS = ("Q8_0", "Q4_0", "Q4_K_M")


def gguf_path(model_dir: Path, kind: str) -> Path:
    return model_dir / f"LLM-{kind}.gguf"


def write(folder: Path, target: Path, kind: str) -> None:
    """Write completely or not at all. Raises RuntimeError if llama.cpp's quantizer fails."""
    partial = target.with_suffix(".partial")
    if kind == "Q4_K_M":
        source = gguf_path(target.parent, "Q8_0")
        if not source.exists():
            write(folder, source, "Q8_0")
        requantize(source, partial)
    else:
        convert(folder, partial, kind)
    partial.rename(target)


def convert(folder: Path, target: Path, kind: str) -> None:
    """Write the weights of `folder` with each matrix as `kind`, "Q8_0" or "Q4_0"."""
    import gguf
    from safetensors import safe_open

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(target, "qwen2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{kind}"])
    writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    matrix = gguf.GGMLQuantizationType[kind]
    with safe_open(folder / "model.safetensors", "np") as weights:
        for name in weights.keys():             # noqa: SIM118 (not a dictionary)
            array = weights.get_tensor(name).astype(np.float32)
            gguf_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if array.ndim == 2:
                writer.add_tensor(gguf_name, gguf.quants.quantize(array, matrix), raw_dtype=matrix)
            else:
                writer.add_tensor(gguf_name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def requantize(source: Path, target: Path) -> None:
    """A GGUF file as Q4_K_M, by llama.cpp."""
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M
    params.allow_requantize = True
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params):
        raise RuntimeError(f"llama.cpp could not quantize {source} to Q4_K_M.")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
