"""Which weight file of a folder to take, and which reader understands it."""

from __future__ import annotations

import os
from pathlib import Path

from sparktts_ms.errors import ModelError, WeightsError
from sparktts_ms.weights.safetensors_file import SafetensorsFile
from sparktts_ms.weights.torch_bin import TorchBin


def find_weights(folder: str | Path) -> Path:
    """The weight file of a model folder: model.safetensors, or else pytorch_model.bin. Raises ModelError."""
    for name in ("model.safetensors", "pytorch_model.bin"):
        if os.path.isfile(path := Path(folder) / name):
            return path
    raise ModelError(f"{folder} holds neither model.safetensors nor pytorch_model.bin; get the model with "
                     "`python -m cli.download`, or make model.safetensors with `python convert.py`.")


def open_weights(path: str | Path) -> SafetensorsFile | TorchBin:
    """Open a weight file with the reader that its first bytes ask for, whatever its name. Raises WeightsError."""
    if not os.path.isfile(path):
        raise WeightsError(f"There is no file {path}.")
    try:
        with Path(path).open("rb") as file:
            head = file.read(32)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error}.") from error
    if head.startswith(b"PK"):
        return TorchBin(path)
    if head[8:9] == b"{":
        return SafetensorsFile(path)
    if head.startswith(b"\x80"):            # how every pickle begins
        return TorchBin(path)
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a git-lfs pointer, not the weights; fetch them with `git lfs pull`.")
    raise WeightsError(f"{path} is neither a safetensors file nor one of torch.save, or its download was cut short.")
