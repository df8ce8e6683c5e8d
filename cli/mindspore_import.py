"""Importing MindSpore without what no command here uses: a third of the time, 100 MB of memory.

MindSpore imports its data pipeline, which imports SciPy and Pillow, the AI CPU operators of Ascend,
and more, whatever a program needs. During its import empty modules stand for these. Afterwards they
are forgotten: who imports one of them then, gets the real one.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

VERSION = "2.10.0"      # that this was tried with; others are imported as they are
DEVICES = "davinci*"    # in /dev, where there is an Ascend device, which needs its operators
UNUSED = ("mindspore.dataset", "mindspore._c_dataengine", "mindspore.ops._op_impl.aicpu",
          "mindspore.ops._op_impl.akg", "scipy", "PIL")
CLEANUP = "mindspore.dataset.engine.iterators"


class EmptyModule(ModuleType):
    """A package with any name in it: a class without methods, for what derives from it."""

    def __init__(self, name: str):
        super().__init__(name)
        self.__all__: list[str] = []
        self.__path__ = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class EmptyModules:
    """Finds the modules of UNUSED, and those in them, which are empty."""

    def find_spec(self, name: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if is_unused(name):
            return ModuleSpec(name, self, is_package=True)      # type: ignore[arg-type]
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return EmptyModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


def import_mindspore() -> None:
    """Import MindSpore, as a whole where there is an Ascend device or another version of it."""
    if "mindspore" in sys.modules or any(Path("/dev").glob(DEVICES)):
        return
    if installed_version() == VERSION:
        with empty_modules():
            importlib.import_module("mindspore")
        atexit.register(shorten_exit)


def shorten_exit() -> None:
    """MindSpore imports this module at the exit, to clean up what it made; if it is not there, it
    made nothing. Python searches all objects for garbage, for 0.3 s: there are none that must be
    freed before the process ends."""
    sys.modules.setdefault(CLEANUP, EmptyModule(CLEANUP))
    gc.freeze()


def load_libraries_ahead() -> None:
    """Let a thread load MindSpore's shared libraries while other modules are imported. Where that
    fails, the import of MindSpore fails in the same way, and says why."""
    spec = find_spec("mindspore")
    if "mindspore" in sys.modules or spec is None or spec.origin is None:
        return
    libraries = [os.fsencode(path) for path in Path(spec.origin).parent.glob("_c_expression.*.so")]

    def load() -> None:
        with suppress(OSError, AttributeError):
            # not ctypes.CDLL(library), which keeps Python's lock meanwhile
            dlopen = ctypes.CDLL(None).dlopen
            dlopen.restype = ctypes.c_void_p
            for library in libraries:
                dlopen(library, os.RTLD_NOW)

    threading.Thread(target=load, daemon=True).start()


@contextmanager
def without_collection() -> Iterator[None]:
    """In the block Python does not search for garbage, nor does it ever search what was made there:
    for imports, which make half a million objects to keep."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def is_unused(name: str) -> bool:
    return any(name == unused or name.startswith(f"{unused}.") for unused in UNUSED)


def installed_version() -> str:
    """What mindspore/version.py says, read without importing it; empty if it does not."""
    spec = find_spec("mindspore")
    if spec is None or spec.origin is None:
        return ""
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    return text.rpartition("=")[2].strip().strip("'\"")


@contextmanager
def empty_modules() -> Iterator[None]:
    """Within the block modules of UNUSED that are not imported yet are empty."""
    finder = EmptyModules()
    sys.meta_path.insert(0, finder)         # type: ignore[arg-type]
    try:
        yield
    finally:
        sys.meta_path.remove(finder)        # type: ignore[arg-type]
        for name, module in list(sys.modules.items()):
            if isinstance(module, EmptyModule):
                del sys.modules[name]
