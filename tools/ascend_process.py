"""Processes that run networks on the stand-in for CANN, driven from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.ascend.standin.build import Unavailable, build, environment

ROOT = Path(__file__).resolve().parent.parent


class WorkerError(Exception):
    """A process that cannot be started or has died; the message is one line."""


def standin_environment() -> dict[str, str]:
    """The environment in which MindSpore finds the stand-in, which records and computes nothing;
    builds it if necessary. Raises WorkerError."""
    try:
        variables = environment(build())
    except Unavailable as error:
        raise WorkerError(str(error)) from None
    # Not the settings that cli.doctor may have stored for a device.
    return {"SPARKTTS_ASCEND_SETTINGS": "", **variables, "STANDIN_COMPUTE": "0"}


class Worker:
    """A process of a command line. It starts when it is first asked, and again after it died."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]):
        self.name = name
        self.command = command
        self.environment = environment
        self._folder = tempfile.TemporaryDirectory()
        self._stderr = Path(self._folder.name) / "stderr.txt"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()
        self._folder.cleanup()

    def count(self, section: str) -> dict[str, Any]:
        """Column -> count, or "error" -> message."""
        log(f"Counting {section} ({self.name}) ...")
        try:
            return self._request(do="count", section=section)
        except WorkerError as error:
            return {"error": str(error)}

    def time(self, section: str, steps: int) -> list[float]:
        """Milliseconds of each of `steps` calls. Raises WorkerError."""
        answer = self._request(do="time", section=section, steps=steps)
        if "error" in answer:
            raise WorkerError(f"{section}: {answer['error']}")
        return answer["milliseconds"]

    def _request(self, **request: Any) -> dict[str, Any]:
        if self._process is None:
            with self._stderr.open("w") as stderr:
                self._process = subprocess.Popen(
                    self.command, cwd=ROOT, env=self.environment, text=True, stderr=stderr,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._stop()
            raise WorkerError(f"the process of {self.name} ended with {process.returncode}: "
                              f"{self._last_words()}")
        return json.loads(answer)

    def _stop(self) -> None:
        process = self._process
        self._process = None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _last_words(self) -> str:
        lines = self._stderr.read_text(errors="replace").splitlines()
        words = [line.strip() for line in lines if line.strip(" -")]
        thrown = [word for word in words if word.startswith("what():")]     # by C++
        return (thrown or words or ["it said nothing."])[-1]


def log(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
