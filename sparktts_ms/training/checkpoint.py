"""What a run leaves on disk: its state, to go on from; its progress; and at last a model directory in the released layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.files import atomic_write
from sparktts_ms.weights.safetensors_file import SafetensorsFile, TensorInfo, write_safetensors

DTYPES = {"float32": ("F32", np.float32), "float16": ("F16", np.float16)}
UNTOUCHED = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json", "LLM-Q8_0.gguf")


def write_arrays(path: Path, arrays: dict[str, np.ndarray], dtype: str = "float32", **metadata: str) -> None:
    """A safetensors file of `arrays`, floats as `dtype`; it appears whole or not at all."""
    name, kind = DTYPES[dtype]
    write_safetensors(path, [(key, TensorInfo(name, tuple(array.shape))) for key, array in arrays.items()],
                      lambda key: np.ascontiguousarray(arrays[key], kind).tobytes(), {"format": "pt", **metadata})


class State:
    """The training state in one file: weights, both moments, the number of the step, and the settings it belongs to."""

    def __init__(self, path: Path, settings: dict, later: dict | None = None):
        """`later`: what settings mean that did not exist when a run began."""
        self.path, self.settings, self.later = path, settings, later or {}

    def save(self, step: int, parameters: Iterable) -> None:
        write_arrays(self.path, {p.name: p.asnumpy() for p in parameters}, step=str(step),
                     settings=json.dumps(self.settings, sort_keys=True))

    def load(self, parameters: Iterable) -> int:
        """Fill `parameters` and return how many steps are done; 0 if there is no state. Raises InputError if it was left by
        a run with other settings."""
        if not self.path.exists():
            return 0
        file = SafetensorsFile(self.path)
        changed = self._changed(file.metadata)
        if changed:
            raise InputError(f"{self.path.parent} holds a run with other settings ({changed}); "
                             "give the same ones to go on with it, or another --out.")
        for p in parameters:
            p.set_data(type(p.value())(file.read(p.name).copy()))
        return int(file.metadata["step"])

    def _changed(self, metadata: dict[str, str]) -> str:
        try:
            before = self.later | json.loads(metadata["settings"])
            return ", ".join(f"{key}: {before.get(key)} there, {value} now" for key, value in self.settings.items()
                             if before.get(key) != value)
        except (KeyError, ValueError, TypeError):
            return "unreadable"


def write_model(base: Path, out: Path, weights: dict[str, np.ndarray], dtype: str) -> None:
    """`out` becomes a copy of the model directory `base` whose language model has `weights`; big files that did not change are
    linked where the file system can."""
    try:
        for source in sorted(base.rglob("*")):
            target = out / source.relative_to(base)
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif not (source.parent == base / "LLM" and source.name in UNTOUCHED):
                _link(source, target)
        write_arrays(out / "LLM" / "model.safetensors", weights, dtype)
    except OSError as problem:
        raise OutputError(f"The model cannot be written to {out}: {problem.strerror}.") from None


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), part)
    except OSError:
        shutil.copyfile(source, part)
    os.replace(part, target)


def append_line(path: Path, entry: dict) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_lines(path: Path) -> list[dict]:
    """The lines of progress in `path`, without one at which a run was killed."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            found.append(entry)
    return found


def forget_lines(path: Path, after: int) -> None:
    """Drop what a killed run noted beyond its last saved step."""
    if path.exists():
        kept = [entry for entry in read_lines(path) if entry["step"] <= after]
        with atomic_write(path, overwrite=True) as file:
            file.write("".join(json.dumps(entry) + "\n" for entry in kept).encode())
