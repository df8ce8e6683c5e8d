"""pytest -p tests.ascend.plugin: what asks for the CPU gets MindSpore's Ascend backend.

For tests that are written for the CPU, under `python -m tests.ascend`. There is one form of every
operator on the device, so that of tests of both forms the one without the CPU kernels runs.
"""

from typing import Any

import pytest

from sparktts_ms.runtime import Runtime


def pytest_configure() -> None:
    start = Runtime.start.__func__           # type: ignore[attr-defined]

    def start_on_ascend(cls: type[Runtime], device_target: str = "auto", device_id: int = 0,
                        mode: str = "graph", dtype: str | None = None, *others: Any,
                        **options: Any) -> Any:
        if device_target == "CPU":
            device_target = "Ascend"
            dtype = dtype or "float32"
        return start(cls, device_target, device_id, mode, dtype, *others, **options)

    Runtime.start = classmethod(start_on_ascend)        # type: ignore[method-assign,assignment]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests of the CPU kernels."""
    kept = []
    left_out = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        native = callspec is not None and callspec.params.get("form") == "native"
        native = native or "kernels" in getattr(item, "fixturenames", ())
        (left_out if native else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)
