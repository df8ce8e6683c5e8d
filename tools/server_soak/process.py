"""The server under test: a process that is started, watched, asked to end and killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
POLL = 0.1                  # seconds
METRIC = re.compile(r"^(\S+?)(\{[^}]*\})? ([0-9.eE+-]+|NaN)$")


class ServerFailed(Exception):
    """The server does not start, or does not end, as it must."""


@dataclass(frozen=True)
class Usage:
    """What the server holds at a moment.

    memory: resident, in MB. temp_files: files in its temporary folder and beside its voices.
    running, waiting: requests, by its metrics.
    """

    memory: float
    threads: int
    files: int
    temp_files: int
    running: int
    waiting: int


class Server:
    """The process of `command`, with folders of its own below `folder`.

    Its output is appended to server.log; errors that nobody expected are counted in it. Another
    process may follow after the first has ended: `start` again.
    """

    def __init__(self, command: Sequence[str], port: int, folder: Path):
        self.command = list(command)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.voices = folder / "storage" / "voices"
        self.temp = folder / "storage" / "tmp"
        self.log = folder / "server.log"
        self.errors = 0
        self.starts: list[float] = []           # seconds from the start of a process to ready
        self.process: psutil.Popen | None = None
        self._reader: threading.Thread | None = None

    def start(self, seconds: float = 120.0) -> None:
        """Start the process and wait until it is ready. Raises ServerFailed."""
        for path in (self.voices, self.temp):
            path.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "TMPDIR": str(self.temp), "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        self.process = psutil.Popen(self.command, cwd=ROOT, env=environment,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._copy_output, daemon=True,
                                        args=(self.process.stdout,))
        self._reader.start()
        while not self.ready():
            if self.process.poll() is not None:
                raise ServerFailed(f"The server ended with status {self.process.returncode} "
                                   f"before it was ready:\n{self.last_output()}")
            if time.monotonic() - began > seconds:
                raise ServerFailed(f"The server is not ready after {seconds:g} s:\n"
                                   f"{self.last_output()}")
            time.sleep(POLL)
        self.starts.append(time.monotonic() - began)

    def ready(self) -> bool:
        return self._get("/health/ready") is not None

    def metrics(self) -> dict[str, float]:
        """Name -> value, of several with labels their sum; empty if the server does not answer."""
        values: dict[str, float] = {}
        for line in (self._get("/metrics") or "").splitlines():
            found = METRIC.match(line)
            if found:
                values[found[1]] = values.get(found[1], 0.0) + float(found[3])
        return values

    def usage(self) -> Usage | None:
        """None while the process is not there, or does not answer."""
        metrics = self.metrics()
        try:
            assert self.process is not None
            with self.process.oneshot():
                memory = self.process.memory_info().rss / 1e6
                threads, files = self.process.num_threads(), self.process.num_fds()
        except (psutil.Error, AssertionError):
            return None
        if not metrics:
            return None
        return Usage(memory, threads, files, len(self.temp_files()),
                     int(metrics.get("spark_tts:num_requests_running", 0)),
                     int(metrics.get("spark_tts:num_requests_waiting", 0)))

    def temp_files(self) -> list[Path]:
        """Files in the temporary folder, and those of unfinished writes beside the voices."""
        unfinished = [path for path in self.voices.rglob(".*") if path.suffix == ".part"]
        return unfinished + [path for path in self.temp.rglob("*") if path.is_file()]

    def begin_termination(self) -> None:
        """Ask the process to end (SIGTERM)."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once (SIGKILL) and wait for it."""
        self._signal(signal.SIGKILL)
        self.wait(30)

    def wait(self, seconds: float) -> int:
        """The process's exit status. Raises ServerFailed if it has not ended by then."""
        assert self.process is not None and self._reader is not None
        try:
            status = self.process.wait(seconds)
        except psutil.TimeoutExpired:
            self._signal(signal.SIGKILL)
            raise ServerFailed(f"The server has not ended {seconds:g} s after SIGTERM.") from None
        self._reader.join(10)
        return status

    def close(self) -> None:
        """End the process if it is still there."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def last_output(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _get(self, path: str) -> str | None:
        """The body of a page, None unless its status is 200."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url + path, timeout=10) as response:
                return response.read().decode()
        except (OSError, urllib.error.URLError, ValueError):
            return None
        except Exception:                       # http.client's: the server ended meanwhile
            return None

    def _copy_output(self, stream) -> None:
        with self.log.open("ab", buffering=0) as log:
            for line in stream:
                self.errors += is_error(line)
                log.write(line)


def is_error(line: bytes) -> bool:
    """Whether a line of the log is of an error that nobody expected."""
    return line.startswith(b"Traceback") or (
        b" failed: " in line and b" failed: ServiceClosed" not in line)


def serve_command(port: int, grpc_port: int, model_dir: str, voices: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "cli.serve", "--model_dir", model_dir, "--host", "127.0.0.1",
            "--port", str(port), "--grpc_port", str(grpc_port), "--voices", str(voices), *more]
