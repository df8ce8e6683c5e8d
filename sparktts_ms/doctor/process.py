"""Runs steps in a process of their own, so that a crash or a hang ends only one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.1
SETTINGS_VARIABLE = "SPARKTTS_ASCEND_SETTINGS"          # see ops.ascend
PROGRAM = "from sparktts_ms.doctor import worker; worker.run()"


@dataclass(frozen=True)
class Context:
    """What the steps of a worker share.

    reference: file of the reference. settings: of operators on Ascend, with the machine they are
    for, or None for the defaults. steps: "module:name" of the functions by name.
    """

    model_dir: str
    device_target: str = "auto"
    device_id: int = 0
    dtype: str | None = None
    reference: str = ""
    settings: dict[str, Any] | None = None
    steps: str = "sparktts_ms.doctor.steps:STEPS"


@dataclass(frozen=True)
class Request:
    """What a worker reads: a context, names of steps, and the file for its results."""

    context: Context
    steps: list[str]
    results: str

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Request:
        fields = json.loads(text)
        return cls(Context(**fields["context"]), fields["steps"], fields["results"])


@dataclass
class Result:
    """Of one step. status: "right", "wrong", "failed" or "skipped"; message: why, in one line."""

    step: str
    status: str
    message: str = ""
    code: str | None = None
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status == "right"


@dataclass
class Clock:
    """The time that all steps have together."""

    limit: float
    began: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        return self.limit - self.elapsed


def run_steps(context: Context, steps: Sequence[str], clock: Clock, limit: float,
              progress: Callable[[str], None], step_limit: float) -> list[Result]:
    """Run `steps` in a worker, and in another one those behind a step that ended it.

    limit: seconds for all of them; what is left of `clock` may be less. step_limit: seconds for one
    (the first includes starting). progress: called with the name of each step that begins.
    """
    results: list[Result] = []
    end = time.monotonic() + min(limit, clock.left)
    remaining = list(steps)
    while remaining:
        seconds = end - time.monotonic()
        if seconds <= 0:
            results += [Result(step, "skipped", "no time was left") for step in remaining]
            break
        done = run_worker(context, remaining, seconds, step_limit, progress)
        results += done
        remaining = remaining[len(done):]
    return results


def run_worker(context: Context, steps: list[str], seconds: float, step_limit: float,
               progress: Callable[[str], None]) -> list[Result]:
    """Results of the first steps, at least one: all, or up to one that ended the process."""
    with tempfile.TemporaryDirectory(prefix="sparktts-doctor-") as name:
        folder = Path(name)
        output = folder / "output.txt"
        reader = ResultReader(folder / "results.jsonl", progress)
        environment = {**os.environ, SETTINGS_VARIABLE: ""}
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        if context.settings is not None:
            settings = folder / "ascend.json"
            settings.write_text(json.dumps(context.settings), encoding="utf-8")
            environment[SETTINGS_VARIABLE] = str(settings)
        request = Request(context, steps, str(reader.path))
        command = [sys.executable, "-c", PROGRAM, request.dump()]
        with output.open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True)
        try:
            status = wait(process, seconds, step_limit, reader)
        finally:
            kill(process)
        reader.read()
        results = reader.results
        if len(results) < len(steps):
            if status is None:
                message = f"no answer within {min(seconds, step_limit):.0f} s"
            else:
                message = f"{ending(status)}: {last_words(output)}"
            results.append(Result(steps[len(results)], "failed", message))
        return results


class ResultReader:
    """Reads the lines that a worker appends to its results. changed: when the last one came."""

    def __init__(self, path: Path, progress: Callable[[str], None]):
        self.path = path
        self.progress = progress
        self.results: list[Result] = []
        self.changed = time.monotonic()
        self._offset = 0

    def read(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                self.changed = time.monotonic()
                entry = json.loads(line)
                if "begins" in entry:
                    self.progress(entry["begins"])
                else:
                    self.results.append(Result(**entry))


def wait(process: subprocess.Popen, seconds: float, step_limit: float,
         reader: ResultReader) -> int | None:
    """The exit status; None after so many seconds, or so many without a result."""
    end = time.monotonic() + seconds
    while time.monotonic() < min(end, reader.changed + step_limit):
        with suppress(subprocess.TimeoutExpired):
            return process.wait(POLL_SECONDS)
        reader.read()
    return None


def kill(process: subprocess.Popen) -> None:
    """End the process and those that it started, such as compilers."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ending(status: int) -> str:
    if status >= 0:
        return f"the process ended with status {status}"
    with suppress(ValueError):
        return f"the process was ended by {signal.Signals(-status).name}"
    return f"the process was ended by signal {-status}"


def last_words(output: Path) -> str:
    """The line of a process's output that tells most of why it ended."""
    lines = []
    for line in output.read_text(encoding="utf-8", errors="replace").splitlines():
        if text := line.strip(" -\t"):
            lines.append(text)
    thrown = [line for line in lines if line.startswith("what():")]     # by C++
    return (thrown or lines or ["it said nothing"])[-1][:200]
