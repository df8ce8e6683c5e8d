"""Where models are kept: how each hub lists a model's files and hands one over.

What is assumed of each, and from where; none could be reached from where this was written, so the tests imitate them:
- Hugging Face, and mirrors by HF_ENDPOINT: what the huggingface_hub library does (tried: 0.36 and 1.33).
- ModelScope: `GET /api/v1/models/ID/repo/files?Revision=&Recursive=True` and `.../repo?Revision=&FilePath=`, as its own
  client (modelscope 1.28, modelscope_hub 0.5) does.
- Modelers: `GET /api/v1/file/ID?ref=&path=` lists one folder, `/api/v1/file/ID/REVISION/media/PATH` redirects to the
  content, as its own client (openmind_hub 1.3) does. An `etag` is the SHA-256 of an LFS file, else the git blob id.
"""

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from sparktts_ms.errors import DownloadError, InputError
from sparktts_ms.weights.fetch import TIMEOUT, HubFault, Progress, RemoteFile, fetch, get_json, plain_reason


class Entry(NamedTuple):
    """One line of a hub's listing, before anything in it is believed."""

    path: Any
    is_file: bool
    size: Any
    digest: Any


@dataclass(frozen=True)
class Hub:
    """A model on one hub, at one revision."""

    model_id: str
    revision: str
    endpoint: str

    usual_id: ClassVar[str | None] = "SparkAudio/Spark-TTS-0.5B"
    usual_revision: ClassVar[str] = "main"
    usual_endpoint: ClassVar[str]

    @property
    def host(self) -> str:
        """The name a person knows the hub by."""
        return urlsplit(self.endpoint).netloc

    def files(self, wanted: Collection[str]) -> dict[str, RemoteFile]:
        """Those of the `wanted` paths that the hub holds."""
        raise NotImplementedError

    def bring(self, file: RemoteFile, folder: Path, progress: Progress) -> None:
        """Put `file`, whole, into `folder`, in one attempt that continues the last one."""
        fetch(self.url_of(file), file, folder / file.path, progress, self.headers())

    def headers(self) -> dict[str, str]:
        """What a request for a file's content says besides its address."""
        return {}

    def url_of(self, file: RemoteFile) -> str:
        """The address of a file's content."""
        raise NotImplementedError


class ModelScope(Hub):
    """modelscope.cn, read without an account."""

    usual_revision = "master"
    usual_endpoint = "https://www.modelscope.cn"

    def files(self, wanted: Collection[str]) -> dict[str, RemoteFile]:
        query = urlencode({"Revision": self.revision, "Recursive": "True"})
        answer = get_json(f"{self.endpoint}/api/v1/models/{self.model_id}/repo/files?{query}")
        with _readable():
            if answer["Code"] != 200:
                raise HubFault(f"it answers {str(answer.get('Message'))[:100]!r}")
            entries = [Entry(e["Path"], e["Type"] == "blob" and stat.S_ISREG(int(e.get("Mode") or stat.S_IFREG)),
                             e["Size"], e.get("Sha256")) for e in answer["Data"]["Files"]]
            return _choose(entries, wanted, self.revision)

    def url_of(self, file: RemoteFile) -> str:
        query = urlencode({"Revision": file.revision, "FilePath": file.path})
        return f"{self.endpoint}/api/v1/models/{self.model_id}/repo?{query}"


class Modelers(Hub):
    """modelers.cn, read without an account. No Spark-TTS is known there, so the id has to be given."""

    usual_id = None
    usual_endpoint = "https://modelers.cn"

    def files(self, wanted: Collection[str]) -> dict[str, RemoteFile]:
        # One request a folder, and only folders of our own layout: a listing cannot send us around in circles.
        folders = sorted({str(PurePosixPath(path).parent) for path in wanted})
        top, found = self._tree(""), {}
        there = [e.path for e in top if not e.is_file]
        for folder in folders:
            entries = top if folder == "." else self._tree(folder) if folder in there else []
            with _readable():
                found.update(_choose(entries, wanted, self.revision))
        return found

    def _tree(self, folder: str) -> list[Entry]:
        query = urlencode({"ref": self.revision, "path": folder})
        answer = get_json(f"{self.endpoint}/api/v1/file/{self.model_id}?{query}")
        with _readable():
            return [Entry(e["path"], e["type"] == "file", e.get("size"), e.get("etag"))
                    for e in answer["data"]["tree"]]

    def url_of(self, file: RemoteFile) -> str:
        revision = quote(file.revision, safe="")
        return f"{self.endpoint}/api/v1/file/{self.model_id}/{revision}/media/{quote(file.path)}"


class HuggingFace(Hub):
    """huggingface.co or a mirror of it; huggingface_hub finds the model and the user's token, if there is one.

    The bytes are fetched here, like those of the other hubs, and not by its snapshot_download. That waits for all its
    threads on Ctrl-C, which for gigabytes means minutes; it takes a folder that is not empty for a finished one when
    the hub is out of reach; it compares no checksums; and 1.33, unlike 0.36, throws away what an interruption left.
    """

    usual_endpoint = "https://huggingface.co"

    def files(self, wanted: Collection[str]) -> dict[str, RemoteFile]:
        library = _huggingface_hub()
        try:
            info = library.HfApi(endpoint=self.endpoint).model_info(
                self.model_id, revision=self.revision, files_metadata=True, timeout=TIMEOUT)
            entries = [Entry(s.rfilename, True, s.size, s.lfs.sha256 if s.lfs else s.blob_id) for s in info.siblings]
        except Exception as error:      # from requests in 0.x, httpx in 1.x, or the library
            raise _huggingface_fault(error) from error
        with _readable():
            return _choose(entries, wanted, info.sha or self.revision)

    def url_of(self, file: RemoteFile) -> str:
        return _huggingface_hub().hf_hub_url(self.model_id, file.path, revision=file.revision, endpoint=self.endpoint)

    def headers(self) -> dict[str, str]:
        return _huggingface_hub().utils.build_hf_headers()


HUBS: dict[str, type[Hub]] = {"huggingface": HuggingFace, "modelscope": ModelScope, "modelers": Modelers}


def open_hub(source: str = "huggingface", model_id: str | None = None, revision: str | None = None,
             endpoint: str | None = None) -> Hub:
    """The hub called `source`, with its usual model, revision and address where none is given."""
    kind = HUBS.get(source)
    if kind is None:
        raise InputError(f"--source {source} is unknown; choose one of {', '.join(HUBS)}.")
    model_id = model_id or kind.usual_id
    if model_id is None:
        raise InputError(f"--source {source} needs --model_id OWNER/NAME: no Spark-TTS is known there by default.")
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model_id, re.ASCII) or ".." in model_id:
        raise InputError(f"--model_id {model_id!r} is not of the form OWNER/NAME.")
    revision = revision or kind.usual_revision
    if not re.fullmatch(r"[\w./-]+", revision, re.ASCII) or ".." in revision:
        raise InputError(f"--revision {revision!r} is not the name of a branch, tag or commit.")
    if endpoint is None:
        endpoint = (kind is HuggingFace and os.environ.get("HF_ENDPOINT")) or kind.usual_endpoint
    endpoint = endpoint.rstrip("/")
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", endpoint):
        raise InputError(f"--endpoint {endpoint!r} (or HF_ENDPOINT) is not an address like https://hf-mirror.com.")
    return kind(model_id, revision, endpoint)


def _choose(entries: Iterable[Entry], wanted: Collection[str], revision: str) -> dict[str, RemoteFile]:
    found = {}
    for entry in entries:
        if not _stays_inside(entry.path):
            raise HubFault(f"its listing names {str(entry.path)[:80]!r}, a path outside the model; nothing is fetched")
        if entry.path not in wanted:
            continue
        if not entry.is_file:
            raise HubFault(f"{entry.path} is not a plain file there")
        if entry.size is None or int(entry.size) < 0:
            raise HubFault(f"its listing gives no size for {entry.path}")
        digest = str(entry.digest or "").strip('"').lower()
        known = re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest)
        found[entry.path] = RemoteFile(entry.path, int(entry.size), digest if known else None, revision)
    return found


def _stays_inside(path: Any) -> bool:
    return (isinstance(path, str) and path.isprintable() and "\\" not in path and not re.match("[A-Za-z]:", path)
            and not set(path.split("/")) & {"", ".", ".."})


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise HubFault("it answered something that is not the listing of a model") from error


def _huggingface_hub():
    try:
        import huggingface_hub
    except ImportError as error:
        raise DownloadError("--source huggingface needs the huggingface_hub package: pip install huggingface_hub, "
                            "or use --source modelscope, which needs nothing.") from error
    return huggingface_hub


def _huggingface_fault(error: Exception) -> Exception:
    """What an exception out of huggingface_hub means; one that means nothing here is a bug and is raised again."""
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return InputError(f"--model_id: {' '.join(str(error).split())}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.RepositoryNotFoundError) and not isinstance(error, errors.GatedRepoError):
        status = 404                    # the hub answers 401 for a model that does not exist
    if status is not None:
        return HubFault.of_status(status)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubFault("HF_HUB_OFFLINE is set, so nothing is asked of it")
    if isinstance(error, (ValueError, KeyError, TypeError)):
        return HubFault("it answered something that is not the listing of a model")
    if isinstance(error, OSError) or type(error).__module__.startswith("httpx"):
        return HubFault(plain_reason(error), passing=True)
    raise error
