"""python -m cli.normalize"""

import io
import subprocess
import sys

import pytest

from cli import normalize
from tests.helpers import ROOT


def standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_texts(capsys):
    assert normalize.main(["3 cats", "3只猫"]) == 0
    assert capsys.readouterr().out == "three cats\n三只猫\n"


def test_lines_of_a_sentence_are_joined(capsys):
    assert normalize.main(["第1行没有完\n接着说完。", "3 cats and\n2 dogs.\n\nThe end."]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "第一行没有完接着说完。", "three cats and two dogs.", "The end."]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_standard_input(monkeypatch, capsys, arguments):
    standard_input(monkeypatch, "\ufeff3 cats\r\n\n3只猫".encode())
    assert normalize.main(arguments) == 0
    assert capsys.readouterr().out == "three cats\n\n三只猫\n"


def test_language(capsys):
    assert normalize.main(["--language", "zh", "5"]) == 0
    assert normalize.main(["--language", "en", "5"]) == 0
    assert capsys.readouterr().out == "五\nfive\n"


def test_explain_names_each_part_and_its_rule(capsys):
    assert normalize.main(["--explain", "R&D, 3 + 5"]) == 0
    said, *steps = capsys.readouterr().out.splitlines()
    assert said == "R and D, three plus five"
    assert steps[0] == "    & ->  and     by: R&D -> R and D"
    assert [step.split("by: ")[0].split() for step in steps[1:]] == [
        ["3", "->", "three"], ["+", "->", "plus"], ["5", "->", "five"]]


@pytest.mark.parametrize("data, line", [(b"3\n\xff\n", "Line 2"), (b"\xff", "Line 1")])
def test_other_encodings_are_one_line(monkeypatch, capsys, data, line):
    standard_input(monkeypatch, data)
    assert normalize.main([]) == 2
    assert capsys.readouterr().err == (
        f"error: {line} of standard input is not UTF-8. Save or convert it as UTF-8.\n")


def test_argument_that_is_not_unicode(capsys):
    assert normalize.main(["\udcff"]) == 2
    assert capsys.readouterr().err.startswith("error: A text is not UTF-8.")


def test_reader_that_stops_early():
    lines = b"3 cats\n" * 100_000
    process = subprocess.Popen([sys.executable, "-m", "cli.normalize"], cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdout.close()
    try:
        process.stdin.write(lines)
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_starts_without_mindspore():
    code = "import cli.normalize, sys; assert not {'mindspore', 'wetext'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
