"""Write a Qwen2 folder as a GGUF file for llama.cpp: python -m benchmarks.gguf_file LLM_DIR FILE

Matrices in Q8_0, vectors in float32; no tokenizer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open


def write(folder: Path, target: Path) -> None:
    """Write completely or not at all."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    partial = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "qwen2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    matrix = gguf.GGMLQuantizationType.Q8_0
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
    partial.rename(target)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
