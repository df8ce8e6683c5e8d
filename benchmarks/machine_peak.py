"""The peak of this machine, measured: machine_peak.cc, compiled as the CPU kernels are."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.worker import ROOT

SOURCE = Path(__file__).with_name("machine_peak.cc")
MEMORY = 1 << 30            # bytes that are read: more than any cache


@dataclass(frozen=True)
class MachinePeak:
    """What all cores do together in a second, at most. Each of the products is a MAC: a
    multiplication and an addition.

    read: bytes from memory. float_macs: of float32. int8_macs: of 8-bit integers, by vector
    instructions. int8_tile_macs, bf16_tile_macs: by AMX; 0 without it.
    """

    read: float
    float_macs: float
    int8_macs: float
    int8_tile_macs: float
    bf16_tile_macs: float

    @property
    def best_int8_macs(self) -> float:
        return max(self.int8_macs, self.int8_tile_macs)


def measure_peak(folder: Path = ROOT / ".cache" / "machine-peak") -> MachinePeak | None:
    """None without a compiler. Takes some seconds; `folder` keeps the compiled program."""
    from sparktts_ms.ops.native.library import FLAGS, FOLDER, NATIVE, available_cores

    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    headers = (FOLDER / "vector.h").read_bytes()
    content = SOURCE.read_bytes() + headers + repr((compiler, FLAGS, NATIVE)).encode()
    path = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            output = Path(scratch) / path.name
            command = [compiler, *FLAGS, NATIVE, "-I", str(FOLDER), str(SOURCE), "-o", str(output)]
            if subprocess.run(command, capture_output=True).returncode:
                return None
            output.rename(path)
    library = ctypes.CDLL(str(path))
    figures = []
    threads = available_cores()
    library.read_bandwidth.argtypes = [ctypes.c_int, ctypes.c_int64]
    for name in ("read_bandwidth", "float_macs", "int8_macs", "int8_tile_macs", "bf16_tile_macs"):
        function = getattr(library, name)
        function.restype = ctypes.c_double
        arguments = (threads, MEMORY) if name == "read_bandwidth" else (threads,)
        figures.append(function(*arguments))
    return MachinePeak(*figures)
