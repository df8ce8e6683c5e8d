"""Tests of this folder run on the stand-in for CANN: `make test-ascend`."""

from pathlib import Path

import pytest

from tests.ascend.log import on_standin

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if on_standin():
        return
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs `python -m tests.ascend`"))
