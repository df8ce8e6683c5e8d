"""The CPU kernels of this folder: compiled once with the system's compiler into a cache folder, or done without.

Without a compiler (or with SPARKTTS_NATIVE=0) every operator falls back to its plain form, which is right and slower.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import ops

from sparktts_ms.ops.native.huge_pages import huge_pages

logger = logging.getLogger("sparktts_ms")

FOLDER = Path(__file__).parent
SOURCES = tuple(sorted(FOLDER.glob("*.cc")))
HEADERS = tuple(sorted(FOLDER.glob("*.h")))
# No -ffast-math: with it, loading the library would switch denormals off for the whole process, and the order of sums,
# on which "the same alone and in company" rests, would be the compiler's to choose.
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-fopenmp-simd", "-ffp-contract=fast", "-fno-math-errno",
         "-fno-trapping-math", "-fno-signed-zeros", "-Wno-psabi")
NATIVE = "-mcpu=native" if platform.machine() == "aarch64" else "-march=native"

_instances = itertools.count()
_path: Path | None = None
_library: ctypes.CDLL | None = None


def enable() -> None:
    """Compile or find the library; from now on `kernel` gives its operators."""
    global _path, _library
    _path = None if os.environ.get("SPARKTTS_NATIVE") == "0" else build()
    _library = None
    if _path is not None:
        _library = ctypes.CDLL(str(_path))
        _library.sparktts_packed_bytes.restype = ctypes.c_int64
        _library.sparktts_threads(cores())


def disable() -> None:
    """Plain operators from now on."""
    global _path, _library
    _path = _library = None


def enabled() -> bool:
    return _library is not None


def kernel(name: str, shape: Callable, dtype: Callable = lambda x, *rest: x) -> Any:
    """The operator `name`, or None where there is no library. `shape` and `dtype` infer its output from its inputs'."""
    if _path is None:
        return None
    operator = ops.Custom(f"{_path}:{name}", shape, dtype, func_type="aot")
    # MindSpore remembers an operator's output shape by its name, attributes and input shapes, so each needs one of its own.
    operator.add_prim_attr("instance", next(_instances))
    return operator


def pack(matrix: np.ndarray, eight_bit: bool = False) -> np.ndarray:
    """A matrix [outputs, inputs] as the kernels read it (see gemm.h), flat: float32, or uint8 for int8 weights."""
    assert _library is not None
    matrix = np.ascontiguousarray(matrix, np.float32)
    outputs, inputs = (ctypes.c_int64(n) for n in matrix.shape)
    packed = huge_pages(_library.sparktts_packed_bytes(outputs, inputs, ctypes.c_int(eight_bit)))
    fill = _library.sparktts_pack_int8 if eight_bit else _library.sparktts_pack_float32
    fill(ctypes.c_void_p(matrix.ctypes.data), outputs, inputs, ctypes.c_void_p(packed.ctypes.data))
    return packed if eight_bit else packed.view(np.float32)


def cores() -> int:
    """Cores this process may use: its affinity, its container's quota, OMP_NUM_THREADS."""
    allowed = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for quota_file, period_file in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = Path("/sys/fs/cgroup", quota_file).read_text().split()
            period = words[1] if period_file is None else Path("/sys/fs/cgroup", period_file).read_text()
            if int(words[0]) > 0:
                allowed.append(-(-int(words[0]) // int(period)))
        except (OSError, ValueError, IndexError):       # no such file, or "max"
            continue
    if os.environ.get("OMP_NUM_THREADS", "").isdigit():
        allowed.append(int(os.environ["OMP_NUM_THREADS"]))
    return max(1, min(allowed))


def build(target: str = NATIVE) -> Path | None:
    """The library for `target` (a compiler flag), from the cache folder or made now; None with a warning if it can't be."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    if not compiler:
        logger.warning("No C++ compiler was found: the plain operators are used, which are slower. "
                       "Install g++ to have the fast ones.")
        return None
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparktts_ms"
    try:
        path = folder / f"kernels-{_fingerprint(compiler, target)}.so"
        if path.is_file():
            return path
        logger.info("Compiling the CPU kernels (once) ...")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "kernels.so"
            subprocess.run([compiler, *FLAGS, target, *map(str, SOURCES), "-o", str(made)], check=True,
                           capture_output=True, text=True)
            os.replace(made, path)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as problem:      # RuntimeError: no home folder
        reason = (getattr(problem, "stderr", None) or str(problem)).strip().splitlines()[-1:]
        logger.warning("The CPU kernels could not be compiled (%s); the plain operators are used, which are slower.",
                       " ".join(reason))
        return None
    return path


def _fingerprint(compiler: str, target: str) -> str:
    """Source, flags, compiler and processor: a library is only reused where it was made for."""
    try:
        features = next(line for line in Path("/proc/cpuinfo").read_text().splitlines()
                        if line.lower().startswith(("flags", "features")))
    except (OSError, StopIteration):
        features = platform.processor()
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    parts = (*(path.read_text() for path in (*SOURCES, *HEADERS)), " ".join(FLAGS), target, version, features,
             platform.machine())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
