"""Parts of RL fine-tuning without a model; needs PyTorch, which only the recipe does."""

import numpy as np
import pytest

pytest.importorskip("torch")


def test_group_relative_advantages():
    from recipes.demo_voice.lm.rl_finetune import group_relative_advantages

    advantages = group_relative_advantages(np.array([1.0, 3.0, -2.0, -2.0]), 2)
    assert advantages.tolist() == [-1, 1, 0, 0]


def test_microbatches_cover_all_rows():
    from recipes.demo_voice.lm.rl_finetune import microbatches

    lengths = [5, 40, 7, 100, 6, 39]
    batches = microbatches(lengths, 80)
    assert sorted(n for batch in batches for n in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[n] for n in batch) <= 80
