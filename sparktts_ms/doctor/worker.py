"""The process that runs steps: its argument is a `Request`, its results are lines of JSON.

Before a step it writes {"begins": name}, and after it the fields of a `Result`.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from sparktts_ms.doctor.process import Request, Result
from sparktts_ms.errors import SparkTTSError


def run() -> None:
    """Run the request in the process's first argument."""
    request = Request.parse(sys.argv[1])
    with Path(request.results).open("a", encoding="utf-8") as file:

        def write(entry: dict[str, Any]) -> None:
            file.write(json.dumps(entry) + "\n")
            file.flush()

        module, _, name = request.context.steps.partition(":")
        write({"begins": request.steps[0]})
        table = import_module(module)
        session = table.Session(request.context)
        for number, step in enumerate(request.steps):
            if number:
                write({"begins": step})
            write(vars(run_step(session, getattr(table, name)[step], step)))


def run_step(session: Any, function: Any, step: str) -> Result:
    """The result of a step, whatever it raises."""
    try:
        values = {key: finite(value) for key, value in function(session).items()}
    except SparkTTSError as error:
        return Result(step, "failed", error.message(), error.code)
    except Exception as error:          # whatever MindSpore and CANN raise
        traceback.print_exc()
        return Result(step, "failed", f"{type(error).__name__}: {first_line(error)}")
    if "skipped" in values:
        return Result(step, "skipped", values["skipped"])
    status = "right" if values.pop("right", True) else "wrong"
    return Result(step, status, str(values.pop("note", "")), None, values)


def first_line(error: Exception) -> str:
    """The first line of an error that is not a rule or empty."""
    for line in str(error).splitlines():
        if text := line.strip(" -"):
            return text[:200]
    return ""


def finite(value: Any) -> Any:
    """JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
