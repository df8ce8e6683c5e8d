"""The compiled library: products on each kind of processor, and doing without a compiler."""

import ctypes
import functools
import itertools
import logging
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sparktts_ms.ops.native import library
from sparktts_ms.runtime import Runtime
from tests.helpers import assert_close, random_normal

normal = functools.partial(random_normal, np.random.default_rng(5))
LINEAR_SOURCES = (library.FOLDER / "linear.cc", library.FOLDER / "packing.cc")
TARGETS = ["native", "-march=x86-64-v3", "-march=x86-64-v2"]    # here AVX-512 with VNNI; AVX2; SSE


def blocks(a, size):
    """Rows of `a`, in float64, in blocks of `size` columns, padded with zeros."""
    padded = np.pad(a.astype(np.float64), ((0, 0), (0, -a.shape[1] % size)))
    return padded.reshape(len(a), -1, size)


def quantized_blocks(x, size):
    """8-bit values [T, blocks, size], and the scale of each block: its largest value is 127."""
    x = blocks(x, size)
    x_max = np.abs(x).max(-1, keepdims=True)
    x_int = np.rint(x * np.where(x_max > 0, 127 / np.maximum(x_max, 1e-30), 0))
    return x_int, x_max[..., 0] / 127


def int8_product(x, w):
    """x @ w.T with 8-bit weights and activations; weight scales are rounded up to bfloat16."""
    x_int, x_scale = quantized_blocks(x, 64)
    w = blocks(w, 64)
    scale = (np.abs(w).max(-1, keepdims=True).astype(np.float32) / np.float32(127))
    scale = ((scale.view(np.uint32) + 0xFFFF) & 0xFFFF0000).view(np.float32)
    w_int = np.rint(w / np.where(scale > 0, scale, 1))
    return np.einsum("tbk,obk,tb,ob->to", x_int, w_int, x_scale, scale[..., 0])


def int4_product(x, packed, outputs):
    """x @ w.T with the 4-bit weights that `packed` holds, as quantized.h describes them."""
    x_int, x_scale = quantized_blocks(x, 32)
    groups = packed.reshape(-1, x_int.shape[1], 64 + 512)       # of each panel of 32 outputs
    scale = groups[..., :64].copy().view(np.uint16).astype(np.uint32) << 16
    quads = groups[..., 64:].reshape(*groups.shape[:2], 8, 16, 4)
    codes = np.stack([quads & 15, quads >> 4], 3)               # [..., quad, half, output, input]
    source = (library.FOLDER / "quantized.h").read_text()
    codebook = re.search(r"kCodebook\[16\] = \{([^}]*)", source)[1].split(",")
    w = np.array(codebook, np.int64)[codes.transpose(0, 3, 4, 1, 2, 5)] - 128
    w = w.reshape(-1, x_int.shape[1], 32)[:outputs]
    w_scale = scale.view(np.float32).transpose(0, 2, 1).reshape(-1, x_int.shape[1])[:outputs]
    return np.einsum("tbk,obk,tb,ob->to", x_int, w, x_scale, w_scale)


def call_kernel(path, name, arrays, dtypes, shape):
    """Call a kernel of the library at `path` as MindSpore does."""
    out = np.zeros(shape, np.float32)
    tensors = [np.ascontiguousarray(array) for array in arrays] + [out]
    shapes = [(ctypes.c_int64 * t.ndim)(*t.shape) for t in tensors]
    count = len(tensors)
    code = getattr(ctypes.CDLL(str(path)), name)(
        count, (ctypes.c_void_p * count)(*(t.ctypes.data for t in tensors)),
        (ctypes.c_int * count)(*(t.ndim for t in tensors)),
        (ctypes.c_void_p * count)(*(ctypes.addressof(s) for s in shapes)),
        (ctypes.c_char_p * count)(*(d.encode() for d in dtypes), b"float32"), None, None)
    assert code == 0
    return out


@pytest.mark.parametrize("target", TARGETS)
def test_products_on_each_processor(kernels, monkeypatch, target):
    if target != "native":
        if library.platform.machine() != "x86_64":
            pytest.skip("no such processor here")
        monkeypatch.setattr(library, "SOURCES", LINEAR_SOURCES)
    path = library.build(*([] if target == "native" else [target]))
    # rows: of a tile of vectors or of AMX, of several, and one more
    rows_shapes = itertools.product((1, 2, 6, 7, 16, 20, 65), ((64, 128), (33, 70)))
    for rows, (outputs, inputs) in rows_shapes:
        check_products(path, rows, outputs, inputs)


def check_products(path, rows, outputs, inputs):
    x = normal(rows, inputs)
    w = normal(outputs, inputs, scale=0.1)
    bias = normal(outputs)
    x[0, :min(64, inputs)] = 0                          # a block of zeros
    w[0] *= 100                                         # one large row must not affect the others
    dtypes = ["float32", "uint8", "float32"]
    arrays = [x, library.pack(w, "int8"), bias]
    actual = call_kernel(path, "linear_bias", arrays, dtypes, (rows, outputs))
    assert_close(actual, int8_product(x, w) + bias, 1e-5, scale=1.0)
    exact = x.astype(np.float64) @ w.T + bias
    error = np.sqrt(((actual - exact)[:, 1:] ** 2).mean())
    assert error < 0.012 * np.sqrt((exact[:, 1:] ** 2).mean())
    packed = library.pack(w, "int4")
    actual = call_kernel(path, "linear_bias", [x, packed, bias], dtypes, (rows, outputs))
    assert_close(actual, int4_product(x, packed, outputs) + bias, 1e-5, scale=1.0)
    arrays = [x, library.pack(w), bias]
    actual = call_kernel(path, "linear_bias", arrays, ["float32"] * 3, (rows, outputs))
    assert_close(actual, exact, 3e-6, scale=1.0)


def test_fallback_without_a_compiler(kernels, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        runtime = Runtime.start("CPU", quantize="int8")
        assert library.custom_op("conv") is None
        assert runtime.llm_dtype == "float32"
        assert "MindSpore's operators" in caplog.text
        assert "float32 is used" in caplog.text
        assert not list(tmp_path.rglob("*.so"))
    finally:
        monkeypatch.undo()
        Runtime.start("CPU")


@pytest.fixture
def build(kernels, monkeypatch, tmp_path):
    """Builds a small library in an empty cache folder, and counts compilations."""
    compiled = []
    compile_library = library._compile

    def counted(path, command):
        compiled.append(path)
        compile_library(path, command)

    monkeypatch.setattr(library, "_compile", counted)
    monkeypatch.setattr(library, "SOURCES", (library.FOLDER / "layer_norm.cc",))
    monkeypatch.setattr(library, "FLAGS", ("-std=c++17", "-O0", "-fPIC", "-shared"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def build():
        compiled.clear()
        path = library.build()
        ctypes.CDLL(str(path))
        return path, len(compiled)

    return build


def damage_nothing(content):
    return content


@pytest.mark.parametrize("damage, compilations", [
    (damage_nothing, 0),
    (lambda content: b"", 1),
    (lambda content: content[:4096], 1),
    (lambda content: content[:-1], 1),
    (lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:], 1),
    (lambda content: content[:content.index(library.CHECKSUM_MARK)], 1)])
def test_a_damaged_library_is_built_again(build, damage, compilations):
    path, first = build()
    assert first == 1 and path.parent.name == "sparktts_ms"
    content = path.read_bytes()
    path.unlink()                       # a library that is loaded must not be written to
    path.write_bytes(damage(content))
    assert build() == (path, compilations)
    assert library.is_whole(path) and [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("obstacle", ["file", "folder", "no access"])
def test_without_a_cache_the_library_is_temporary(build, tmp_path, monkeypatch, obstacle):
    cache = tmp_path / "cache"
    if obstacle == "file":
        cache.write_text("")
    elif obstacle == "folder":
        path, _ = build()
        path.unlink()
        path.mkdir()
        (path / "content").write_text("")
    else:
        def refuse(*arguments, **options):
            raise PermissionError

        monkeypatch.setattr(library.tempfile, "TemporaryFile", refuse)      # root may write anyway
    path, _ = build()
    assert library.is_whole(path) and cache not in path.parents


def test_concurrent_builders_find_whole_libraries(build):
    with ThreadPoolExecutor(4) as executor:
        paths = [future.result() for future in [executor.submit(library.build) for _ in range(4)]]
    assert len(set(paths)) == 1 and library.is_whole(paths[0])
    assert [file.name for file in paths[0].parent.iterdir()] == [paths[0].name]


# Of a Sapphire Rapids, one whose system keeps its AMX, a Cascade Lake, a Skylake-SP, a Zen 2, and
# an Ivy Bridge: what Linux says, cut to what counts.
V2 = "fpu sse sse2 ht cx16 lahf_lm popcnt ssse3 sse4_1 sse4_2 avx xsave f16c"
V3 = f"{V2} avx2 bmi1 bmi2 fma movbe abm"
V4 = f"{V3} avx512f avx512dq avx512cd avx512bw avx512vl"
PROCESSORS = [
    ("x86_64", f"flags\t\t: {V4} avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16\n",
     "x86-64-v4-amx"),
    ("x86_64", f"flags\t\t: {V4} avx512_vnni avx512_bf16 amx_tile\n", "x86-64-v4-vnni"),
    ("x86_64", f"flags\t\t: {V4} avx512_vnni\n", "x86-64-v4-vnni"),
    ("x86_64", f"flags\t\t: {V4}\n", "x86-64-v4"),
    ("x86_64", f"processor\t: 0\nflags\t\t: {V3}\nflags\t\t: {V4}\n", "x86-64-v3"),
    ("x86_64", f"flags\t\t: {V3.replace(' bmi2', '')} avx512f\n", None),
    ("x86_64", f"flags\t\t: {V2}\n", None),
    ("x86_64", "", None),
    ("aarch64", "Features\t: fp asimd aes atomics asimddp i8mm\n", "armv8-i8mm"),
    ("aarch64", "Features\t: fp asimd aes atomics asimddp\n", "armv8-dotprod"),
    ("aarch64", "Features\t: fp asimd aes\n", "armv8"),
    ("riscv64", "isa\t\t: rv64imafdc\n", None),
]


@pytest.mark.parametrize("machine, cpu_info, expected", PROCESSORS)
def test_the_best_instruction_set_of_the_processor_is_taken(
        monkeypatch, tmp_path, caplog, machine, cpu_info, expected):
    monkeypatch.setattr(library.platform, "machine", lambda: machine)
    monkeypatch.setattr(library, "CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(cpu_info)
    monkeypatch.setattr(library, "_compile", lambda path, command: path.write_bytes(b""))
    monkeypatch.setattr(library, "is_whole", lambda path: path.is_file())
    monkeypatch.setattr(library, "_compiler", lambda: "c++")
    library.build_portable(tmp_path / "kernels")
    path = library.find_portable(tmp_path / "kernels")
    if expected is None:
        assert path is None and "for this processor" in caplog.text
    else:
        assert path.name.startswith(f"kernels-{expected}-")
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture(scope="module")
def small_libraries(tmp_path_factory):
    """A source with one function, and the folder of its library for each instruction set."""
    folder = tmp_path_factory.mktemp("portable")
    source = folder / "add.cc"
    source.write_text(f'''#include "{library.FOLDER / "amx.h"}"
#include "{library.FOLDER / "vector.h"}"
using namespace sparktts;
extern "C" void add(float* x, const int8_t* bytes) {{
  store(x, load<f32x16>(x) + to_float(dot4(i32x16{{}}, load<u8x64>(x), bytes)));
}}
#if SPARKTTS_AMX
extern "C" void multiply() {{ _tile_dpbusd(0, 4, 6); }}
#endif
''')
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(library, "SOURCES", (source,))
        paths = library.build_portable(folder / "kernels")
    assert sorted((folder / "kernels").iterdir()) == sorted(paths)
    return source, folder / "kernels"


@pytest.fixture
def portable(kernels, small_libraries, monkeypatch, tmp_path):
    """A folder of libraries as `build_portable` makes it."""
    source, folder = small_libraries
    monkeypatch.setattr(library, "SOURCES", (source,))
    return Path(shutil.copytree(folder, tmp_path / "kernels"))


def test_portable_libraries_hold_no_instructions_of_better_processors(portable):
    """Code that a processor lacks would end the process without a word."""
    if library.platform.machine() != "x86_64" or not shutil.which("objdump"):
        pytest.skip("needs an x86-64 and objdump")
    marks = {}
    for path in portable.iterdir():
        code = subprocess.run(["objdump", "-d", str(path)], check=True, capture_output=True,
                              text=True).stdout
        name = path.name.removeprefix("kernels-").rpartition("-")[0]
        marks[name] = {word for word in ("tdpbusd", "vpdpbusd", "%zmm", "%ymm") if word in code}
    assert marks["x86-64-v4-amx"] >= {"tdpbusd", "vpdpbusd", "%zmm"}
    assert marks["x86-64-v4-vnni"] - {"%ymm"} == {"vpdpbusd", "%zmm"}
    assert marks["x86-64-v4"] == {"%zmm", "%ymm"}
    assert marks["x86-64-v3"] == {"%ymm"}


def test_where_libraries_are_portable_nothing_is_compiled(portable, monkeypatch, caplog):
    monkeypatch.setenv(library.PORTABLE_VARIABLE, str(portable))
    monkeypatch.setattr(library, "_compiler", lambda: pytest.fail("looks for a compiler"))
    path = library.find_portable(portable)
    if path is not None:                        # else this processor is an old one
        assert path.parent == portable
    for path in portable.iterdir():             # damaged, as by a disk that was full
        path.write_bytes(path.read_bytes()[:4096])
    library.enable()
    try:
        assert not library.enabled() and "MindSpore's operators" in caplog.text
    finally:
        monkeypatch.undo()
        library.enable()


def test_libraries_of_other_sources_are_not_taken(portable, monkeypatch):
    monkeypatch.setattr(library, "cpu_features", lambda: library._V4 | {"asimd"})
    assert library.find_portable(portable)
    monkeypatch.setattr(library, "SOURCES", LINEAR_SOURCES)
    assert library.find_portable(portable) is None


def test_portable_libraries_need_a_compiler(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="compiler"):
        library.build_portable(tmp_path / "kernels")
