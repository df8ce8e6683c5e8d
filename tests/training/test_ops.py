"""Row-wise operators against NumPy, and their gradients against MindSpore's own."""

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

from sparktts_ms.runtime import Runtime
from sparktts_ms.training.ops import Softmax, TrainableRMSNorm


def test_softmax_gradient():
    Runtime.start("CPU", mode="pynative")
    random = np.random.default_rng(0)
    x = Tensor(random.standard_normal((6, 5)).astype(np.float32))
    weight = Tensor(random.standard_normal((6, 5)).astype(np.float32))
    softmax = Softmax()
    gradient = ms.grad(lambda x: (softmax(x) * weight).sum())(x)
    expected = ms.grad(lambda x: (ops.softmax(x, -1) * weight).sum())(x)
    np.testing.assert_allclose(gradient.asnumpy(), expected.asnumpy(), atol=1e-6)


def test_rms_norm():
    Runtime.start("CPU", mode="pynative")
    random = np.random.default_rng(1)
    x = random.standard_normal((4, 8)).astype(np.float32)
    weight = random.standard_normal(8).astype(np.float32)
    expected = x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-6) * weight
    output = TrainableRMSNorm(weight, 1e-6)(Tensor(x)).asnumpy()
    np.testing.assert_allclose(output, expected, atol=1e-6)
