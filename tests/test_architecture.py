"""Rules of the layout: which way imports point, and what the package must not contain."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sparktts_ms"
FILES = sorted(PACKAGE.rglob("*.py"))
CODE = [*FILES, *(path for name in ("cli", "webui", "evaluation", "recipes")
                  for path in sorted((ROOT / name).rglob("*.py")))]

# What each room or module of the package may import of the others, lowest first.
NETWORK = {"errors", "config", "weights", "ops", "runtime"}
IMPORTS = {
    "errors": set(),
    "config": {"errors"},
    "files": {"errors"},
    "config_files": {"errors", "config", "files", "weights"},
    "storage": {"errors", "files"},
    "text": {"errors"},
    "audio": {"errors", "files"},
    "weights": {"errors", "config", "files"},
    "ops": {"errors", "weights"},
    "runtime": {"errors", "weights", "ops"},
    "qwen2": NETWORK,
    "bicodec": NETWORK,
    "wav2vec2": NETWORK,
    "voice": {"errors", "config", "files"},
    "generation": {*NETWORK, "files", "text", "audio", "qwen2", "bicodec", "wav2vec2", "voice"},
}
IMPORTS["pipeline"] = {*IMPORTS["generation"], "config_files", "generation"}
IMPORTS["service"] = {*IMPORTS["pipeline"], "pipeline"}
IMPORTS["training"] = {*IMPORTS["service"], "storage"}
IMPORTS["doctor"] = {*IMPORTS["service"], "service"}
IMPORTS["serving"] = {*IMPORTS["service"], "service", "storage"}
IMPORTS["batch"] = {*IMPORTS["service"], "storage", "serving"}
IMPORTS["__init__"] = set(IMPORTS)

WITHOUT_MINDSPORE = ("audio", "config", "config_files", "errors", "files", "storage", "text",
                     "voice")
APPLICATIONS = ("cli", "webui", "convert", "evaluation", "benchmarks", "recipes", "tools", "tests")
FOREIGN = ("torch", "transformers", "mindone", "gradio", "fastapi")
SERVERS = ("starlette", "uvicorn", "websockets", "grpc", "tritonclient", "prometheus_client")
RAY = ("serving/distributed/", "serving/ray_app.py", "batch/ray")     # all that imports Ray
MAX_MODULES = 9         # beside the rooms

# Words of an earlier, private vocabulary that are not the field's terms in any identifier.
DIALECT = frozenset((
    "acting", "alike", "asked", "astray", "barred", "coloured", "colouring", "company", "complaint",
    "course", "dice", "drill", "ear", "exams", "garble", "heard", "homework", "keeping", "lesson",
    "lessons", "listener", "luck", "manner", "misread", "mute", "pencil", "portion", "practise",
    "pupil", "pupils", "shelf", "shelves", "squash", "stray", "surroundings", "survivors",
    "teacher", "told", "wires", "wording", "worth"))


def room(path: Path) -> str:
    """The room or top-level module of a file in the package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def identifiers(tree: ast.AST) -> set[str]:
    """Names of variables, arguments, attributes, functions and classes."""
    fields = {ast.Name: "id", ast.arg: "arg", ast.keyword: "arg", ast.Attribute: "attr",
              ast.FunctionDef: "name", ast.AsyncFunctionDef: "name", ast.ClassDef: "name"}
    found = set()
    for node in ast.walk(tree):
        if type(node) in fields:
            found.add(getattr(node, fields[type(node)]) or "")
    return found


def by_path(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


@by_path(FILES)
def test_imports_point_one_way(path):
    here = room(path)
    for name in imported(path):
        top, *below = name.split(".")
        assert top not in (*APPLICATIONS, *FOREIGN), f"{path} imports {name}"
        assert top not in SERVERS or here == "serving", f"{path} imports {name}"
        inside = path.relative_to(PACKAGE).as_posix()
        assert top != "ray" or inside.startswith(RAY), f"{path} imports {name}"
        if here in WITHOUT_MINDSPORE:
            assert top != "mindspore", f"{path} needs no MindSpore"
        if top == "sparktts_ms" and below:
            assert below[0] in {here, *IMPORTS[here]}, f"{path} must not import {name}"


def test_few_modules_beside_the_rooms():
    modules = [path.name for path in PACKAGE.glob("*.py")]
    assert len(modules) <= MAX_MODULES, modules


@by_path(FILES)
def test_package_does_not_print_or_run_itself(path):
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                    and node.func.id == "print"), path
    assert "__main__" not in text


@by_path(FILES)
def test_package_names_no_command_line_flags(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            flags = re.findall(r"(?<![\w-])--[a-z]\w+", node.value)
            assert not flags or flags == ["--version"], f"{path}:{node.lineno} names {flags}"


@by_path(CODE)
def test_identifiers_are_standard_terms(path):
    words = set()
    for name in identifiers(ast.parse(path.read_text(encoding="utf-8"))):
        words.update(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", name).lower()))
    assert not words & DIALECT, path
