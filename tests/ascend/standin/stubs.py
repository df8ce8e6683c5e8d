"""What MindSpore's Ascend backend asks of CANN, as assembly: a stub for each function.

A stub puts the function's name into a register and jumps to entry.S: to `plan` for
aclnnXGetWorkspaceSize, to `launch` for aclnnX, and to `other` for a function that has no behaviour.
Functions that the C++ files define have none.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Some functions are not linked but looked up at run time: their names stand as texts in the
# libraries.
PREFIX = rb"(?:acl(?:rt|mdl|op|prof|tdt|sys)?|Hccl|hal|rt)"
LOOKED_UP = re.compile(rb"\0(" + PREFIX + rb"[A-Z][A-Za-z0-9]+)(?=\0)")
OPERATOR = re.compile(rb"\0(aclnn[A-Z][A-Za-z0-9_]*)(?=\0)")
# Undefined names that other libraries define: C and C++, Python, and the dynamic linker.
FOREIGN = re.compile(r"_ZNK?Ss|_ZNK?St|_ZS|_ZT|_ZdlP|_Zn|_?Py|_ITM|__|dl|_d|LcalComm")
# Looked up by names that MindSpore puts together.
NNOPBASE = {
    "InitPTACacheThreadLocal", "UnInitPTACacheThreadLocal", "SetPTAHashKey", "PTAGetExecCache",
    "PTAFindExecCache", "CanUsePTACache", "InitHugeMemThreadLocal", "UnInitHugeMemThreadLocal",
    "ReleaseHugeMem", "AddTensorAddrToCachedList",
}
SUFFIX = "GetWorkspaceSize"


def ascend_libraries(mindspore: Path) -> list[Path]:
    """The libraries of MindSpore's Ascend backend."""
    plugins = mindspore / "lib" / "plugin"
    patterns = ("libmindspore_ascend.so*", "libmindspore_ops_ascend.so*", "ascend/*.so",
                "ascend/ms_kernels_*/**/lib/*.so")
    found = {path for pattern in patterns for path in plugins.glob(pattern)}
    # a process of another kind, with a C library of its own
    return sorted(path for path in found if "cpu_kernels" not in path.name)


def own_libraries(mindspore: Path) -> list[Path]:
    """All libraries whose definitions need no stub."""
    library = mindspore / "lib"
    found = [*mindspore.glob("*.so"), *library.glob("*.so*"), *library.glob("plugin/*_ops_cpu.so")]
    return [*ascend_libraries(mindspore), *found]


def symbols(library: Path, kind: str) -> set[str]:
    """Names of a library's dynamic symbols; `kind` is "defined" or "undefined"."""
    output = subprocess.run(["nm", "-D", f"--{kind}-only", str(library)], capture_output=True,
                            text=True, check=False).stdout
    return {line.split()[-1] for line in output.splitlines() if line.split()}


def find_functions(mindspore: Path) -> dict[str, str]:
    """The functions that an installed MindSpore asks for, with the kind of each one's stub."""
    wanted = set(NNOPBASE)
    operators = set()
    for library in ascend_libraries(mindspore):
        for name in symbols(library, "undefined"):
            if "@" not in name and not FOREIGN.match(name):
                wanted.add(name)
        contents = library.read_bytes()
        wanted |= {name.decode() for name in LOOKED_UP.findall(contents)}
        operators |= {name.decode().removesuffix(SUFFIX) for name in OPERATOR.findall(contents)}
    kinds = {name: "other" for name in wanted if not name.startswith("aclnn")}
    for name in operators:
        kinds[name] = "launch"
        kinds[name + SUFFIX] = "plan"
    for library in own_libraries(mindspore):
        for name in symbols(library, "defined"):
            kinds.pop(name.split("@")[0], None)
    return kinds


def generate_stubs(functions: dict[str, str], defined: Iterable[str]) -> str:
    """The assembly of the stubs, without what is `defined` in C++."""
    code = []
    names = []
    for number, symbol in enumerate(sorted(functions.keys() - set(defined))):
        kind = functions[symbol]
        name = symbol.removesuffix(SUFFIX) if kind == "plan" else symbol
        code.append(f".globl {symbol}\n.type {symbol}, @function\n{symbol}:\n"
                    f"\tleaq .Lname{number}(%rip), %rax\n\tjmp standin_{kind}_entry\n")
        names.append(f'.Lname{number}: .asciz "{name}"\n')
    return "".join([".text\n", *code, ".section .rodata\n", *names,
                    '.section .note.GNU-stack,"",@progbits\n'])
