"""One engine a process: requests are JSON lines on its stdin, answers JSON lines on its stdout.

A request is {"measure": method, ...arguments}, its answer {"seconds": ...} or what else the method
returns. One worker measures at a time, while the others are idle.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class WorkerDied(RuntimeError):
    """With the end of the worker's log. reason: its last line."""

    def __init__(self, name: str, text: str):
        super().__init__(f"The worker {name!r} died:\n{text[-3000:]}")
        self.reason = (text.strip().splitlines() or ["it said nothing"])[-1]


class Worker:
    """An engine's process, seen from the runner.

    about: seconds of loading and versions. missing: the package that it lacks, or None.
    """

    def __init__(self, name: str, command: list[str]):
        self.name = name
        self.log = tempfile.TemporaryFile("w+", errors="replace")       # noqa: SIM115 (see close)
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            text=True)

    def __enter__(self) -> Worker:
        try:
            self.about = self._answer()
        except BaseException:
            self.close()
            raise
        self.missing = self.about.get("missing")
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def request(self, measure: str, **arguments: Any) -> dict[str, Any]:
        """Let the engine measure. Raises WorkerDied."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):      # _answer raises
            self.process.stdin.write(json.dumps({"measure": measure, **arguments}) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process by closing its stdin."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except BaseException:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(30)       # its last words say why
            self.log.seek(0)
            raise WorkerDied(self.name, self.log.read())
        return json.loads(line)


class Engine:
    """An engine in its own process; every public method can be requested. `about` is its first
    answer: seconds of loading and versions."""

    about: dict[str, Any]

    def memory(self) -> dict[str, int]:
        """Peak memory of this process."""
        return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def serve(load: Callable[[], Engine]) -> None:
    """Load an engine and answer requests until stdin ends. Without its packages, answer which one
    is missing and return."""
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)                   # what libraries print goes to the log
        try:
            engine = load()
        except ModuleNotFoundError as error:
            answers.write(json.dumps({"missing": error.name}) + "\n")
            return
        answers.write(json.dumps(engine.about) + "\n")
        for line in sys.stdin:
            request = json.loads(line)
            measure = getattr(engine, request.pop("measure"))
            answers.write(json.dumps(measure(**request)) + "\n")


def timed(action: Callable[[], object], runs: int = 1) -> dict[str, float]:
    """Median seconds of `runs` calls."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return {"seconds": statistics.median(seconds)}
