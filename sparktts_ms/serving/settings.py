"""Who may use the server, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparktts_ms.serving.middleware.hosts import LOOPBACK_HOSTS, is_loopback

MAX_QUEUE = 200


@dataclass(frozen=True)
class Limits:
    """What one request may contain."""

    text: int = 20_000              # characters
    transcript: int = 2_000         # characters
    upload: int = 20 << 20          # bytes of a recording
    tensors: int = 32 << 20         # bytes of a request of the KServe V2 protocol
    body: int = 1 << 20             # bytes of any other request
    bodies: int = 256 << 20         # bytes of all requests together, without those of `body` each
    body_seconds: float = 30.0      # for a body to arrive, and one more for each 16 KB


@dataclass(frozen=True)
class Settings:
    """host: address to listen on. grpc_port: of the KServe V2 protocol over gRPC; None: without.

    voices: folder of saved voices; None: there are none. names: a file of further names of voices.
    api_keys: requests need one of them; empty: none. max_queue: requests that wait beside those
    that share the decode steps. drain_seconds: for what is in progress when the server is to stop.
    stuck_seconds: that a step of the engine may take; then the device counts as stuck.
    remote_audio_hosts: from which recordings may be fetched. allowed_hosts: host names by which the
    server may be called; "*.example.org", "*". Empty: all, but on a loopback address its own.
    origins: other sites whose pages may send requests, "*" for all.
    """

    host: str = "127.0.0.1"
    grpc_port: int | None = None
    voices: Path | None = None
    names: Path | None = None
    api_keys: Sequence[str] = ()
    max_queue: int = MAX_QUEUE
    drain_seconds: float = 30.0
    stuck_seconds: float = 300.0
    remote_audio_hosts: Sequence[str] = ()
    allowed_hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    limits: Limits = Limits()

    @property
    def hosts(self) -> list[str]:
        """Host names by which the server may be called."""
        return answered_hosts(self.host, self.allowed_hosts)


def answered_hosts(address: str, allowed_hosts: Sequence[str]) -> list[str]:
    """Host names by which a server on `address` may be called."""
    if is_loopback(address):
        name = address.strip("[]")
        return [*LOOPBACK_HOSTS, f"[{name}]" if ":" in name else name, *allowed_hosts]
    return [*LOOPBACK_HOSTS, *allowed_hosts] if allowed_hosts else ["*"]
