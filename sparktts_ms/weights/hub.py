"""A complete model directory from Hugging Face, ModelScope or Modelers, by the hubs' own clients.

A client lists the files of a repository and downloads one of them, resumed where it was
interrupted. Here it is decided which files a model needs, whether there is room for them, and
whether each has the SHA-256 (or git blob id) that the hub states; wav2vec2's weights are converted.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sparktts_ms.errors import (
    DownloadError,
    InputError,
    ModelError,
    OutputError,
    SparkTTSError,
    WeightsError,
)
from sparktts_ms.files import check_writable, read_mapping
from sparktts_ms.weights.checkpoint import open_weights
from sparktts_ms.weights.convert import convert
from sparktts_ms.weights.safetensors_file import SafetensorsFile

log = logging.getLogger(__name__)

LICENCE = ("The weights of Spark-TTS are under CC BY-NC-SA 4.0 "
           "(https://creativecommons.org/licenses/by-nc-sa/4.0/): "
           "non-commercial use, with attribution, shared alike.")
WAV2VEC2 = "wav2vec2-large-xlsr-53"
TORCH_WEIGHTS = f"{WAV2VEC2}/pytorch_model.bin"
CONVERTED_WEIGHTS = f"{WAV2VEC2}/model.safetensors"
REQUIRED = ("config.yaml", "BiCodec/config.yaml", "BiCodec/model.safetensors",
            f"{WAV2VEC2}/config.json", f"{WAV2VEC2}/preprocessor_config.json",
            "LLM/config.json", "LLM/model.safetensors", "LLM/tokenizer.json")
LLM_WEIGHTS = "LLM/model.safetensors"       # or, in several files:
LLM_INDEX = "LLM/model.safetensors.index.json"
LLM_SHARD = re.compile(r"LLM/model-\d+-of-\d+\.safetensors")
OPTIONAL = ("LLM/tokenizer_config.json", "LLM/special_tokens_map.json", "LLM/added_tokens.json",
            "LLM/vocab.json", "LLM/merges.txt", "LLM/generation_config.json")
MAX_TOKENIZER_BYTES = 32 << 20
RETRY_DELAYS = (1.0, 2.0, 4.0)      # seconds


@dataclass(frozen=True)
class RemoteFile:
    """A file as its hub lists it. size: bytes; digest: SHA-256 or git blob id; None: not stated."""

    path: str
    size: int | None
    digest: str | None


class Hub:
    """A model on a hub at one revision. Raises DownloadError if the hub's client is missing."""

    package: str
    default_endpoint: str
    default_revision = "main"
    default_model_id: str | None = "SparkAudio/Spark-TTS-0.5B"
    client_retries = False      # whether the client repeats failed requests itself

    def __init__(self, model_id: str, revision: str, endpoint: str):
        self.model_id = model_id
        self.revision = revision
        self.endpoint = endpoint
        try:
            self.client: Any = importlib.import_module(self.package)
        except ImportError as error:
            raise DownloadError(f"This hub needs the package {self.package}.",
                                f"pip install {self.package}") from error

    def list_files(self) -> list[RemoteFile]:
        """All files of the model. Raises what the client raises."""
        raise NotImplementedError

    def download_file(self, file: RemoteFile, folder: Path) -> None:
        """Put a file into `folder`, resumed if interrupted. Raises what the client raises."""
        raise NotImplementedError


class HuggingFace(Hub):
    """huggingface.co, or a mirror of it."""

    package = "huggingface_hub"
    default_endpoint = "https://huggingface.co"

    def __init__(self, model_id: str, revision: str, endpoint: str):
        # Downloads from Xet storage start again after an interruption, those over HTTP resume.
        os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
        super().__init__(model_id, revision, endpoint)
        self.api = self.client.HfApi(endpoint=endpoint)
        self.commit = revision

    def list_files(self) -> list[RemoteFile]:
        info = self.api.model_info(self.model_id, revision=self.revision, files_metadata=True)
        self.commit = info.sha or self.revision
        files = []
        for sibling in info.siblings:
            digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
            files.append(RemoteFile(sibling.rfilename, sibling.size, digest))
        return files

    def download_file(self, file: RemoteFile, folder: Path) -> None:
        self.api.hf_hub_download(self.model_id, file.path, revision=self.commit, local_dir=folder)


class ModelScope(Hub):
    """modelscope.cn. Its client is the part of `modelscope` that talks to the hub."""

    package = "modelscope_hub"
    default_endpoint = "https://www.modelscope.cn"
    default_revision = "master"
    client_retries = True

    def __init__(self, model_id: str, revision: str, endpoint: str):
        super().__init__(model_id, revision, endpoint)
        self.api = self.client.HubApi(endpoint=endpoint)

    def list_files(self) -> list[RemoteFile]:
        files = self.api.list_repo_files(self.model_id, "model", revision=self.revision)
        return [RemoteFile(file.path, file.size, file.sha256) for file in files]

    def download_file(self, file: RemoteFile, folder: Path) -> None:
        self.api.download_file(self.model_id, "model", file.path, revision=self.revision,
                               local_dir=folder, expected_sha256=file.digest)


class Modelers(Hub):
    """modelers.cn; other addresses only where its client allows them."""

    package = "openmind_hub"
    default_endpoint = "https://modelers.cn"
    default_model_id = None         # no Spark-TTS is known there

    def __init__(self, model_id: str, revision: str, endpoint: str):
        # Read when the client is imported. It writes to /tmp and the home folder only, unless told.
        os.environ["OPENMIND_HUB_ENDPOINT"] = endpoint
        os.environ.setdefault("HUB_WHITE_LIST_PATHS", os.sep)
        super().__init__(model_id, revision, endpoint)

    def list_files(self) -> list[RemoteFile]:
        entries = self.client.list_repo_tree(self.model_id, revision=self.revision, recursive=True)
        files = [entry for entry in entries if isinstance(entry, self.client.RepoFile)]
        return [RemoteFile(file.path, file.size, file.blob_id) for file in files]

    def download_file(self, file: RemoteFile, folder: Path) -> None:
        self.client.om_hub_download(self.model_id, file.path, revision=self.revision,
                                    cache_dir=str(folder / ".cache" / "openmind"),
                                    local_dir=str(folder), local_dir_use_symlinks=False)


HUBS = {"huggingface": HuggingFace, "modelscope": ModelScope, "modelers": Modelers}


def open_hub(
    source: str = "huggingface",
    model_id: str | None = None,
    revision: str | None = None,
    endpoint: str | None = None,
) -> Hub:
    """A model on the hub `source`, one of HUBS. Raises InputError or DownloadError (no client).

    model_id: OWNER/NAME; revision: branch, tag or commit; endpoint: address of the hub or a mirror
    (for huggingface also by HF_ENDPOINT). The hub's own where not given.
    """
    if source not in HUBS:
        raise InputError(f"There is no hub {source}.", f"Choose one of {', '.join(HUBS)}.")
    kind: type[Hub] = HUBS[source]
    model_id = model_id or kind.default_model_id
    if model_id is None:
        raise InputError(f"No Spark-TTS is known on {source}.", "Give a model_id, OWNER/NAME.",
                         code="no_model_id")
    if endpoint is None and kind is HuggingFace:
        endpoint = os.environ.get("HF_ENDPOINT")
    endpoint = (endpoint or kind.default_endpoint).rstrip("/")
    if not re.match("https://." if kind is Modelers else "https?://.", endpoint):
        raise InputError(f"The endpoint {endpoint!r} is no address like {kind.default_endpoint}.")
    return kind(model_id, revision or kind.default_revision, endpoint)


def download(hub: Hub, folder: str | Path) -> Path:
    """Make `folder` a complete model directory and return it.

    Files that are there and as the hub states stay; after an interruption, call it again.
    Raises DownloadError (hub), OutputError (folder), ModelError or WeightsError (content).
    """
    folder = Path(folder)
    converted = folder / CONVERTED_WEIGHTS
    try:
        files = _model_files(hub, _retry(hub, hub.list_files), folder)
        check_writable(folder)
        missing = [file for file in files if not is_complete(folder / file.path, file)]
        _check_free_space(folder, missing)
        for file in missing:
            _download_file(hub, file, folder)
    except SparkTTSError:
        raise
    except Exception as error:      # whatever the clients raise
        if isinstance(error, OSError) and error.errno is not None:
            raise OutputError(f"{{subject}} cannot be written: {error}.", "Free some space or "
                              "choose another folder; a new download resumes.",
                              subject=folder) from error
        hint = "Download again, which resumes; or use another source, a mirror or a proxy."
        if _http_status(error) in (401, 403, 404):
            hint = "Check model_id and revision; the model may be private or gated."
        raise DownloadError(f"{hub.endpoint} did not give {hub.model_id} (revision {hub.revision})"
                            f": {_reason(error)}.", hint) from error
    if TORCH_WEIGHTS in [file.path for file in missing] or not _is_readable(converted):
        log.info("converting %s", TORCH_WEIGHTS)
        convert(folder / TORCH_WEIGHTS, converted, overwrite=True)
    verify(folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)    # the clients' records
    for path in folder.rglob("*.incomplete"):               # of another hub's client
        path.unlink()
    return folder


def verify(folder: str | Path) -> None:
    """Raise ModelError or WeightsError unless the folder has all files of a model, readable."""
    required = [*REQUIRED, CONVERTED_WEIGHTS]
    if not (Path(folder) / LLM_WEIGHTS).exists() and (Path(folder) / LLM_INDEX).exists():
        required[required.index(LLM_WEIGHTS)] = LLM_INDEX
    paths = [Path(folder) / path for path in required]
    missing = [str(path.relative_to(folder)) for path in paths if not path.is_file()]
    if missing:
        raise ModelError(f"{{subject}} is no complete model: {', '.join(missing)} missing.",
                         "Download it again.", subject=folder)
    for path in paths:
        if path.suffix == ".safetensors" or path.name.endswith(".index.json"):
            open_weights(path)
        else:
            limit = MAX_TOKENIZER_BYTES if path.name == "tokenizer.json" else None
            read_mapping(path, max_bytes=limit)


def is_complete(path: Path, file: RemoteFile) -> bool:
    """Whether the file at `path` has the size and the digest that the hub states."""
    if not path.is_file() or file.size not in (None, path.stat().st_size):
        return False
    digest = (file.digest or "").strip('"').lower()
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", digest):
        return True
    hasher = hashlib.sha256()
    if len(digest) == 40:
        hasher = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest() == digest


def partial_size(folder: Path) -> int:
    """Bytes of files whose download was interrupted."""
    return sum(path.stat().st_size for path in folder.rglob("*.incomplete"))


def _model_files(hub: Hub, listed: list[RemoteFile], folder: Path) -> list[RemoteFile]:
    """The files of a model among those that a hub lists; wav2vec2's weights in one form."""
    known = {*REQUIRED, *OPTIONAL, TORCH_WEIGHTS, CONVERTED_WEIGHTS}
    files = {file.path: file for file in listed if file.path in known}
    shards = {file.path: file for file in listed
              if file.path == LLM_INDEX or LLM_SHARD.fullmatch(file.path)}
    if LLM_WEIGHTS not in files and LLM_INDEX in shards:
        files |= shards
    missing = [path for path in REQUIRED if path not in files
               and not (path == LLM_WEIGHTS and LLM_INDEX in files)]
    if TORCH_WEIGHTS not in files and CONVERTED_WEIGHTS not in files:
        missing.append(TORCH_WEIGHTS)
    if missing:
        raise DownloadError(f"{hub.model_id} at {hub.endpoint} is no Spark-TTS model: it lacks "
                            f"{', '.join(missing)}.", "Check model_id and revision.")
    if TORCH_WEIGHTS in files:
        files.pop(CONVERTED_WEIGHTS, None)
        if not (folder / TORCH_WEIGHTS).exists() and _is_readable(folder / CONVERTED_WEIGHTS):
            files.pop(TORCH_WEIGHTS)        # converted, and deleted to save 1.3 GB
    return list(files.values())


def _is_readable(path: Path) -> bool:
    try:
        SafetensorsFile(path)
    except WeightsError:
        return False
    return True


def _check_free_space(folder: Path, missing: list[RemoteFile]) -> None:
    needed = sum(file.size or 0 for file in missing) - partial_size(folder)
    # The converted weights are as large as the original.
    needed += sum(file.size or 0 for file in missing if file.path == TORCH_WEIGHTS)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(f"{{subject}} has no room for the model: {needed / 1e9:.2f} GB are "
                          f"needed, {free / 1e9:.2f} GB free.",
                          "Free some space or choose another folder.", subject=folder)


def _download_file(hub: Hub, file: RemoteFile, folder: Path) -> None:
    path = folder / file.path
    path.unlink(missing_ok=True)        # damaged or out of date; a client might keep it
    log.info("downloading %s (%.1f MB)", file.path, (file.size or 0) / 1e6)
    try:
        _retry(hub, partial(hub.download_file, file, folder))
    finally:
        if path.exists() and not is_complete(path, file):
            path.unlink()
    if not path.exists():
        raise DownloadError(f"{file.path} arrived damaged: it is not what {hub.endpoint} lists.",
                            "Download it again.")


def _retry(hub: Hub, step: Callable[[], Any]) -> Any:
    """The result of `step`, repeated after failures that may pass."""
    for delay in () if hub.client_retries else RETRY_DELAYS:
        try:
            return step()
        except Exception as error:
            if not _may_pass(error):
                raise
            log.warning("%s; next attempt in %g s", _reason(error), delay)
            time.sleep(delay)
    return step()


def _may_pass(error: Exception) -> bool:
    status = _http_status(error)
    if status is not None:
        return status >= 500 or status in (408, 429)
    # The errors of `requests` are OSErrors without a number; offline mode is a ConnectionError.
    is_network = isinstance(error, OSError) and error.errno is None
    return is_network and not isinstance(error, ConnectionError)


def _http_status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _reason(error: Exception) -> str:
    """What went wrong, in one line; what the operating system said, if it did."""
    status = _http_status(error)
    if status is not None:
        return f"HTTP {status}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")
