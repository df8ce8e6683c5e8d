"""One engine a process: requests are JSON lines on its stdin, answers JSON lines on its stdout.

A request is {"measure": name, ...arguments}, its answer {"seconds": ...} or what else the measure gives. The driver asks
one worker at a time, so engines take turns and each is measured while the others are idle.
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


class Worker:
    """A running engine as the driver sees it. `about`: load seconds and versions; `missing`: the package it lacks, or None."""

    def __init__(self, name: str, command: list[str]):
        self.name = name
        self.log = tempfile.TemporaryFile("w+", errors="replace")       # noqa: SIM115 (what its libraries print; closed with it)
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        text=True)

    def __enter__(self) -> Worker:
        try:
            self.about = self._answer()
        except BaseException:
            self.close()
            raise
        self.missing = self.about.get("missing")
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def ask(self, measure: str, **arguments: Any) -> dict[str, Any]:
        """Let it measure. Raises RuntimeError with the end of its log if it died."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):      # the missing answer tells
            self.process.stdin.write(json.dumps({"measure": measure, **arguments}) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Its stdin ends, so it ends."""
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
            self.process.wait(30)       # it says why only at its very end
            self.log.seek(0)
            raise RuntimeError(f"The worker {self.name!r} died:\n{self.log.read()[-3000:]}")
        return json.loads(line)


class Measures:
    """An engine in its own process: every public method is a measure. `about` is its first answer."""

    about: dict[str, Any]

    def memory(self) -> dict[str, int]:
        """The most this process has held."""
        return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def serve(start: Callable[[], Measures]) -> None:
    """Start an engine and answer requests until stdin ends. An engine whose packages are not there says so and ends."""
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)                   # what libraries print is no answer
        try:
            engine = start()
        except ModuleNotFoundError as problem:
            answers.write(json.dumps({"missing": problem.name}) + "\n")
            return
        answers.write(json.dumps(engine.about) + "\n")
        for line in sys.stdin:
            request = json.loads(line)
            answers.write(json.dumps(getattr(engine, request.pop("measure"))(**request)) + "\n")


def timed(action: Callable[[], object], runs: int = 1) -> dict[str, float]:
    """Median seconds of `runs` calls."""
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return {"seconds": statistics.median(seconds)}
