"""One worker a device of a Ray cluster: an actor with a synthesizer of its own.

    driver                                      worker
    reads lines, keeps voices                   has the model, continuous batching
    exchange(requests) ----------------------->
                       <----------------------- what is done: audio files as bytes, ids
    writes files and the manifest

Two calls of `exchange` are on their way to each worker, so that it does not wait for the driver.
Lines, recordings and audio files go through Ray: only the model's folder, under the same name, and
this package must be on every machine. A worker that dies is replaced, and its lines are done again.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparktts_ms.batch.line import Recording
from sparktts_ms.batch.voices import with_content
from sparktts_ms.batch.work import MORE_LINES, Result, Work, Workers, as_error
from sparktts_ms.errors import DeviceError, InputError, SparkTTSError, one_line

logger = logging.getLogger("sparktts_ms")

LOCAL = "local"
DEVICE = "NPU"                  # Ray's name of an Ascend device
LINES_PER_WORKER = 16 + MORE_LINES
CALLS_PER_WORKER = 2
MAX_ATTEMPTS = 3                # of a line whose workers died
MAX_FAILED_STARTS = 3           # of workers, one after another
WAIT_SECONDS = 1.0
STUCK_SECONDS = 1800.0          # for one call, the compilation of graphs included
NOTICE_SECONDS = 60.0           # without any worker
CONNECT_SECONDS = 10.0
UNREACHABLE = ("Is it running, with the same versions of Ray and Python, and has this machine its "
               "token?")


class Worker:
    """What runs beside a device; its methods are called by Ray, one at a time.

    options: of `SparkTTS.from_pretrained`.
    """

    def __init__(self, options: dict[str, Any], audio_format: str):
        self._options = options
        self._format = audio_format
        self._synthesizer: Workers | None = None

    def load(self) -> SparkTTSError | None:
        """Load the model; returns what is wrong with it."""
        try:
            from sparktts_ms.batch.synthesizer import Synthesizer
            from sparktts_ms.pipeline import SparkTTS

            self._synthesizer = Synthesizer(SparkTTS.from_pretrained(**self._options), self._format)
        except Exception as error:
            return as_error(error)
        return None

    def exchange(self, items: list[tuple[int, Work]]) -> list[tuple[int, Result]]:
        """Take work; return what is done, after a while at the latest."""
        assert self._synthesizer is not None
        for key, work in items:
            self._synthesizer.submit(key, work)
        return self._synthesizer.finished()


@dataclass(eq=False)
class _Handle:
    """A worker as the driver sees it. calls: on their way, oldest first. work: by key, that it has.
    last_reply: by time.monotonic."""

    actor: Any
    calls: deque = field(default_factory=deque)
    work: dict[int, Work] = field(default_factory=dict)
    loaded: bool = False
    last_reply: float = field(default_factory=time.monotonic)


class RayWorkers:
    """The workers of a cluster, for `BatchRun`.

    address: of the cluster; "local": one of this machine alone, for as long as this process; None:
    the one that Ray finds, else as "local". options: of `SparkTTS.from_pretrained`, but of the
    device's number. count: of workers; None: one for each NPU, in a cluster without NPUs one for
    each machine. Raises InputError for a cluster that cannot be reached, or has fewer devices.
    """

    def __init__(self, address: str | None, options: dict[str, Any], audio_format: str,
                 count: int | None = None, worker_class: type = Worker):
        self._ray = _connect(address)
        self._worker_class = worker_class
        self._options = options
        self._format = audio_format
        self._queue: deque[tuple[int, Work]] = deque()
        self._attempts: dict[int, int] = {}
        self._results: list[tuple[int, Result]] = []
        self._failed_starts = 0
        self._any_loaded = False
        self._notice = time.monotonic() + NOTICE_SECONDS
        try:
            self._resources, count = self._plan(count)
        except BaseException:
            self._ray.shutdown()
            raise
        self.capacity = count * LINES_PER_WORKER
        self._handles = [self._start_worker() for _ in range(count)]

    def submit(self, key: int, work: Work) -> None:
        """Queue work for the worker that has least of it."""
        if isinstance(work, Recording):
            try:
                work = with_content(work)
            except SparkTTSError as error:
                self._results.append((key, error))
                return
        self._queue.append((key, work))

    def finished(self) -> list[tuple[int, Result]]:
        """What is done. Raises what is wrong with the model, and DeviceError if workers die before
        they have done anything."""
        self._send()
        calls = {call: handle for handle in self._handles for call in handle.calls}
        if calls and not self._results:
            self._ray.wait(list(calls), num_returns=1, timeout=WAIT_SECONDS, fetch_local=False)
        if calls:
            done, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0)
            for handle in dict.fromkeys(calls[call] for call in done):
                self._receive(handle, set(done))
        for handle in list(self._handles):
            if handle.loaded and handle.calls and self._silent(handle) > STUCK_SECONDS:
                self._replace(handle, TimeoutError(f"no answer for {STUCK_SECONDS:.0f} s"))
        if not self._any_loaded and time.monotonic() > self._notice:
            self._notice = time.monotonic() + NOTICE_SECONDS
            logger.warning("No worker has loaded the model yet; the cluster may have no free %s.",
                           DEVICE if "resources" in self._resources else "CPUs")
        results = self._results
        self._results = []
        return results

    def close(self) -> None:
        """End the workers, and the cluster if it is ours."""
        for handle in self._handles:
            self._ray.kill(handle.actor)
        self._ray.shutdown()

    def _plan(self, count: int | None) -> tuple[dict[str, Any], int]:
        """What a worker needs of the cluster, and how many workers there will be."""
        total = self._ray.cluster_resources()
        devices = int(total.get(DEVICE, 0))
        if devices:
            if count is not None and count > devices:
                raise InputError(f"{count} workers need a device each; the cluster has {devices} "
                                 f"{DEVICE}.", "Ask for fewer.")
            return {"num_cpus": 1, "resources": {DEVICE: 1}}, count or devices
        cpus = [int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes()
                if node["Alive"]]
        cpus = [number for number in cpus if number]
        if not cpus or (count is not None and count > sum(cpus)):
            raise InputError(f"{count or 1} workers need a CPU each; the cluster has {sum(cpus)}.",
                             "Ask for fewer.")
        if count is None:
            return {"num_cpus": min(cpus)}, len(cpus)
        each = max(1, sum(cpus) // count)
        while sum(number // each for number in cpus) < count:
            each -= 1
        return {"num_cpus": each}, count

    @staticmethod
    def _silent(handle: _Handle) -> float:
        """Seconds since its last reply."""
        return time.monotonic() - handle.last_reply

    def _start_worker(self) -> _Handle:
        actor_class = self._ray.remote(**self._resources)(self._worker_class)
        actor = actor_class.remote(self._options, self._format)
        handle = _Handle(actor)
        handle.calls.append(actor.load.remote())
        return handle

    def _send(self) -> None:
        """Give queued work to the workers, and keep them going."""
        items: dict[_Handle, list[tuple[int, Work]]] = {handle: [] for handle in self._handles}
        loaded = [handle for handle in self._handles if handle.loaded]
        while self._queue and loaded:
            handle = min(loaded, key=lambda handle: len(handle.work))
            if len(handle.work) >= LINES_PER_WORKER:
                break
            key, work = self._queue.popleft()
            handle.work[key] = work
            items[handle].append((key, work))
        for handle, new in items.items():
            if not handle.calls:
                handle.last_reply = time.monotonic()
            while handle.work and (new or len(handle.calls) < CALLS_PER_WORKER):
                handle.calls.append(handle.actor.exchange.remote(new))
                new = []

    def _receive(self, handle: _Handle, done: set) -> None:
        """Take the results of the calls of a worker that are done, oldest first."""
        while handle.calls and handle.calls[0] in done:
            call = handle.calls.popleft()
            handle.last_reply = time.monotonic()
            try:
                result = self._ray.get(call)
            except self._ray.exceptions.RayError as error:
                self._replace(handle, error)
                return
            if not handle.loaded:
                self._note_loaded(handle, result)
                continue
            for key, value in result:
                del handle.work[key]
                self._attempts.pop(key, None)
                self._results.append((key, value))

    def _note_loaded(self, handle: _Handle, error: SparkTTSError | None) -> None:
        if error is not None:
            raise error
        handle.loaded = True
        self._any_loaded = True
        self._failed_starts = 0

    def _replace(self, handle: _Handle, error: Exception) -> None:
        """Have another worker do what a dead one has not done."""
        reason = one_line(error)
        logger.warning("A worker died (%s); another one does its %d lines again.", reason,
                       len(handle.work))
        if not handle.loaded:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise DeviceError(f"Workers die while they load the model: {reason}",
                                  "Do its machines have enough memory?", code="worker_died")
        self._ray.kill(handle.actor)
        self._handles[self._handles.index(handle)] = self._start_worker()
        for key, work in reversed(handle.work.items()):
            self._attempts[key] = self._attempts.get(key, 0) + 1
            if self._attempts[key] < MAX_ATTEMPTS:
                self._queue.appendleft((key, work))
                continue
            del self._attempts[key]
            self._results.append((key, DeviceError(
                f"Its worker died, {MAX_ATTEMPTS} times.", "See the log of the cluster.",
                code="worker_died")))


def _connect(address: str | None) -> Any:
    """Ray, connected. Raises InputError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed.", "pip install -r requirements-ray.txt") from None
    address = address or os.environ.get("RAY_ADDRESS") or None
    _check_port(address)
    options: dict[str, Any] = {"include_dashboard": False} if address in (None, LOCAL) else {}
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, terminate)        # Ray has put its own there
    except (ConnectionError, RuntimeError, ValueError, OSError, AssertionError) as error:
        raise InputError(f"The Ray cluster {{subject}} cannot be reached: {one_line(error)}",
                         UNREACHABLE, subject=address or LOCAL) from None
    return ray


def _check_port(address: str | None) -> None:
    """Raise InputError where nobody listens: Ray would try for ten minutes."""
    host, separator, port = (address or "").rpartition("://")[2].rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(f"The Ray cluster {{subject}} cannot be reached: "
                         f"{error.strerror or error}.", UNREACHABLE, subject=address) from None


def model_options(model_dir: Path, **options: Any) -> dict[str, Any]:
    """Options for a worker: the folder's name must be the same on all machines."""
    return {"model_dir": os.path.abspath(model_dir), **options}
