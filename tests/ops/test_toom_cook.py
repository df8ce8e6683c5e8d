"""The transforms of Toom-Cook convolution."""

import numpy as np

from sparktts_ms.ops.toom_cook import TO_FILTERS, TO_INPUTS, TO_OUTPUTS


def test_transforms_compute_a_convolution():
    random = np.random.default_rng(5)
    filters = random.standard_normal(7)
    inputs = random.standard_normal(10)
    outputs = TO_OUTPUTS @ ((TO_FILTERS @ filters) * (TO_INPUTS @ inputs))
    expected = [filters @ inputs[q:q + 7] for q in range(4)]
    np.testing.assert_allclose(outputs, expected, rtol=1e-11, atol=1e-12)
