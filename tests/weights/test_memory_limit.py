"""Limits of containers, and models for which they are too small."""

import pytest

from sparktts_ms.weights import memory_limit

MB = 1 << 20


@pytest.fixture
def group(monkeypatch, tmp_path):
    """The folder of a container's limits."""
    folder = tmp_path / "cgroup"
    (folder / "memory").mkdir(parents=True)
    monkeypatch.setattr(memory_limit, "CGROUP", folder)
    return folder


@pytest.mark.parametrize("name, content, expected", [
    ("memory.max", "268435456\n", 256 * MB),
    ("memory.max", "max\n", None),
    ("memory/memory.limit_in_bytes", "268435456\n", 256 * MB),
    ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
    ("memory.current", "5\n", None),
])
def test_both_versions_of_limits_are_read(group, name, content, expected):
    (group / name).write_text(content)
    assert memory_limit.memory_limit() == expected


@pytest.mark.parametrize("dtype, needed, advice", [
    ("float32", 1300, "8-bit"), ("int8", 750, "4-bit"), ("int4", 680, "allow more, else")])
@pytest.mark.parametrize("missing", [1, -1])
def test_a_model_that_does_not_fit_is_a_warning(
        group, tmp_path, caplog, dtype, needed, advice, missing):
    model = tmp_path / "model"
    for part, size in (("LLM", 1000), ("BiCodec", 100)):
        (model / part).mkdir(parents=True)
        with (model / part / "model.safetensors").open("wb") as file:
            file.truncate(size * MB)
    (group / "memory.max").write_text(f"{(needed - missing) * MB}")
    memory_limit.warn_of_memory(model, dtype)
    assert bool(caplog.messages) == (missing > 0)
    if missing > 0:
        assert f"may use {needed - 1} MB" in caplog.text
        assert f"at least {needed} MB" in caplog.text
        assert advice in caplog.text
