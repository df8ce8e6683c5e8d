"""Deprecated flags and error messages of the commands."""

import pytest

from cli.common import HINTS, Parser, deprecated_flag, error_message, run_command
from sparktts_ms.errors import InputError


@pytest.fixture
def parser():
    parser = Parser(prog="test")
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--quantize", choices=("none", "int8"), default="none")
    parser.add_argument("--no_normalize", dest="normalize", action="store_false")
    parser.add_argument("--cors_origin", action="append", default=[])
    deprecated_flag(parser, "--out", "--output_dir")
    deprecated_flag(
        parser, "--weights", "--quantize", {"float": "none", "int8": "int8"}.__getitem__
    )
    deprecated_flag(parser, "--no-normalize", "--no_normalize")
    deprecated_flag(parser, "--allow_origin", "--cors_origin")
    return parser


@pytest.mark.parametrize("joined", [False, True])
def test_deprecated_flags_work_and_are_reported(parser, capsys, joined):
    pairs = {"--out": "x", "--weights": "float", "--allow_origin": "a"}
    arguments = ["--no-normalize", "--cors_origin", "b"]
    for flag, value in pairs.items():
        arguments += [f"{flag}={value}"] if joined else [flag, value]
    args = parser.parse_args(arguments)
    assert vars(args) == {
        "output_dir": "x",
        "quantize": "none",
        "normalize": False,
        "cors_origin": ["b", "a"],
    }
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "--allow_origin is deprecated; use --cors_origin.",
        "--no-normalize is deprecated; use --no_normalize.",
        "--out is deprecated; use --output_dir.",
        "--weights is deprecated; use --quantize.",
    ]


def test_current_flags_are_not_reported(parser, capsys):
    assert parser.parse_args(["--output_dir", "--out"[2:], "--no_normalize"]).output_dir == "out"
    assert not capsys.readouterr().err


def test_help_hides_deprecated_flags(parser):
    help_text = parser.format_help()
    assert "--output_dir" in help_text
    for flag in parser.deprecated:
        assert f"{flag} " not in help_text


def test_error_message_names_flags():
    error = InputError("No voice was given.", "Give a voice or a gender.", code="no_voice")
    assert error_message(error) == f"No voice was given. {HINTS['no_voice']}"
    assert error_message(InputError("{subject} is empty.", "Try another.", subject="a.wav")) == (
        "a.wav is empty. Try another."
    )


@pytest.mark.parametrize("message, hint", [
    ("libgomp.so.1: cannot open shared object file: No such file or directory",
     "apt-get install libgomp1"),
    ("libquadmath.so.0: cannot open shared object file: No such file or directory",
     "Install the system's libquadmath."),
    ("No module named 'soxr'", "pip install -r requirements.txt"),
])
def test_a_missing_library_is_one_line(capsys, message, hint):
    def command():
        raise ImportError(message)

    assert run_command(command, "") == 2
    assert capsys.readouterr().err == f"error: {message}. {hint}\n"


def test_without_a_folder_for_temporary_files_there_is_one_line(monkeypatch, capsys):
    def nowhere():
        raise FileNotFoundError("No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("tempfile.gettempdir", nowhere)
    assert run_command(lambda: None, "") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "temporary files" in error and "TMPDIR" in error
