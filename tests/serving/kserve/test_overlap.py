"""Chunks for clients that cross-fade."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.serving.kserve.overlap import OverlappingChunks
from tests.serving.kserve.client_join import join


def overlapping(parts, sample_rate=16000):
    chunks = OverlappingChunks(sample_rate)
    sent = [chunks.push(part) for part in parts]
    sent.append(chunks.finish())
    return [chunk for chunk in sent if chunk is not None]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=20))
def test_joined_chunks_are_the_stream(lengths):
    """Whatever lengths the stream comes in: here at 100 Hz, so that the overlap is 10 samples."""
    random = np.random.default_rng(0)
    parts = [random.uniform(-1, 1, length).astype(np.float32) for length in lengths]
    whole = np.concatenate(parts)
    sent = overlapping(parts, 100)
    if not len(whole):
        assert sent == []
        return
    assert all(len(chunk) >= 10 for chunk in sent) or len(sent) == 1
    np.testing.assert_allclose(join(sent, 10), whole, atol=1e-6)


def test_each_chunk_repeats_a_tenth_of_a_second():
    stream = np.arange(32000, dtype=np.float32)
    first, second, last = overlapping(np.split(stream, 2))
    np.testing.assert_array_equal(second[:1600], first[-1600:])
    np.testing.assert_array_equal(last[:1600], second[-1600:])


def test_a_chunk_is_sent_with_what_makes_it():
    """All but 0.1 s of what has been pushed has been sent."""
    chunks = OverlappingChunks(16000)
    assert len(chunks.push(np.zeros(5440, np.float32))) == 5440 - 1600
    assert len(chunks.push(np.zeros(8000, np.float32))) == 1600 + 8000


@pytest.mark.parametrize("length", [1, 1600, 3199, 3200])
def test_short_streams(length):
    stream = np.linspace(-1, 1, length, dtype=np.float32)
    np.testing.assert_allclose(join(overlapping([stream])), stream, atol=1e-6)
