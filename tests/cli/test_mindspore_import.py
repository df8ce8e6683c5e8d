"""The import of MindSpore in commands, in a process of its own."""

import subprocess
import sys

import pytest

from cli import mindspore_import

SHORT_IMPORT = """
import sys
import sparktts_ms                                  # sets what MindSpore reads
from cli.mindspore_import import import_mindspore
import_mindspore()
import mindspore
"""


def run(code: str) -> list[str]:
    result = subprocess.run([sys.executable, "-c", SHORT_IMPORT + code], capture_output=True,
                            text=True, check=True)
    return result.stdout.split()


@pytest.mark.skipif(mindspore_import.installed_version() != mindspore_import.VERSION,
                    reason="another MindSpore")
def test_unused_modules_are_not_imported():
    names = run("print(*sys.modules)")
    assert "mindspore.nn" in names
    assert not any(mindspore_import.is_unused(name) for name in names)


def test_unused_modules_can_be_imported_afterwards():
    assert run("""
import scipy.ndimage, PIL.Image
print(scipy.ndimage.label([1, 0, 1])[1], PIL.Image.new("L", (3, 4)).size[1])
""") == ["2", "4"]


def test_operators_work():
    assert run("""
from mindspore import Tensor, ops
print(float(ops.matmul(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])).asnumpy()[0, 0]))
""") == ["11.0"]


@pytest.mark.parametrize("reason", ["device", "version"])
def test_all_is_imported_where_it_may_be_needed(reason, monkeypatch, tmp_path):
    """With an Ascend device, or a version of MindSpore that has not been tried."""
    calls = []
    monkeypatch.delitem(sys.modules, "mindspore")
    monkeypatch.setattr(mindspore_import.importlib, "import_module", calls.append)
    if reason == "device":
        device = [tmp_path / "davinci0"]
        monkeypatch.setattr(mindspore_import.Path, "glob", lambda self, pattern: device)
    else:
        monkeypatch.setattr(mindspore_import, "VERSION", "1.0")
    mindspore_import.import_mindspore()
    assert calls == []
