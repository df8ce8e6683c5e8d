"""Sampling: parameters, the filtered distribution, draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparktts_ms import Sampling
from sparktts_ms.errors import InputError, WeightsError
from sparktts_ms.qwen2.sampling import sample
from tests.helpers import examples, probabilities


@pytest.mark.parametrize("values", [
    {"temperature": -0.1}, {"temperature": float("inf")}, {"temperature": 10**400},
    {"temperature": float("nan")}, {"top_k": -1}, {"top_k": 2.5},
    {"top_p": 0}, {"top_p": 1.1}, {"max_new_tokens": 0}, {"max_new_tokens": 1.5},
    {"min_new_tokens": 4000}, {"seed": -1}, {"seed": 1.0}])
def test_invalid_values_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values))) as caught:
        Sampling(**values)
    assert len(str(caught.value)) < 200


@settings(max_examples=examples(30))
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 2), st.integers(0, 30), st.floats(0.05, 1))
def test_distribution_follows_its_definition(seed, temperature, top_k, top_p):
    sampling = Sampling(temperature, top_k, top_p, seed=seed)
    logits = np.random.default_rng(seed).standard_normal(25).astype(np.float32) * 3
    order = sorted(range(25), key=lambda i: -logits[i])[:top_k or 25]
    weights = {}
    for i in order:
        weights[i] = np.exp(float(logits[i]) / temperature - float(logits.max()) / temperature)
    total = sum(weights.values())
    nucleus = []
    mass = 0.0
    for i in order:
        if mass / total >= top_p and nucleus:
            break
        nucleus.append(i)
        mass += weights[i]
    actual = probabilities(logits, sampling)
    without_last = (mass - weights[nucleus[-1]]) / total
    rounding = abs(mass / total - top_p) < 1e-9 or abs(without_last - top_p) < 1e-9
    if not rounding:
        assert set(np.flatnonzero(actual)) == set(nucleus)
        expected = [weights[i] / mass for i in nucleus]
        np.testing.assert_allclose(actual[nucleus], expected, rtol=1e-9)
    assert sample(logits, sampling, sampling.generator()) in np.flatnonzero(actual)
    assert sample(logits, Sampling(temperature=0), sampling.generator()) == logits.argmax()


def test_draws_follow_the_distribution():
    logits = np.float32([0, 1, 2, 3, -1, 2])
    sampling = Sampling(1.0, 0, 1.0, seed=3)
    generator = sampling.generator()
    draws = 20000
    counts = np.bincount([sample(logits, sampling, generator) for _ in range(draws)], minlength=6)
    expected = np.exp(logits) / np.exp(logits).sum() * draws
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 20.5                        # 5 degrees of freedom: p = 0.001


@pytest.mark.filterwarnings("error")
def test_temperatures_at_the_ends_of_what_numbers_can_be():
    logits = np.float32([-30, 0, 30, 10])
    generator = np.random.default_rng(1)
    for temperature in (0, 1e-310, 5e-324, 1e-12):
        assert sample(logits, Sampling(temperature), generator) == 2
    for temperature in (10**20, 1.7e308):       # every id is as likely
        sampling = Sampling(temperature, top_k=0, top_p=1.0)
        assert {sample(logits, sampling, generator) for _ in range(100)} == {0, 1, 2, 3}


@pytest.mark.parametrize("temperature", [0, 0.8])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite(value, temperature):
    logits = np.zeros(100, np.float32)
    logits[7] = value
    with pytest.raises(WeightsError, match="NaN or infinity"):
        sample(logits, Sampling(temperature=temperature), np.random.default_rng(0))
