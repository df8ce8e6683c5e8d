"""The stand-in for CANN: what it refuses, what it records, and what it computes."""

import ctypes

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, mint, nn, ops

from sparktts_ms.runtime import Runtime
from tests.ascend.log import recorded, sections, variables
from tests.helpers import random_normal


@pytest.fixture(autouse=True)
def pynative():
    Runtime.start("Ascend", mode="pynative")


def run(operator, *arrays, dtype=None):
    inputs = [Tensor(array, dtype) if dtype else Tensor(array) for array in arrays]
    return operator(*inputs).asnumpy()


class Apply(nn.Cell):
    def __init__(self, operator):
        super().__init__()
        self.operator = operator

    def construct(self, *inputs):
        return self.operator(*inputs)


def compiled(operator, *arrays):
    """As one graph."""
    return run(ms.jit(Apply(operator)), *arrays)


@pytest.mark.parametrize("call", [run, compiled])
def test_an_operator_that_is_not_computed_is_an_error(call):
    with pytest.raises(RuntimeError, match=r"aclnnErfinv.*does not compute"):
        call(mint.erfinv, np.float32([0.5]))


@pytest.mark.parametrize("call", [run, compiled])
@pytest.mark.parametrize("compute", ["0", "1"])
def test_a_wide_convolution_by_the_older_interface_is_refused(call, compute):
    convolution = ops.Conv2D(1, (1, 3))
    weight = np.ones((1, 1, 1, 3), np.float32)
    run(convolution, np.ones((1, 1, 1, 4096), np.float32), weight)
    with variables(STANDIN_COMPUTE=compute), pytest.raises(RuntimeError, match="4096"):
        call(convolution, np.ones((1, 1, 1, 5000), np.float32), weight)


def test_bfloat16_is_refused_on_310p():
    def square(size):           # MindSpore remembers the operators of a shape that were allowed
        x = Tensor(np.ones(size), ms.bfloat16)
        return (x * x).float().asnumpy()

    np.testing.assert_array_equal(square(5), np.ones(5, np.float32))
    with variables(STANDIN_SOC="Ascend310P3"), pytest.raises(RuntimeError, match="no bfloat16"):
        square(6)


def test_a_type_without_arithmetic_is_an_error():
    with pytest.raises(RuntimeError, match="cannot read f16"):
        run(mint.exp, np.ones(2, np.float16))


def test_an_index_outside_is_an_error():
    with pytest.raises(RuntimeError, match="index 3 of 3"):
        run(lambda x, index: mint.index_select(x, 0, index), np.ones((3, 2), np.float32),
            np.int32([3]))


@pytest.mark.parametrize(("shape", "fits"), [((2, 128), True), ((2, 1, 128), True),
                                             ((1, 128), False), ((2, 96), False)])
def test_the_mask_of_fused_attention(shape, fits):
    """For one position of each sequence: a row for each, of all positions of the keys."""
    query = Tensor(np.ones((2, 1, 32)), ms.bfloat16)
    keys = Tensor(np.ones((2, 128, 16)), ms.bfloat16)

    def attend():
        return ops.fused_infer_attention_score(
            query, [keys], [keys], atten_mask=Tensor(np.zeros(shape, bool)), num_heads=2,
            num_key_value_heads=1, input_layout="BSH")[0].float().asnumpy()

    if fits:
        np.testing.assert_array_equal(attend(), np.ones((2, 1, 32), np.float32))
    else:
        with pytest.raises(RuntimeError, match="the mask"):
            attend()


def test_launches_and_copies_are_counted(tmp_path):
    x, y = (Tensor(random_normal(np.random.default_rng(seed), 3, 4)) for seed in (1, 2))
    ops.relu(x), ops.relu(y)            # now they are on the device
    with recorded(tmp_path) as tally:
        result = mint.matmul(x, mint.permute(y, (1, 0))).asnumpy()
    np.testing.assert_allclose(result, x.asnumpy() @ y.asnumpy().T, rtol=1e-5, atol=1e-6)
    assert tally.operators["aclnnMatmul"] == 1
    assert (tally.aclop, tally.h2d, tally.d2h, tally.d2d_bytes) == (0, 0, 1, 0)
    assert tally.calls("aclnnMatmul")[0].endswith("cube_math_type=0")


def test_recorded_operators_do_not_compute(tmp_path):
    x = Tensor(np.ones(4, np.float32))
    ops.relu(x)
    with variables(STANDIN_COMPUTE="0"), recorded(tmp_path) as tally:
        mint.erfinv(x)
    assert tally.operators == {"aclnnErfinv": 1}


def test_sections_of_a_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("launch aclnnAdd f32[2]\n# step\nlaunch aclop:Conv2D f32[2]\n"
                   "copy device-device 8 async\nsync stream\ncaptured launch aclnnMul f32[2]\n")
    found = sections(log)
    assert found[""].operators == {"aclnnAdd": 1}
    step = found["step"]
    assert (step.launches, step.aclop, step.d2d_bytes, step.syncs) == (1, 1, 8, 1)
    assert step.captured == {"aclnnMul": 1}


class Stream:
    """A stream and 4 floats on the device, by AscendCL's own functions."""

    def __init__(self):
        self.acl = ctypes.CDLL("libascendcl.so")
        self.stream = ctypes.c_void_p()
        self.acl.aclrtCreateStream(ctypes.byref(self.stream))
        self.data = ctypes.c_void_p()
        self.acl.aclrtMalloc(ctypes.byref(self.data), ctypes.c_size_t(16), 0)
        self.graph = ctypes.c_void_p()

    def write(self, values):
        source = np.float32(values)
        return self.acl.aclrtMemcpy(self.data, ctypes.c_size_t(16),
                                    ctypes.c_void_p(source.ctypes.data), ctypes.c_size_t(16), 1)

    def read(self):
        result = np.zeros(4, np.float32)
        self.acl.aclrtMemcpy(ctypes.c_void_p(result.ctypes.data), ctypes.c_size_t(16), self.data,
                             ctypes.c_size_t(16), 2)
        return result.tolist()

    def double(self):
        """Launch x = x + x on the stream."""
        acl = self.acl
        acl.aclCreateTensorDesc.restype = ctypes.c_void_p
        acl.aclCreateDataBuffer.restype = ctypes.c_void_p
        shape = (ctypes.c_int64 * 1)(4)
        tensor = acl.aclCreateTensorDesc(0, 1, shape, 2)
        buffer = acl.aclCreateDataBuffer(self.data, ctypes.c_size_t(16))
        two = ctypes.c_void_p * 2
        return acl.aclopCompileAndExecuteV2(
            b"AddN", 2, two(tensor, tensor), two(buffer, buffer), 1, two(tensor), two(buffer), None,
            0, 0, None, self.stream)

    def begin(self):
        return self.acl.aclmdlRICaptureBegin(self.stream, 0)

    def end(self):
        return self.acl.aclmdlRICaptureEnd(self.stream, ctypes.byref(self.graph))

    def replay(self):
        return self.acl.aclmdlRIExecuteAsync(self.graph, self.stream)


def test_a_captured_graph_runs_when_it_is_launched(tmp_path):
    stream = Stream()
    stream.write([1, 2, 3, 4])
    with recorded(tmp_path) as tally:
        assert stream.begin() == stream.double() == stream.double() == stream.end() == 0
        assert stream.read() == [1, 2, 3, 4]
        assert stream.replay() == 0
        assert stream.read() == [4, 8, 12, 16]
        stream.write([0, 1, 0, 1])
        assert stream.replay() == 0
        assert stream.read() == [0, 4, 0, 4]
    assert tally.operators == {"capture:replay": 2}
    assert tally.captured == {"aclop:AddN": 2}


def test_no_copy_at_once_while_a_stream_is_captured():
    stream = Stream()
    assert stream.begin() == 0
    assert stream.write([1, 1, 1, 1]) != 0
    assert stream.acl.aclrtSynchronizeStream(stream.stream) != 0
    assert stream.end() == 0
    assert stream.write([1, 1, 1, 1]) == 0
    assert stream.end() != 0
