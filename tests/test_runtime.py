"""Devices, data types and modes."""

import os
import subprocess
import sys

import numpy as np
import pytest
from mindspore import Tensor, nn, ops

from sparktts_ms.errors import DeviceError
from sparktts_ms.runtime import MAX_SHAPES, Runtime
from tests.helpers import ROOT


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_quantized_weights_on_ascend_are_refused(quantize):
    with pytest.raises(DeviceError, match="Quantized"):
        Runtime.start("Ascend", quantize=quantize)


@pytest.mark.parametrize("options", [
    {"device_target": "GPU"}, {"mode": "fast"}, {"dtype": "float16"}, {"quantize": "int2"}])
def test_unknown_values_are_refused(options):
    with pytest.raises(DeviceError, match=next(iter(options))):
        Runtime.start(**options)


def test_capture_on_the_cpu_is_refused():
    with pytest.raises(DeviceError, match="Ascend only"):
        Runtime.start("CPU", capture=True)


@pytest.fixture
def closed_device(monkeypatch, tmp_path):
    """An Ascend device that is there, but not for this user."""
    device = tmp_path / "davinci0"
    device.write_text("")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != device and access(path, mode))
    monkeypatch.setattr("mindspore.hal.is_available", lambda target: False)
    monkeypatch.setenv("SPARKTTS_DEVICE_FOLDER", str(tmp_path))
    return device


def test_a_device_of_other_users_is_named(closed_device, monkeypatch):
    with pytest.raises(DeviceError, match=f"{closed_device} cannot be opened") as caught:
        Runtime.start("Ascend")
    assert caught.value.code == "ascend_permission"
    monkeypatch.setenv("SPARKTTS_DEVICE_FOLDER", str(closed_device.parent / "empty"))
    with pytest.raises(DeviceError, match="No Ascend device"):
        Runtime.start("Ascend")


def test_auto_says_that_a_device_is_of_other_users(closed_device, caplog):
    assert Runtime.start("auto").device_target == "CPU"
    assert f"{closed_device} cannot be opened by this user; the CPU is used." in caplog.messages


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


def test_padded_networks_have_graphs_of_the_shapes_they_are_told(monkeypatch):
    runtime = Runtime.start("CPU")
    monkeypatch.setattr(Runtime, "variable_length", True)
    relu = runtime.compile_padded(nn.ReLU(), "relu")
    relu.compile(Tensor(np.zeros(4, np.float32)))
    for size in (3, 4, 5, 4):
        x = np.arange(size, dtype=np.float32) - 2
        np.testing.assert_array_equal(relu(Tensor(x)).asnumpy(), np.maximum(x, 0))
    relu.compile(Tensor(np.zeros(4, np.float32)))
    assert runtime.graphs == ["relu 4"]


@pytest.mark.parametrize("name", ["SparkTTS", "Service"])
def test_environment_is_set_before_mindspore_reads_it(name):
    """MindSpore reads these variables when it is imported."""
    program = f"""
import importlib.abc, os, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname == "mindspore":
            print(os.environ.get("GLOG_v"), os.environ.get("ONEDNN_MAX_CPU_ISA"))
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
from sparktts_ms import {name}
"""
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("GLOG_v", "ONEDNN_MAX_CPU_ISA")}
    process = subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, text=True,
                             capture_output=True)
    assert process.stdout.strip() == "3 AVX2"


def test_memory_of_shapes_is_freed(monkeypatch):
    freed = []
    free = Runtime._free_operators

    def counted(runtime):
        freed.append(len(runtime.shapes))
        free(runtime)

    monkeypatch.setattr(Runtime, "_free_operators", counted)
    runtime = Runtime.start("CPU")
    networks = [runtime.bound_memory(relu_function, name) for name in ("a", "b")]
    for length in range(1, MAX_SHAPES + 1):
        for network in networks:
            x = np.arange(-length, length, dtype=np.float32)
            np.testing.assert_array_equal(network(Tensor(x)).asnumpy(), np.maximum(x, 0))
    assert freed == [MAX_SHAPES] and len(runtime.shapes) == MAX_SHAPES
    for _ in range(3):
        networks[1](Tensor(np.zeros(2 * MAX_SHAPES, np.float32)))       # a shape seen before
    assert len(freed) == 1
