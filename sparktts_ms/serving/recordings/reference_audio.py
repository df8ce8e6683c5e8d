"""The recording in a request: base64, a data URL, or an address of an allowed host."""

from __future__ import annotations

import base64
import binascii
import re
import string
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

import anyio

from sparktts_ms.errors import AudioError, quoted
from sparktts_ms.serving.recordings import remote_audio
from sparktts_ms.serving.recordings.remote_audio import too_large

FETCHES = anyio.CapacityLimiter(8)      # at a time; other threads are for other work
MAX_HEADER = 200            # characters of a data URL before its comma
URL_SCHEME = re.compile(r"\s*([a-zA-Z][a-zA-Z0-9+.-]*):")
WHITE_SPACE = str.maketrans("", "", string.whitespace)
URL_SAFE = bytes.maketrans(b"-_", b"+/")


async def read_reference_audio(value: str, max_bytes: int, hosts: Sequence[str] = ()) -> bytes:
    """The bytes of a recording; whether they are audio, their decoder finds out.

    value: base64, "data:audio/wav;base64,…", or an address at one of `hosts`, which is fetched (see
    `remote_audio.fetch`). Raises AudioError ("bad_base64", "too_large", "remote_audio").
    """
    scheme = URL_SCHEME.match(value[:MAX_HEADER])
    if scheme is None or scheme[1].lower() == "data":
        return await anyio.to_thread.run_sync(_decode, value, max_bytes)
    try:
        with anyio.fail_after(2 * remote_audio.SECONDS):    # also of the name's resolution
            return await anyio.to_thread.run_sync(remote_audio.fetch, value, hosts, max_bytes,
                                                  abandon_on_cancel=True, limiter=FETCHES)
    except TimeoutError:
        raise remote_audio.not_fetched(value, "did not arrive in time") from None


def decode_base64(text: str, max_bytes: int) -> bytes:
    """Standard or URL-safe base64, with or without padding and line breaks. Raises AudioError."""
    if len(text) > 2 * max_bytes + 1024:                # more than base64 and line breaks are
        raise too_large(max_bytes)
    try:
        encoded = text.translate(WHITE_SPACE).encode("ascii").translate(URL_SAFE).rstrip(b"=")
        content = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise AudioError("{subject} is no valid base64.",
                         "Send a sound file as base64 or as a data URL.",
                         subject="The recording", code="bad_base64") from None
    if not content:
        raise AudioError("{subject} is empty.", "Send a sound file as base64 or as a data URL.",
                         subject="The recording", code="bad_base64")
    if len(content) > max_bytes:
        raise too_large(max_bytes)
    return content


def _decode(value: str, max_bytes: int) -> bytes:
    is_url = URL_SCHEME.match(value[:MAX_HEADER]) is not None
    return decode_base64(_data(value) if is_url else value, max_bytes)


def _data(url: str) -> str:
    """What follows the header of a data URL with base64. Source: RFC 2397."""
    header, comma, data = url.partition(",")
    if not comma or len(header) > MAX_HEADER or not header.strip().lower().endswith(";base64"):
        raise AudioError(f"{{subject}} is no data URL with base64: {quoted(url[:MAX_HEADER])}.",
                         "It begins with data:audio/wav;base64,", subject="The recording",
                         code="bad_base64")
    return unquote_to_bytes(data).decode("latin-1") if "%" in data else data
