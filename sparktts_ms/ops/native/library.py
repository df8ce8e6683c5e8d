"""The CPU kernels of `kernels.cc`: compiled once with the system's compiler into a cache folder, or done without.

Without a compiler (or with SPARKTTS_NATIVE=0) every operator falls back to its plain form, which is right and slower.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from mindspore import ops

logger = logging.getLogger("sparktts_ms")

SOURCE = Path(__file__).with_name("kernels.cc")
# No -ffast-math: with it, loading the library would switch denormals off for the whole process.
FLAGS = ("-std=c++17", "-O3", "-fopenmp", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
         "-fno-signed-zeros", "-fassociative-math", "-mcpu=native" if platform.machine() == "aarch64" else "-march=native")

_library: Path | None = None


def enable() -> None:
    """Compile or find the library; from now on `kernel` gives its operators."""
    global _library
    _library = None if os.environ.get("SPARKTTS_NATIVE") == "0" else _build()


def disable() -> None:
    """Plain operators from now on."""
    global _library
    _library = None


def kernel(name: str, shape: Callable, dtype: Callable) -> ops.Custom | None:
    """The operator `name`, or None where there is no library. `shape` and `dtype` infer its output from its inputs'."""
    return None if _library is None else ops.Custom(f"{_library}:{name}", shape, dtype, func_type="aot")


def _build() -> Path | None:
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    if not compiler:
        logger.warning("No C++ compiler was found: the plain operators are used, which are slower. "
                       "Install g++ to have the fast ones.")
        return None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparktts_ms"
    try:
        path = folder / f"kernels-{_fingerprint(compiler)}.so"
        if path.is_file():
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "kernels.so"
            subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(made)], check=True, capture_output=True, text=True)
            os.replace(made, path)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as problem:      # RuntimeError: no home folder
        reason = (getattr(problem, "stderr", None) or str(problem)).strip().splitlines()[-1:]
        logger.warning("The CPU kernels could not be compiled (%s); the plain operators are used, which are slower.",
                       " ".join(reason))
        return None
    return path


def _fingerprint(compiler: str) -> str:
    """Source, flags, compiler and processor: a library is only reused where it was made for."""
    try:
        features = next(line for line in Path("/proc/cpuinfo").read_text().splitlines()
                        if line.lower().startswith(("flags", "features")))
    except (OSError, StopIteration):
        features = platform.processor()
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    parts = (SOURCE.read_text(), " ".join(FLAGS), version, features, platform.machine())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
