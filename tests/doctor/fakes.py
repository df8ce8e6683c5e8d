"""Steps without a device, for `Context.steps`: what may happen in a worker."""

import json
import os
import time
from pathlib import Path

from sparktts_ms.errors import DeviceError


class Session:
    def __init__(self, context):
        self.context = context


def right(session):
    return {"right": True, "error": 1e-6, "ids": [3, 3], "ms": 2.0}


def wrong(session):
    return {"right": False, "error": float("nan"), "ids": [2, 3], "ms": 1.0}


def fails(session):
    raise RuntimeError("-----\nThe operator is not supported.\n-----\nmore")


def refuses(session):
    raise DeviceError("The chip Ascend310P3 is not supported: no bfloat16.", "Use another.",
                      code="unsuitable_chip")


def crashes(session):
    os.write(2, b"what():  CANN has no such operator\n")
    os.abort()


def hangs(session):
    time.sleep(60)


def leaves(session):
    raise SystemExit(3)


def skips(session):
    return {"skipped": "it would take 70 s"}


def settings(session):
    path = os.environ["SPARKTTS_ASCEND_SETTINGS"]
    content = json.loads(Path(path).read_text(encoding="utf-8")) if path else None
    return {"settings": content, "dtype": session.context.dtype}


STEPS = {function.__name__: function
         for function in (right, wrong, fails, refuses, crashes, hangs, leaves, skips, settings)}
