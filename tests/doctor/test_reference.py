"""Reference outputs, and how they are compared."""

import numpy as np
import pytest

from sparktts_ms.doctor import reference, steps


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.yaml").write_text("size: 1")
    return folder


def test_a_reference_belongs_to_one_model(model):
    path = model / reference.FILE_NAME
    reference.save(path, {"x": np.arange(3)}, model)
    assert reference.is_valid(path, model)
    np.testing.assert_array_equal(reference.load(path)["x"], np.arange(3))
    (model / "config.yaml").write_text("size: 2")
    assert not reference.is_valid(path, model)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 damaged"])
def test_a_damaged_reference_is_not_valid(model, content):
    path = model / reference.FILE_NAME
    path.write_bytes(content)
    assert not reference.is_valid(path, model)


def test_recording():
    samples = reference.recording(1.0)
    assert samples.shape == (16000,)
    assert samples.dtype == np.float32
    assert 0.05 < np.abs(samples).max() < 1


EXPECTED = {
    "generated_ids": np.array([5, 6]), "top_ids": np.array([[5, 7], [6, 8]]),
    "top_logits": np.array([[10.0, 9.9], [10.0, 5.0]]), "prompt": np.array([1, 2]),
}


def with_outputs(**outputs):
    return {**EXPECTED, **outputs}


def test_equal_outputs_are_right():
    row = steps.compare(EXPECTED, EXPECTED, 1e-6)
    assert row == {"ids": [4, 4], "error": 0.0, "right": True}


@pytest.mark.parametrize(("outputs", "tolerance", "right"), [
    ({"generated_ids": np.array([7, 6])}, 0.01, True),         # a near tie
    ({"generated_ids": np.array([7, 6])}, 1e-4, False),
    ({"generated_ids": np.array([5, 8])}, 0.01, False),        # far from the best
    ({"generated_ids": np.array([5, 9])}, 0.01, False),        # not even among the best
    ({"prompt": np.array([1, 3])}, 0.01, False),               # not generated: no ties
    ({"top_logits": EXPECTED["top_logits"] * 1.005}, 0.01, True),
    ({"top_logits": EXPECTED["top_logits"] * 1.02}, 0.01, False),
    ({"top_logits": EXPECTED["top_logits"] * np.nan}, 0.01, False)])
def test_differing_outputs(outputs, tolerance, right):
    assert steps.compare(with_outputs(**outputs), EXPECTED, tolerance)["right"] == right


def test_another_shape_is_wrong():
    row = steps.compare({"prompt": np.array([1])}, EXPECTED, 1.0)
    assert not row["right"]
    assert "prompt has shape (1,)" in row["note"]
