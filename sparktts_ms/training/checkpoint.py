"""What a run leaves on disk: its state to resume from, its progress, and the trained model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.files import atomic_write, read_mapping
from sparktts_ms.training.json_lines import read_json_lines
from sparktts_ms.weights.safetensors_file import SafetensorsFile, TensorInfo, write_safetensors

DTYPES = {"float32": ("F32", np.float32), "float16": ("F16", np.float16)}
# Files of a language model that are not the new one's: weights, and what a trainer leaves.
REPLACED_FILES = (
    "model*.safetensors", "pytorch_model*.bin", "*.index.json", "*.gguf", "adapter_*",
    "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth", "trainer_state.json",
    "training_args.bin", "checkpoint-*", "global_step*")


def write_arrays(path: Path, arrays: dict[str, np.ndarray], dtype: str = "float32",
                 **metadata: str) -> None:
    """Write `arrays` atomically as safetensors of `dtype` ("float32" or "float16")."""
    stored, numpy_type = DTYPES[dtype]
    layout = [(name, TensorInfo(stored, tuple(array.shape))) for name, array in arrays.items()]

    def tensor_bytes(name: str) -> bytes:
        return np.ascontiguousarray(arrays[name], numpy_type).tobytes()

    write_safetensors(path, layout, tensor_bytes, {"format": "pt", **metadata})


class TrainingState:
    """One file with weights, optimizer moments, the step, and the settings they belong to."""

    def __init__(self, path: Path, settings: dict, defaults: dict):
        """defaults: values of settings that did not exist yet when an older run was started."""
        self.path = path
        self.settings = settings
        self.defaults = defaults

    def save(self, step: int, parameters: Iterable) -> None:
        arrays = {parameter.name: parameter.asnumpy() for parameter in parameters}
        settings = json.dumps(self.settings, sort_keys=True)
        write_arrays(self.path, arrays, step=str(step), settings=settings)

    def load(self, parameters: Iterable) -> int:
        """Fill `parameters` and return the number of completed steps; 0 if there is no state.

        Raises InputError if a run with other settings left it.
        """
        if not self.path.exists():
            return 0
        file = SafetensorsFile(self.path)
        changes = self._changes(file.metadata)
        if changes:
            raise InputError(f"{{subject}} holds a run with other settings ({changes}).",
                             "Repeat those settings to resume it, or choose another output_dir.",
                             subject=self.path.parent)
        for parameter in parameters:
            tensor_type = type(parameter.value())
            parameter.set_data(tensor_type(file.read(parameter.name).copy()))
        return int(file.metadata["step"])

    def _changes(self, metadata: dict[str, str]) -> str:
        try:
            before = self.defaults | json.loads(metadata["settings"])
        except (KeyError, ValueError, TypeError):
            return "unreadable"
        return ", ".join(f"{name}: {before.get(name)} there, {value} now"
                         for name, value in self.settings.items() if before.get(name) != value)


def write_model(base: Path, output_dir: Path, weights: dict[str, np.ndarray], dtype: str) -> None:
    """Copy the model directory `base` to `output_dir` with other language model `weights`.

    Files that do not change are hard links where the file system allows it.
    """
    replaced = shutil.ignore_patterns(*REPLACED_FILES)

    def ignore(folder: str, names: list[str]) -> set[str]:
        return replaced(folder, names) if Path(folder) == base / "LLM" else set()

    try:
        shutil.copytree(base, output_dir, ignore=ignore, copy_function=_link_or_copy,
                        dirs_exist_ok=True)
        _state_tied(output_dir / "LLM" / "config.json")
        write_arrays(output_dir / "LLM" / "model.safetensors", weights, dtype)
    except OSError as problem:
        reason = f"The model cannot be written to {{subject}}: {problem.strerror or problem}."
        raise OutputError(reason, subject=output_dir) from None


def _state_tied(path: Path) -> None:
    """Let a config.json say that the output matrix is the embedding, as it was trained."""
    values = read_mapping(path)
    if values.get("tie_word_embeddings") is not True:
        values["tie_word_embeddings"] = True
        with atomic_write(path, overwrite=True) as file:    # not into the base, if it is a link
            file.write((json.dumps(values, indent=2) + "\n").encode())


def _link_or_copy(source: str, target: str) -> None:
    if os.path.exists(target):
        return
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        with open(source, "rb") as original, atomic_write(target) as copy:
            shutil.copyfileobj(original, copy)


def read_progress(path: Path) -> list[dict]:
    """The entries of a progress file, without a line that was cut short."""
    return [entry for entry in read_json_lines(path) if isinstance(entry.get("step"), int)]


def truncate_progress(path: Path, last_step: int) -> None:
    """Drop what a killed run logged after its last saved step."""
    entries = [entry for entry in read_progress(path) if entry["step"] <= last_step]
    if path.exists():
        with atomic_write(path, overwrite=True) as file:
            file.writelines(json.dumps(entry).encode() + b"\n" for entry in entries)
