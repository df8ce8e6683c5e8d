"""The rules that the layout carries: which way imports point, and what has no place in the package."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = sorted((ROOT / "sparktts_ms").rglob("*.py"))
COMMANDS = [*sorted((ROOT / "cli").rglob("*.py")), ROOT / "convert.py"]
ROOMS = ("audio", "wav2vec2", "bicodec", "qwen2")
FOUNDATION = ("config", "config_files", "runtime", "errors", "files", "ops", "weights")
ABOVE = ("cli", "convert", "benchmarks", "tools", "tests")
FOREIGN = ("torch", "transformers", "mindone")


def imports(path):
    """Dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def place(path):
    """The room or top-level module of a file in the package."""
    return path.relative_to(ROOT / "sparktts_ms").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = place(path)
    for name in imports(path):
        top, *below = name.split(".")
        assert top not in ABOVE and top not in FOREIGN, f"{path} imports {name}"
        target = below[0] if top == "sparktts_ms" and below else None
        if here in ROOMS:
            assert target in (None, here, *FOUNDATION), f"{path} leaves its room for {name}"
        if here in FOUNDATION:
            assert target in (None, here, *FOUNDATION), f"{path} reaches up to {name}"
        if here == "errors":
            assert target is None
    if here in ("audio", "config", "config_files", "errors", "files", "text"):
        assert not any(name.split(".")[0] == "mindspore" for name in imports(path)), f"{path} needs no MindSpore"


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_web_room_knows_the_web(path):
    if place(path) != "web":
        for name in imports(path):
            assert name.split(".")[0] not in ("gradio", "starlette", "fastapi") and not name.startswith("sparktts_ms.web"), path


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_neither_prints_nor_runs_itself(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"), path
    assert "__main__" not in path.read_text(encoding="utf-8")


def test_both_readmes_name_the_same_commands_and_flags():
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README_zh.md"))

    def code(text):
        lines = [line for block in text.split("```bash")[1:] for line in block.split("```")[0].splitlines()]
        return [line.split("#")[0].strip() for line in lines if '--text "' not in line]     # what is said may differ

    assert code(english) == code(chinese)
