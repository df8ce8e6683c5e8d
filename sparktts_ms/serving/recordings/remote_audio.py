"""Fetching a recording from a host that the administrator allows, and from no other.

A request must not make the server fetch what only the server can reach. So an address is resolved
once, what it resolves to is checked, and the connection goes to exactly that; redirections are
checked alike. Addresses of private networks are refused, unless the administrator allowed that very
address by its number.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from sparktts_ms.errors import AudioError, quoted
from sparktts_ms.serving.middleware.hosts import host_matches

SECONDS = 20.0              # for everything after the name's resolution
MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
BLOCK = 1 << 16
HINT = "Send the sound file itself, as base64 or as a data URL."
PORTS = {"http": 80, "https": 443}
HEADERS = {"Accept": "audio/*, */*;q=0.5", "Accept-Encoding": "identity",
           "User-Agent": "sparktts_ms", "Connection": "close"}
NAT64 = ipaddress.ip_network("64:ff9b::/96")        # holds an IPv4 address: RFC 6052

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Target:
    """An allowed address.

    host: as in a URL, without brackets. path: with the query. may_be_private: whether the
    administrator allowed this address by its number.
    """

    scheme: str
    host: str
    port: int
    path: str
    may_be_private: bool = False

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def fetch(url: str, hosts: Sequence[str], max_bytes: int, seconds: float = SECONDS) -> bytes:
    """The bytes at an http or https address.

    hosts: those allowed: "example.org" or "*.example.org" for the usual ports, "example.org:8443"
    for another one.
    Raises AudioError ("remote_audio") for any other host, for a private address, a redirection
    elsewhere, and whatever goes wrong; "too_large" for more than `max_bytes`.
    """
    deadline = time.monotonic() + seconds
    for _ in range(MAX_REDIRECTS + 1):
        target = parse(url, hosts)
        content = location = None
        status = 0
        try:
            with _response(target, deadline) as response:
                status = response.status
                location = response.getheader("Location")
                if status == 200:
                    content = _read(response, max_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise not_fetched(url, "has no valid certificate") from None
        if content is not None and time.monotonic() < deadline:
            return content
        if time.monotonic() >= deadline:    # what arrived was broken off
            raise not_fetched(url, f"did not arrive within {seconds:g} s")
        if status not in REDIRECTS or not location:
            answer = f"was answered with status {status}" if status not in (0, 200) else ""
            raise not_fetched(url, answer or "could not be fetched")
        url = urljoin(url, location)
    raise not_fetched(url, f"was redirected more than {MAX_REDIRECTS} times")


def parse(url: str, hosts: Sequence[str]) -> Target:
    """The parts of an allowed address. Raises AudioError ("remote_audio") for any other."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or PORTS[parts.scheme]
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        path.encode("ascii")
        valid = parts.scheme in PORTS and "@" not in parts.netloc and url.strip().isprintable()
    except (ValueError, KeyError):
        valid = False
    if valid:
        names = [name.lower().replace("[", "").replace("]", "") for name in hosts]
        usual = port in PORTS.values()
        exactly = f"{host}:{port}" in names or (usual and host in names)
        if exactly or (usual and any(host_matches(host, name) for name in names)):
            return Target(parts.scheme, host, port, path, exactly and _is_address(host))
    raise AudioError(f"{{subject}} is at {quoted(url)}, from where nothing is fetched.", HINT,
                     subject="The recording", code="remote_audio")


def is_public(address: Address) -> bool:
    """Whether an address is one of the Internet, not of a private network or of this machine."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xffffffff)
        if address.teredo is not None:
            return False
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def resolve(target: Target) -> list[tuple[socket.AddressFamily, Any]]:
    """Families and socket addresses of a host. Raises AudioError if any of them is private and must
    not be; OSError if there is none."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses: list[tuple[socket.AddressFamily, Any]] = []
    for family, _, _, _, address in found:
        addresses.append((family, address))
        number = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if not is_public(number) and not target.may_be_private:
            raise AudioError(f"{{subject}} is at {quoted(target.host)}, an address of a private "
                             "network, from where nothing is fetched.", HINT,
                             subject="The recording", code="remote_audio")
    return addresses


@contextlib.contextmanager
def _response(target: Target, deadline: float) -> Iterator[http.client.HTTPResponse]:
    """The answer to GET; the connection breaks off at the deadline, however slowly it comes."""
    connected = _connect(target, deadline)
    timer = threading.Timer(deadline - time.monotonic(), _break_off, [connected])
    timer.daemon = True
    timer.start()
    try:
        if isinstance(connected, ssl.SSLSocket):
            connected.do_handshake()
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = connected
        connection.request("GET", target.path, headers={"Host": target.host_header, **HEADERS})
        with connection.getresponse() as response:
            yield response
    finally:
        timer.cancel()
        connected.close()


def _connect(target: Target, deadline: float) -> socket.socket:
    """A connection to one of the addresses that have been checked; TLS is not yet agreed on."""
    error: OSError | None = None
    for family, address in resolve(target):
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            plain.settimeout(max(deadline - time.monotonic(), 0.001))
            plain.connect(address)
        except OSError as problem:
            plain.close()
            error = problem
            continue
        if target.scheme == "http":
            return plain
        context = ssl.create_default_context()
        return context.wrap_socket(plain, server_hostname=target.host,
                                   do_handshake_on_connect=False)
    raise error or OSError("no address")


def _is_address(host: str) -> bool:
    """Whether a host is given by its number."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _break_off(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    """The body. Raises AudioError for a longer one, IncompleteRead for one that breaks off."""
    content = bytearray()
    while block := response.read(min(BLOCK, max_bytes + 1 - len(content))):
        content += block
        if len(content) > max_bytes:
            raise too_large(max_bytes)
    if response.length:                 # what Content-Length promised and did not come
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(content)


def too_large(max_bytes: int) -> AudioError:
    """The error for a recording of more bytes."""
    return AudioError(f"{{subject}} is larger than {max_bytes / (1 << 20):g} MB.",
                      "Cut it to 3 to 10 seconds.", subject="The recording", code="too_large")


def not_fetched(url: str, problem: str) -> AudioError:
    """The error for an allowed address that gives no recording."""
    return AudioError(f"{{subject}} at {quoted(url)} {problem}.", HINT, subject="The recording",
                      code="remote_audio")
