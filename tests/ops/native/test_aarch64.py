"""The kernels on aarch64: cross-compiled (ziglang) and run in an emulator (unicorn).

Runs where both are installed: pip install ziglang unicorn. It checks results, not speed. The
emulator lacks USDOT, the instruction of FEAT_I8MM that the kernels use; it is added here.
"""

import struct
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT

unicorn = pytest.importorskip("unicorn")
pytest.importorskip("ziglang")

NATIVE = ROOT / "sparktts_ms" / "ops" / "native"
PROBE = """
#include "quantized.h"
using namespace sparktts;
extern "C" void* memset(void* to, int byte, unsigned long n) {
  for (volatile char* p = (char*)to; n--;) *p++ = byte;
  return to;
}
extern "C" void* memcpy(void* to, const void* from, unsigned long n) {
  volatile char* p = (char*)to;
  for (const char* q = (const char*)from; n--;) *p++ = *q++;
  return to;
}
extern "C" void dots(const unsigned char* weights, const signed char* x, const int* sums,
                     int* out) {
  store(out, dot4(load<i32x16>(sums), load<u8x64>(weights), x));
}
extern "C" void tile8(const signed char* x, const float* scales, const int* initial,
                      const unsigned char* panel, float* out) {
  QuantizedRows<Int8>(x, scales, initial, 2).tile<2>(panel, out);
}
extern "C" void tile4(const signed char* x, const float* scales, const int* initial,
                      const unsigned char* panel, float* out) {
  QuantizedRows<Int4>(x, scales, initial, 2).tile<2>(panel, out);
}
extern "C" void halves(const unsigned short* x, float* out) { store(out, half_to_float(x)); }
extern "C" void codebook(unsigned char* out) { memcpy(out, kCodebook, 16); }
extern "C" void tile(const float* x, const float* panel, float* out) {
  Rows{x, 40, 40}.tile<3>(panel, out);
}
"""
MEMORY = 0x10000000
STACK = 0x20000000
SIZE = 4 << 20


# with 8-bit products of unsigned and signed numbers, with those of signed numbers, and without
@pytest.fixture(scope="module", params=["neoverse_n1+i8mm", "neoverse_n1", "generic"])
def machine(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("probe")
    (folder / "probe.cc").write_text(PROBE)
    compiler = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-musl",
                f"-mcpu={request.param}"]
    subprocess.run([*compiler, "-std=c++17", "-O2", "-fno-exceptions", "-fno-sanitize=all",
                    "-fno-stack-protector", "-fopenmp-simd", "-ffp-contract=fast", f"-I{NATIVE}",
                    "-c", "probe.cc"], cwd=folder, check=True)
    subprocess.run([*compiler, "-nostdlib", "-static", "-Wl,-e,dots", "probe.o", "-o", "probe"],
                   cwd=folder, check=True)
    emulated = Machine((folder / "probe").read_bytes())
    yield emulated
    assert emulated.used_usdot == request.param.endswith("i8mm")


class Machine:
    """An emulated processor with the program `elf` in its memory."""

    def __init__(self, elf: bytes):
        from unicorn import arm64_const as names
        self.names = names
        self.functions = {}
        self.core = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.core.ctl_set_cpu_model(names.UC_CPU_ARM64_MAX)
        self.core.reg_write(names.UC_ARM64_REG_CPACR_EL1, 3 << 20)
        self.core.mem_map(MEMORY, SIZE)
        self.core.mem_map(STACK, SIZE)
        self.used_usdot = False
        self.core.hook_add(unicorn.UC_HOOK_INTR, self.emulate_usdot)
        start, sections = struct.unpack_from("<QQ", elf, 32)
        for n in range(struct.unpack_from("<H", elf, 56)[0]):
            kind, _, offset, address, _, stored, size, _ = struct.unpack_from(
                "<IIQQQQQQ", elf, start + 56 * n)
            if kind == 1:
                first = address & ~0xFFF
                last = (address + size + 0xFFF) & ~0xFFF
                try:
                    self.core.mem_map(first, last - first)
                except unicorn.UcError:         # shares its first page with the segment before
                    self.core.mem_map(first + 0x1000, last - first - 0x1000)
                self.core.mem_write(address, elf[offset:offset + stored])
        headers = []
        for n in range(struct.unpack_from("<H", elf, 60)[0]):
            headers.append(struct.unpack_from("<IIQQQQIIQQ", elf, sections + 64 * n))
        for _, kind, _, _, offset, size, link, *_ in headers:
            if kind == 2:
                for symbol in range(offset, offset + size, 24):
                    name, _, _, _, value, _ = struct.unpack_from("<IBBHQQ", elf, symbol)
                    text = elf[headers[link][4] + name:]
                    self.functions[text[:text.index(b"\0")].decode()] = value

    def emulate_usdot(self, core, exception, _):
        """USDOT (vector) of 128 bits: to each of four lanes the products of its four unsigned and
        four signed bytes. Source: Arm Architecture Reference Manual, C7.2."""
        pc = core.reg_read(self.names.UC_ARM64_REG_PC)
        instruction, = struct.unpack("<I", core.mem_read(pc, 4))
        assert instruction & 0xFFE0FC00 == 0x4E809C00, f"{instruction:#x} is not USDOT"
        numbers = (instruction & 31, instruction >> 5 & 31, instruction >> 16 & 31)
        sums, unsigned, signed = (
            core.reg_read(self.names.UC_ARM64_REG_Q0 + n).to_bytes(16, "little") for n in numbers)
        products = np.frombuffer(unsigned, np.uint8).astype(np.int32) * np.frombuffer(
            signed, np.int8)
        result = np.frombuffer(sums, np.int32) + products.reshape(4, 4).sum(1, dtype=np.int32)
        core.reg_write(self.names.UC_ARM64_REG_Q0 + numbers[0],
                       int.from_bytes(result.tobytes(), "little"))
        core.reg_write(self.names.UC_ARM64_REG_PC, pc + 4)
        self.used_usdot = True

    def run(self, name, *arrays, out):
        address = MEMORY
        for n, array in enumerate([*arrays, out]):
            self.core.mem_write(address, np.ascontiguousarray(array).tobytes())
            self.core.reg_write(self.names.UC_ARM64_REG_X0 + n, address)
            last = address
            address += (array.nbytes + 4095) // 4096 * 4096
        self.core.reg_write(self.names.UC_ARM64_REG_SP, STACK + SIZE // 2)
        self.core.reg_write(self.names.UC_ARM64_REG_LR, STACK)
        self.core.emu_start(self.functions[name], STACK)
        result = bytes(self.core.mem_read(last, out.nbytes))
        return np.frombuffer(result, out.dtype).reshape(out.shape)


def test_dot4_at_its_extremes(machine):
    random = np.random.default_rng(2)
    for weights, x in ((255, -128), (255, 127), (0, -128), (None, None)):
        w = random.integers(0, 256, 64) if weights is None else np.full(64, weights)
        four = random.integers(-128, 128, 4) if x is None else np.full(4, x)
        sums = random.integers(-2**20, 2**20, 16)
        actual = machine.run("dots", w.astype(np.uint8), four.astype(np.int8),
                             sums.astype(np.int32), out=np.zeros(16, np.int32))
        np.testing.assert_array_equal(actual, sums + w.reshape(16, 4) @ four)


def test_half_to_float(machine):
    halves = np.float16([0, -0.0, 1, -1.5, 65504, -65504, 6e-8, -3e-6, 6.1e-5, 0.1, 7, 300, 1e-3,
                         -2e-4, 1024.5, -0.333])
    actual = machine.run("halves", halves.view(np.uint16), out=np.zeros(16, np.float32))
    np.testing.assert_array_equal(actual, halves.astype(np.float32))


def test_float_tile(machine):
    random = np.random.default_rng(3)
    x = random.standard_normal((3, 40)).astype(np.float32)
    panel = random.standard_normal((40, 32)).astype(np.float32)
    actual = machine.run("tile", x, panel, out=np.zeros((3, 32), np.float32))
    np.testing.assert_allclose(actual, x @ panel, atol=2e-5)


def test_int8_tile(machine):
    random = np.random.default_rng(3)
    values = random.integers(-127, 128, (2, 2, 64))
    weights = random.integers(-127, 128, (2, 64, 32))
    scales = random.random((2, 2)).astype(np.float32)
    weight_scales = (2.0 ** random.integers(-8, 0, (2, 32))).astype(np.float32)    # exact in bf16
    packed = b""
    for b in range(2):
        packed += (weight_scales[b].view(np.uint32) >> 16).astype(np.uint16).tobytes()
        block = (weights[b] + 128).astype(np.uint8).reshape(16, 4, 32)
        packed += block.transpose(0, 2, 1).tobytes()
    initial = (-128 * values.sum(-1)).astype(np.int32)
    actual = machine.run("tile8", values.astype(np.int8), scales, initial,
                         np.frombuffer(packed, np.uint8), out=np.zeros((2, 32), np.float32))
    expected = np.einsum("rbk,bko,rb,bo->ro", values, weights, scales, weight_scales)
    np.testing.assert_allclose(actual, expected, rtol=2e-6)


def test_int4_tile(machine):
    random = np.random.default_rng(3)
    codebook = machine.run("codebook", out=np.zeros(16, np.uint8)).astype(np.int64) - 128
    values = random.integers(-127, 128, (2, 2, 32))
    codes = random.integers(0, 16, (2, 32, 32))
    scales = random.random((2, 2)).astype(np.float32)
    weight_scales = (2.0 ** random.integers(-8, 0, (2, 32))).astype(np.float32)    # exact in bf16
    packed = b""
    for b in range(2):
        packed += (weight_scales[b].view(np.uint32) >> 16).astype(np.uint16).tobytes()
        quads = codes[b].reshape(8, 4, 2, 16).transpose(2, 0, 3, 1)     # half, quad, output, input
        packed += (quads[0] | quads[1] << 4).astype(np.uint8).tobytes()
    initial = (-128 * values.sum(-1)).astype(np.int32)
    actual = machine.run("tile4", values.astype(np.int8), scales, initial,
                         np.frombuffer(packed, np.uint8), out=np.zeros((2, 32), np.float32))
    expected = np.einsum("rbk,bko,rb,bo->ro", values, codebook[codes], scales, weight_scales)
    np.testing.assert_allclose(actual, expected, rtol=2e-6)
