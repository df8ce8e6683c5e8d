"""Builds the stand-in for CANN, once for its sources, the compiler and the installed MindSpore."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from tests.ascend.standin.stubs import ascend_libraries, find_functions, generate_stubs

FOLDER = Path(__file__).parent
CACHE = FOLDER.parents[2] / ".cache" / "ascend-standin"
SOURCES = sorted(FOLDER.rglob("*.cc"))
INPUTS = [*SOURCES, *sorted(FOLDER.rglob("*.h")), FOLDER / "entry.S", FOLDER / "stubs.py",
          Path(__file__)]
# CANN's libraries use the old std::string.
FLAGS = ["-std=c++17", "-fPIC", "-Wall", "-Wextra", "-Wno-psabi", "-D_GLIBCXX_USE_CXX11_ABI=0"]
OPERATOR_FLAGS = ["-O3", "-march=native"]
# What MindSpore loads: every one is a link to the same library.
LIBRARIES = [
    "acl_op_compiler", "acl_tdt_channel", "acl_tdt_queue", "ascend_hal", "ascendalog", "ascendcl",
    "c_sec", "ge_runner", "graph", "hccl", "mmpa", "msprofiler", "nnopbase", "opapi", "platform",
    "profapi", "register", "runtime",
    # before MindSpore 2.9
    "acl_dvpp", "acl_dvpp_mpi", "acl_dvpp_op", "aoe_executor", "cann_kb", "compress",
    "error_manager", "hcom_graph_adaptor", "hcom_opskernel_builder", "host_cpu_engine",
    "opskernel", "opt_feature", "ra", "slice",
]
PYTHON = "opp/built-in/op_impl/ai_core/tbe"
CANN_VERSION = "9.1.0"          # that MindSpore 2.10 is made for: it prints no warning


class Unavailable(Exception):
    """The stand-in cannot be built here; the message says why."""


def check() -> tuple[str, Path]:
    """The compiler and MindSpore's folder. Raises Unavailable."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Unavailable(f"the stand-in for CANN needs Linux on x86-64, not {sys.platform} on "
                          f"{platform.machine()}")
    compiler = shutil.which("g++")
    if not compiler or not shutil.which("nm"):
        raise Unavailable("the stand-in for CANN needs g++ and binutils")
    spec = find_spec("mindspore")           # does not import it
    if spec is None or spec.origin is None:
        raise Unavailable("MindSpore is not installed")
    mindspore = Path(spec.origin).parent
    if not ascend_libraries(mindspore):
        raise Unavailable("this MindSpore was built without the Ascend backend")
    return compiler, mindspore


def build() -> Path:
    """A folder that looks like an installed CANN. Raises Unavailable.

    Several processes may build at once: each does so in a folder of its own, and the first one to
    finish gives it its name.
    """
    compiler, mindspore = check()
    folder = CACHE / fingerprint(compiler)
    home = folder / "latest"                # every MindSpore looks for this name
    if home.is_dir():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        made = Path(scratch) / "made"
        make_home(compiler, mindspore, made / home.name, Path(scratch))
        try:
            made.rename(folder)
        except OSError:                     # another process was faster
            if not home.is_dir():
                raise
    return home


def fingerprint(compiler: str) -> str:
    # what the compiler predefines tells its version and the processor's instruction sets
    command = [compiler, *FLAGS, *OPERATOR_FLAGS, "-dM", "-E", "-x", "c++", os.devnull]
    macros = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    try:
        mindspore = version("mindspore")
    except PackageNotFoundError:
        mindspore = "unknown"
    parts = [mindspore, *command, macros, *(path.read_text() for path in INPUTS)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def make_home(compiler: str, mindspore: Path, home: Path, scratch: Path) -> None:
    """Compile everything into the library, and lay out the folder."""
    def compile_file(source: Path) -> Path:
        fast = source.parent.name == "operators" or source.stem == "array"
        optimization = OPERATOR_FLAGS if fast else ["-O1"]
        output = scratch / f"{source.stem}.o"
        run([compiler, *FLAGS, *optimization, "-c", str(source), "-o", str(output)])
        return output

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        functions = pool.submit(find_functions, mindspore)
        objects = list(pool.map(compile_file, SOURCES))
    defined = run(["nm", "--defined-only", *map(str, objects)])
    names = [line.split()[-1] for line in defined.splitlines() if line.split()]
    stubs = scratch / "stubs.S"
    stubs.write_text(generate_stubs(functions.result(), names))
    for folder in ("lib64/driver", "compiler", "dev", "opp_kernel", PYTHON):
        (home / folder).mkdir(parents=True)
    run([compiler, "-shared", "-fPIC", "-o", str(home / "lib64" / "libstandin.so"),
         *map(str, objects), str(FOLDER / "entry.S"), str(stubs), "-lpthread"])
    for name in LIBRARIES:
        (home / "lib64" / f"lib{name}.so").symlink_to("libstandin.so")
    (home / "lib64" / "driver" / "libascend_hal.so").symlink_to("../libstandin.so")
    (home / "compiler" / "version.info").write_text(f"Version={CANN_VERSION}\n")
    (home / "dev" / "davinci0").touch()


def run(command: list[str]) -> str:
    """Standard output of a command. Raises RuntimeError with what it printed, if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stderr}")
    return result.stdout


def environment(home: Path) -> dict[str, str]:
    """The environment variables for a process that uses it, as CANN's set_env.sh sets them."""
    def prepend(name: str, *folders: Path) -> str:
        rest = os.environ.get(name)
        return os.pathsep.join([*map(str, folders), *([rest] if rest else [])])

    return {
        **os.environ,
        "ASCEND_HOME_PATH": str(home),
        "ASCEND_OPP_PATH": str(home / "opp"),
        "ASCEND_AICPU_PATH": str(home),
        "LD_LIBRARY_PATH": prepend("LD_LIBRARY_PATH", home / "lib64", home / "lib64" / "driver"),
        "PYTHONPATH": prepend("PYTHONPATH", home / PYTHON),
        "SPARKTTS_DEVICE_FOLDER": str(home / "dev"),
        "SPARKTTS_ASCEND_SETTINGS": os.environ.get("SPARKTTS_ASCEND_SETTINGS", ""),
        "STANDIN_COMPUTE": os.environ.get("STANDIN_COMPUTE", "1"),
    }
