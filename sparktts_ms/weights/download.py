"""A model directory fetched from a hub: list, fetch what is missing, convert, verify.

The live hubs could not be reached from where this was written: hubs.py says what is assumed of them and from where.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml

from sparktts_ms.errors import DownloadError, ModelError, OutputError, WeightsError
from sparktts_ms.weights.convert import convert
from sparktts_ms.weights.fetch import HubFault, Progress, RemoteFile, is_whole, patiently, silent, writing
from sparktts_ms.weights.hubs import HUBS, Hub
from sparktts_ms.weights.safetensors_file import SafetensorsFile

LICENCE = ("The weights of Spark-TTS are under CC BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/): "
           "non-commercial use, with attribution, shared alike.")

WAV2VEC2 = "wav2vec2-large-xlsr-53"
RELEASED, CONVERTED = f"{WAV2VEC2}/pytorch_model.bin", f"{WAV2VEC2}/model.safetensors"
REQUIRED = ("config.yaml", "BiCodec/config.yaml", "BiCodec/model.safetensors", f"{WAV2VEC2}/config.json",
            f"{WAV2VEC2}/preprocessor_config.json", "LLM/config.json", "LLM/model.safetensors", "LLM/tokenizer.json")
OPTIONAL = ("LLM/tokenizer_config.json", "LLM/special_tokens_map.json", "LLM/added_tokens.json", "LLM/vocab.json",
            "LLM/merges.txt", "LLM/generation_config.json")


def download(hub: Hub, folder: str | Path, progress: Progress = silent,
             sleep: Callable[[float], None] = time.sleep) -> Path:
    """Make `folder` a whole model directory and return it.

    What is already there and agrees with the hub's sizes and checksums stays; an interrupted file is continued.
    """
    folder = Path(folder)
    _check_writable(folder)
    try:
        listed = patiently(lambda: hub.files((*REQUIRED, *OPTIONAL, RELEASED, CONVERTED)), sleep)
        files = _needed(listed, folder)
        with writing(folder):
            missing = [f for f in files if not is_whole(folder / f.path, f, progress)]
        _check_room(folder, missing)
        for file in missing:
            patiently(lambda file=file: hub.bring(file, folder, progress), sleep, lambda: _arrived(folder))
    except HubFault as fault:
        raise DownloadError(_explain(hub, fault, folder)) from fault
    if any(f.path == RELEASED for f in files):
        _convert(folder, progress)
    verify(folder)
    return folder


def verify(folder: Path) -> None:
    """Raise unless `folder` holds every file of a model, each readable as what its name says."""
    absent = [path for path in (*REQUIRED, CONVERTED) if not (folder / path).is_file()]
    if absent:
        raise ModelError(f"{folder} is not a whole model directory: {', '.join(absent)} missing. Download it again.")
    for path in (*REQUIRED, CONVERTED):
        if path.endswith(".safetensors"):
            check_safetensors(folder / path)
        else:
            _check_text(folder / path)


def check_safetensors(file: Path) -> None:
    """Raise WeightsError unless the header of `file` parses and its tensors fill the file to the last byte."""
    try:
        SafetensorsFile(file).close()
    except WeightsError as error:
        raise WeightsError(f"{error} Delete it and download again.") from error


def _check_text(file: Path) -> None:
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{file} cannot be read ({reason}). Delete it and download again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} holds no settings. Delete it and download again.")


def _needed(listed: dict[str, RemoteFile], folder: Path) -> list[RemoteFile]:
    """What a model directory is made of, of what the hub lists; wav2vec2's weights in the one form that is needed."""
    absent = [path for path in REQUIRED if path not in listed]
    if RELEASED not in listed and CONVERTED not in listed:
        absent.append(RELEASED)
    if absent:
        raise HubFault(f"{', '.join(absent)} not there, so this is no Spark-TTS model", status=404)
    if RELEASED in listed:
        listed.pop(CONVERTED, None)
        if not (folder / RELEASED).exists() and _is_sound(folder / CONVERTED):
            listed.pop(RELEASED)        # converted and thrown away to save 1.3 GB
    return list(listed.values())


def _convert(folder: Path, progress: Progress) -> None:
    """Write wav2vec2's pickled weights as safetensors, unless that was done since they arrived."""
    released, converted = folder / RELEASED, folder / CONVERTED
    if _is_sound(converted) and converted.stat().st_mtime >= released.stat().st_mtime:
        return

    def shown(tensors: Iterable) -> Iterator:
        tensors = list(tensors)
        with progress(desc=f"converting {RELEASED}", total=len(tensors), unit="tensor", unit_scale=False,
                      leave=False, delay=0.5) as bar:
            for tensor in tensors:
                yield tensor
                bar.update(1)

    convert(released, converted, overwrite=True, progress=shown)


def _is_sound(file: Path) -> bool:
    try:
        check_safetensors(file)
    except WeightsError:
        return False
    return True


def _check_writable(folder: Path) -> None:
    # Nothing is created yet: a hub out of reach should not leave an empty model directory behind.
    with writing(folder):
        there = _nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written: {there} is not a folder one may write to. "
                          "Choose another --local_dir.")


def _check_room(folder: Path, missing: list[RemoteFile]) -> None:
    need = sum(f.size for f in missing) - _arrived(folder)
    need += sum(f.size for f in missing if f.path == RELEASED)         # its conversion is about as large
    free = shutil.disk_usage(_nearest(folder)).free
    if need > free:
        raise OutputError(f"{folder} has no room for the model: {need / 1e9:.2f} GB are needed, {free / 1e9:.2f} GB "
                          "free. Make room or choose another --local_dir.")


def _nearest(folder: Path) -> Path:
    return next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())


def _arrived(folder: Path) -> int:
    """Bytes of files that are not finished."""
    return sum(p.stat().st_size for p in folder.rglob("*.incomplete") if p.is_file())


def _explain(hub: Hub, fault: HubFault, folder: Path) -> str:
    """One line for the person who can act: who failed, why, and what else can be done."""
    first = ("Check --model_id and --revision. " if fault.status == 404
             else "It may be private or gated. " if fault.status in (401, 403) else "")
    sources = " or ".join(name for name, kind in HUBS.items() if kind.usual_id and not isinstance(hub, kind))
    return (f"{hub.host} did not give model {hub.model_id} (revision {hub.revision}): {fault.reason}. "
            f"{first}Run the same command again to resume, or try --source {sources}, a mirror "
            f"with --endpoint, a proxy with HTTPS_PROXY, or copy the model by hand so that {folder} holds config.yaml, "
            f"BiCodec, LLM and {WAV2VEC2}.")
