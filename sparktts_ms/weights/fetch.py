"""One file over HTTP: continued where it stopped, checked, and only then given its name.

Standard library only, so that ModelScope and Modelers need nothing installed. Proxies come from the environment
(HTTPS_PROXY, NO_PROXY), as everywhere in urllib.
"""

import hashlib
import http.client
import json
import logging
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

from sparktts_ms.errors import OutputError

log = logging.getLogger(__name__)

WAITS = (1.0, 2.0, 4.0)                 # seconds between attempts that gain nothing
TIMEOUT = 30.0                          # seconds of silence on a connection
BLOCK = 1 << 20
LISTING_LIMIT = 16 << 20                # bytes; a real listing has some kilobytes

# Called with tqdm's keyword arguments; what it returns is entered and told update(count).
Progress = Callable[..., AbstractContextManager]


def silent(**_) -> AbstractContextManager:
    """The progress display that shows nothing."""
    return nullcontext(SimpleNamespace(update=lambda count: None))


@dataclass(eq=False)
class HubFault(Exception):
    """Why a hub did not give what was asked; `passing` if trying again may help, `status` if it did answer."""

    reason: str
    status: int | None = None
    passing: bool = False

    @classmethod
    def of_status(cls, status: int) -> "HubFault":
        """The fault that an HTTP status stands for."""
        name = http.client.responses.get(status, "unknown status")
        return cls(f"HTTP {status} {name}", status, passing=status >= 500 or status in (408, 425, 429))


@dataclass(frozen=True)
class RemoteFile:
    """A file as a hub lists it. `digest` is the SHA-256 (64 digits) or the git blob id (40) of its content."""

    path: str
    size: int
    digest: str | None
    revision: str


def patiently(step: Callable, sleep: Callable[[float], None], ground: Callable[[], int] = lambda: 0):
    """Run `step`; after a passing fault run it again in 1, 2 and 4 seconds, counting afresh when `ground` has grown."""
    furthest, faults = ground(), 0
    while True:
        try:
            return step()
        except HubFault as fault:
            reached = ground()
            if reached > furthest:
                furthest, faults = reached, 0
            if not fault.passing or faults == len(WAITS):
                raise
            log.warning("%s; trying again in %g s", fault.reason, WAITS[faults])
            sleep(WAITS[faults])
            faults += 1


def is_whole(file: Path, remote: RemoteFile, progress: Progress = silent) -> bool:
    """Whether `file` exists with the size and, where the hub names one, the digest of `remote`."""
    if not file.is_file() or file.stat().st_size != remote.size:
        return False
    if remote.digest is None:
        return True
    is_git_blob = len(remote.digest) == 40
    hasher = hashlib.sha1(b"blob %d\0" % remote.size, usedforsecurity=False) if is_git_blob else hashlib.sha256()
    with file.open("rb") as stream, progress(desc=f"checking {remote.path}", total=remote.size, leave=False,
                                              delay=0.5) as bar:
        while block := stream.read(BLOCK):
            hasher.update(block)
            bar.update(len(block))
    return hasher.hexdigest() == remote.digest


def fetch(url: str, remote: RemoteFile, target: Path, progress: Progress = silent,
          headers: Mapping[str, str] | None = None) -> None:
    """Bring `remote` to `target` in one attempt; bytes of an earlier one lie in `NAME.incomplete` and are kept."""
    partial = target.with_name(target.name + ".incomplete")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        have = partial.stat().st_size if partial.exists() else 0
        if have > remote.size:
            partial.unlink()
            have = 0
        try:
            if have < remote.size:
                _receive(url, dict(headers or {}), remote, partial, have, progress)
            elif remote.size == 0:
                partial.touch()
        except HubFault as fault:
            if fault.status == 416:     # the file there is shorter than what lies here: another revision's
                partial.unlink(missing_ok=True)
                fault.passing = have > 0
            fault.reason = f"{remote.path}: {fault.reason}"
            raise
        if not is_whole(partial, remote, progress):
            partial.unlink()
            # Bytes kept from another revision spoil a file once; a file that came in one go is as the hub has it.
            raise HubFault(f"{remote.path} arrived damaged: its checksum is not the listed one", passing=have > 0)
        os.replace(partial, target)


def get_json(url: str):
    """The JSON document at `url`, at most LISTING_LIMIT bytes of it."""
    with _network(), _open(url, {}) as answer:
        body = answer.read(LISTING_LIMIT + 1)
    if len(body) > LISTING_LIMIT:
        raise HubFault("its listing is too long to be one of a model")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HubFault("it answered something that is not JSON") from error


def plain_reason(error: BaseException) -> str:
    """What the system said at the bottom of a chain of network exceptions, in one short line."""
    link: BaseException | None = error
    while link is not None:
        if said := getattr(link, "strerror", None):
            return str(said)
        inner = getattr(link, "reason", None)
        link = inner if isinstance(inner, BaseException) else link.__cause__ or link.__context__
    return " ".join(str(error).split())[:160] or type(error).__name__


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the file system refuses into an OutputError that names `target`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {plain_reason(error)}. "
                          "Make room or choose another --local_dir; the same command resumes.") from error


def _receive(url: str, headers: dict[str, str], remote: RemoteFile, partial: Path, have: int,
             progress: Progress) -> None:
    if have:
        headers["Range"] = f"bytes={have}-"
    with _network():
        answer = _open(url, headers)
    with answer:
        start = _first_byte(answer)
        if start not in (0, have):
            partial.unlink()
            raise HubFault("another part was sent than was asked for", passing=True)
        # Unbuffered: whatever ends this process, what has arrived is on the disk.
        with (partial.open("ab" if start else "wb", buffering=0) as out,
              progress(desc=remote.path, total=remote.size, initial=start, leave=True) as bar):
            have = start
            while have <= remote.size:
                with _network():
                    block = answer.read1(BLOCK)
                if not block:
                    break
                out.write(block)
                have += len(block)
                bar.update(len(block))
    if have > remote.size:
        partial.unlink()
        raise HubFault("more bytes were sent than the listing says")
    if have < remote.size:
        raise HubFault(f"the connection ended after {have} of {remote.size} bytes", passing=True)


def _first_byte(answer: http.client.HTTPResponse) -> int:
    # Not the status: ModelScope has been seen to answer a Range with 200 and a right Content-Range, and a server that
    # ignores the Range sends 200 without one.
    match = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else 0


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https, to nothing else."""

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302      # Python 3.10 has none

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise HubFault(f"it redirects to {urlsplit(newurl).scheme}:, which is refused")
        request = super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            request.remove_header("Authorization")          # a token is for the hub, not for whoever stores its files
        return request


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-agent": "sparktts-ms", **headers})
    return urllib.request.build_opener(_WebOnly).open(request, timeout=TIMEOUT)


@contextmanager
def _network() -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise HubFault.of_status(error.code) from error
    except (OSError, http.client.HTTPException) as error:
        raise HubFault(plain_reason(error), passing=not isinstance(error, http.client.InvalidURL)) from error
    except ValueError as error:         # an address that cannot be one, here or in a redirect
        raise HubFault(plain_reason(error)) from error
