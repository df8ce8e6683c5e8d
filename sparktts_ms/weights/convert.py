"""wav2vec2's pytorch_model.bin converted to model.safetensors, one tensor at a time."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from sparktts_ms.errors import InputError, OutputError
from sparktts_ms.weights.checkpoint import open_weights
from sparktts_ms.weights.safetensors_file import SafetensorsFile, write_safetensors


def convert(
    source: str | Path,
    target: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Path:
    """Copy all tensors of `source` into the safetensors file `target`; returns `target`.

    Names and dtypes stay; whether they are the model's is checked when it is loaded. The copy is
    read again before it takes its name. About one tensor is in memory at a time.

    target: model.safetensors beside `source` if not given.
    progress: wraps the loop over the tensors, as tqdm does.
    Raises InputError, WeightsError (source) or OutputError (target).
    """
    source = Path(source)
    weights = open_weights(source)
    target = Path(target) if target else source.with_name("model.safetensors")
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target):
        raise InputError("{subject} cannot be converted into itself.", "Name another target.",
                         subject=source)
    if os.path.lexists(target) and not overwrite:
        raise OutputError("{subject} exists already.", "Remove it, or pass overwrite=True.",
                          subject=target, code="target_exists")
    checksums: dict[str, int] = {}

    def read_bytes(name: str) -> memoryview:
        data = weights.read_bytes(name).data
        checksums[name] = zlib.crc32(data)
        return data

    def verify(written: Path) -> None:
        copy = SafetensorsFile(written)
        damaged = [n for n in checksums if zlib.crc32(copy.read_bytes(n).data) != checksums[n]]
        if copy.info != weights.info or damaged:
            raise OutputError("{subject} did not read back as it was written; is the disk sound?",
                              subject=target)

    write_safetensors(target, weights.info.items(), read_bytes, verify=verify, progress=progress)
    return target
