"""The import of MindSpore in commands, in a process of its own."""

import gc
import subprocess
import sys

import pytest

from cli import mindspore_import
from cli.mindspore_import import without_collection

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


def test_objects_that_are_kept_are_not_searched():
    frozen = gc.get_freeze_count()
    try:
        with without_collection():
            assert not gc.isenabled()
            kept = [[n] for n in range(1000)]
        assert gc.isenabled() and gc.get_freeze_count() >= frozen + len(kept)
    finally:
        gc.unfreeze()


def test_libraries_that_were_loaded_ahead():
    code = SHORT_IMPORT.replace("import_mindspore()", "load_libraries_ahead()\nimport_mindspore()")
    code = code.replace("import import_mindspore", "import import_mindspore, load_libraries_ahead")
    code += "print(mindspore.Tensor([2.0]) + 1)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert output.stdout == "[3.]\n"
