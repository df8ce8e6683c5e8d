"""Devices, data types and modes."""

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from sparktts_ms.errors import DeviceError
from sparktts_ms.runtime import Runtime


def test_int8_on_ascend_is_refused():
    with pytest.raises(DeviceError, match="8-bit"):
        Runtime.start("Ascend", quantize="int8")


@pytest.mark.parametrize("options", [
    {"device_target": "GPU"}, {"mode": "fast"}, {"dtype": "float16"}, {"quantize": "int4"}])
def test_unknown_values_are_refused(options):
    with pytest.raises(DeviceError, match=next(iter(options))):
        Runtime.start(**options)


def relu_function(x):
    return ops.relu(x)


@pytest.mark.parametrize("network", [nn.ReLU(), relu_function])
def test_compile_makes_one_graph_a_shape(network):
    runtime = Runtime.start("CPU")
    relu = runtime.compile(network, "relu")
    for size in (2, 3, 2):
        x = np.arange(size, dtype=np.float32) - 1
        np.testing.assert_array_equal(relu(Tensor(x)).asnumpy(), np.maximum(x, 0))
    assert runtime.graphs == ["relu 2", "relu 3"]
