"""wav2vec2's pytorch_model.bin made into model.safetensors: checked before, copied tensor by tensor, checked after."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from sparktts_ms.errors import InputError, ModelError, OutputError
from sparktts_ms.weights.checkpoint import open_weights
from sparktts_ms.weights.safetensors_file import SafetensorsFile, write_safetensors
from sparktts_ms.weights.wav2vec2_layout import check_layout


def convert(source: str | Path, target: str | Path | None = None, config: str | Path | None = None,
            overwrite: bool = False, progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Copy every tensor of `source` into the safetensors file `target`, names and dtypes unchanged; returns `target`.

    `target` and `config` default to model.safetensors and config.json beside `source`. `progress` wraps the loop over
    the tensors. About one tensor is in memory at a time. Raises InputError, ModelError (config), WeightsError (source)
    and OutputError (target); `target` is then as it was before.
    """
    source = Path(source)
    target = Path(target) if target else source.with_name("model.safetensors")
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target):
        raise InputError(f"{source} cannot be converted into itself; give another --sf_filename.")
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} is there already; --overwrite replaces it.")
    sizes = _read_config(Path(config) if config else source.with_name("config.json"))
    with open_weights(source) as weights:
        check_layout(weights, sizes)
        sums: dict[str, int] = {}

        def content(name: str) -> bytes | bytearray:
            data = weights.raw(name)
            sums[name] = zlib.crc32(data)
            return data

        def check(written: Path) -> None:
            with SafetensorsFile(written) as copy:
                if copy.info != weights.info or any(zlib.crc32(copy.raw(name)) != sums[name] for name in sums):
                    raise OutputError(f"{target} did not read back as it was written; is the disk sound?")

        write_safetensors(target, weights.info.items(), content, check=check, progress=progress)
    return target


def _read_config(file: Path) -> dict:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}, needed to check the weights, cannot be read: {error}.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{file} is not a table of settings.")
    return config
