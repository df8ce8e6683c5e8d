"""Files and folders of other tools: what they are, and what makes weights of them that are read.

Nothing of them is opened here beyond names and first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sparktts_ms.files import is_lfs_pointer

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json",
                "pytorch_model.bin", "pytorch_model.bin.index.json")
HEAD_BYTES = 512        # enough of a file for `identify`
MAX_ENTRIES = 1000      # of a folder


class Kind(NamedTuple):
    """What something is, to follow "is" or "holds", and what to do about it, a sentence."""

    name: str
    remedy: str


ADAPTER = Kind("a LoRA adapter, not a whole model",
               "Merge it into the model that it was trained on: in peft "
               "`model.merge_and_unload().save_pretrained(folder)`, in unsloth "
               "`model.save_pretrained_merged(folder, tokenizer)`.")
GGUF = Kind("a GGUF file of llama.cpp", "Take the safetensors file that it was made of.")
QUANTIZED = "Take the weights in float32, float16 or bfloat16 that they were made of."
ONNX = Kind("an ONNX model", "Take the safetensors file that it was exported from.")
TENSORFLOW = Kind("a TensorFlow or Keras file", "Take the safetensors or PyTorch file.")
FLAX = Kind("a Flax file", "Take the safetensors or PyTorch file.")
MINDSPORE = Kind("a checkpoint of MindSpore",
                 "`mindspore.ckpt_to_safetensors` converts it, if its names are transformers'.")
META = Kind("a checkpoint in Meta's layout",
            "Convert it to transformers' layout by its own script.")
SHARDED_STATE = Kind("the state of a distributed training",
                     "Write whole weights by the trainer's own script (DeepSpeed: zero_to_fp32.py; "
                     "FSDP: `accelerate merge-weights`).")
DOWNLOAD_AGAIN = "Download it again."

# Names of files that say what a folder holds, in the order in which they are looked for.
FILE_KINDS = (
    (r"adapter_(config\.json|model\.(safetensors|bin))", ADAPTER),
    (r".*\.gguf", GGUF),
    (r".*\.onnx(_data|\.data)?", ONNX),
    (r"consolidated.*\.(pth|safetensors)", META),
    (r".*\.(h5|tflite|keras)|saved_model\.pb|.*\.ckpt\.(index|data-.*)", TENSORFLOW),
    (r".*\.msgpack", FLAX),
    (r"global_step\d+|zero_to_fp32\.py|.*\.distcp|pytorch_model_fsdp_\d+", SHARDED_STATE),
    (r".*\.ckpt", MINDSPORE),
)
# First bytes of files that are sometimes given other names.
CONTENT_KINDS = (
    (b"GGUF", GGUF),
    (b"\x89HDF\r\n\x1a\n", TENSORFLOW),
    (b"\x93NUMPY", Kind("a file of NumPy", "Take the safetensors or PyTorch file.")),
    (b"\x1f\x8b", Kind("compressed (gzip)", "Unpack it.")),
    (b"BZh", Kind("compressed (bzip2)", "Unpack it.")),
    (b"\xfd7zXZ", Kind("compressed (xz)", "Unpack it.")),
    (b"(\xb5/\xfd", Kind("compressed (zstd)", "Unpack it.")),
    (b"7z\xbc\xaf", Kind("an archive (7z)", "Unpack it.")),
    (b"Rar!", Kind("an archive (rar)", "Unpack it.")),
    (b"\x7fELF", Kind("a program or library, not weights", DOWNLOAD_AGAIN)),
)
# Ends of tensor names that only quantized weights have.
QUANTIZED_NAMES = (
    (r"\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..*|SCB|weight_format)",
     "bitsandbytes"),
    (r"\.(qweight|qzeros|g_idx)", "GPTQ or AWQ"),
    (r"\.(weight_packed|weight_shape|weight_zero_point)", "compressed-tensors"),
    (r"\.(weight_scale|weight_scale_inv|input_scale|weight_scale_2|weight_global_scale)", "FP8"),
    (r"\.(weight_blocks|.*_blocks|.*_scales)", "MXFP4"),
    (r"\.(scales|biases)", "GPTQ, AWQ or MLX"),
    (r"\.(_data|_scale|weight\._data|weight\._scale|qtensor.*)", "quanto"),
)
QUANTIZERS = {
    "bitsandbytes": "bitsandbytes", "gptq": "GPTQ", "awq": "AWQ", "fp8": "FP8",
    "compressed-tensors": "compressed-tensors"}
# In the protocol buffer of mindspore.save_checkpoint: a tensor's dtype, before its content.
MINDSPORE_DTYPE = re.compile(rb"\x12[\x04-\x10](Float|BFloat|Int|UInt|Bool|Complex)[0-9]*\x1a")
LORA_NAME = re.compile(r".*\.lora_(A|B|magnitude_vector|embedding_[AB])(\..*)?")


def identify(start: bytes) -> Kind | None:
    """What a file is that begins with these bytes, if it is a known kind without weights."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if is_lfs_pointer(start):
        return Kind("a git-lfs pointer, not the weights", "Get them with `git lfs pull`.")
    if not start.strip(b"\0"):
        return Kind("empty" if not start else "filled with zeros", DOWNLOAD_AGAIN)
    for signature, kind in CONTENT_KINDS:
        if start.startswith(signature):
            return kind
    if text[:1] == b"<":
        return Kind("a web page, not weights", DOWNLOAD_AGAIN)
    if start[257:262] == b"ustar":
        return Kind("an archive (tar)", "Unpack it.")
    if text[:1] in (b"{", b"["):
        return Kind("JSON, not weights", DOWNLOAD_AGAIN)
    if start[:1] == b"\n" and MINDSPORE_DTYPE.search(start):
        return MINDSPORE
    if start[:1] == b"\x08" and start[2:3] == b"\x12":
        return ONNX
    return None


def identify_folder(folder: str | Path) -> Kind | None:
    """What a folder without whole weights holds instead, by the names of its files."""
    names = _names(folder)
    for pattern, kind in FILE_KINDS:
        found = next((name for name in names if re.fullmatch(pattern, name)), None)
        if found:
            return Kind(f"{kind.name} ({found})", kind.remedy)
    if any(re.fullmatch(r"model-\d+-of-\d+\.safetensors", name) for name in names):
        return Kind("parts of model.safetensors without their index",
                    "model.safetensors.index.json belongs beside them.")
    below = sorted((path for path in _subfolders(folder) if has_weights(path)), key=_step)
    if below:
        others = f" and {len(below) - 1} more folders" if len(below) > 1 else ""
        return Kind(f"its weights a level further down, in {below[-1].name}{others}",
                    f"Move the files of {below[-1].name} up.")
    weights = [name for name in names
               if name.endswith((".safetensors", ".bin", ".pt", ".pth", ".npz"))
               and not name.startswith(("optimizer", "scheduler", "training_args", "rng_state"))]
    if weights:
        return Kind(f"no weights of the expected name, but {weights[0]}",
                    "If these are the model's, name it model.safetensors (or pytorch_model.bin).")
    return None


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a weights file or index under the name that transformers writes."""
    return any((folder / name).is_file() for name in WEIGHT_FILES)


def quantizer(names: Iterable[str]) -> str | None:
    """What quantized weights with these tensor names, if anything."""
    for name in names:
        for pattern, tool in QUANTIZED_NAMES:
            if re.search(pattern + "$", name):
                return tool
    return None


def is_adapter(names: Iterable[str]) -> bool:
    """Whether tensors with these names include matrices of LoRA."""
    return any(LORA_NAME.fullmatch(name) for name in names)


def _names(folder: str | Path) -> list[str]:
    """Names in a folder, sorted; those of a large one in part."""
    names = []
    try:
        for path in Path(folder).iterdir():
            names.append(path.name)
            if len(names) == MAX_ENTRIES:
                break
    except OSError:
        return []
    return sorted(names)


def _subfolders(folder: str | Path) -> list[Path]:
    return [Path(folder) / name for name in _names(folder)
            if not name.startswith(".") and (Path(folder) / name).is_dir()]


def _step(folder: Path) -> tuple[int, str]:
    """Sorts the folders of a Trainer, checkpoint-500 before checkpoint-1000."""
    digits = re.search(r"\d+$", folder.name)
    return int(digits[0]) if digits else -1, folder.name
