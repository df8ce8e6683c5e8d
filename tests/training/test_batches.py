"""Batches of fixed shapes, and the data loader that resumes at any step."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparktts_ms.training.batches import BUCKETS, DataLoader, make_batches
from sparktts_ms.training.examples import ExampleBuilder, TrainingExample


@given(st.lists(st.integers(3, 400), min_size=1, max_size=60), st.integers(64, 2000),
       st.integers(1, 2**20))
def test_batches_hold_examples_in_fixed_shapes(lengths, batch_tokens, seed):
    random = np.random.default_rng(seed)
    examples = []
    for n in lengths:
        ids = random.integers(1, 1000, n).astype(np.int32)
        examples.append(TrainingExample(ids, int(random.integers(1, n))))
    shapes = {}
    found = []
    for batch in make_batches(examples, batch_tokens, 400):
        rows, length = batch.ids.shape
        assert shapes.setdefault(length, rows) == rows
        assert length in BUCKETS or length == 400
        assert rows == 1 or rows * length <= batch_tokens
        for row in range(rows):
            n = int(batch.loss_mask[row].nonzero()[0].max(initial=-1)) + 1
            if n:
                found.append((*batch.ids[row, :n], batch.targets[row, n - 1]))
                np.testing.assert_array_equal(batch.ids[row, 1:n], batch.targets[row, :n - 1])
                assert found[-1] == tuple(batch.examples[row].ids)
    expected = [tuple(example.ids) for example in examples]
    assert len(found) <= len(expected)
    assert all(ids in expected for ids in found)
    buckets = {next(b for b in (*BUCKETS, 400) if b >= min(n - 1, 400)) for n in lengths}
    assert buckets >= set(shapes)
    assert len(expected) - len(found) < sum(max(1, batch_tokens // n) for n in shapes)


def test_data_loader_starts_at_any_batch(tts, recordings):
    builder = ExampleBuilder(tts.vocabulary, 512)

    def make_epoch(random):
        return builder.epoch(recordings, random)

    batches = DataLoader(make_epoch, 600, 512, 5).batches()
    first = [next(batches) for _ in range(9)]
    resumed = DataLoader(make_epoch, 600, 512, 5).batches(6)
    for batch in first[6:]:
        np.testing.assert_array_equal(batch.ids, next(resumed).ids)
    assert any(a.ids.shape != b.ids.shape or (a.ids != b.ids).any()
               for a, b in zip(first[:4], first[4:8], strict=True))
