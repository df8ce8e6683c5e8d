"""The command line of tools.capacity."""

import json

import pytest

from tests.tools.capacity.costs_of import costs_json
from tools.capacity.__main__ import main


@pytest.fixture
def costs(tmp_path):
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(costs_json(step={"1": [[0, 0.01]], "16": [[0, 0.02]]})))
    return str(path)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    output = capsys.readouterr()
    return status, output.out, output.err


def test_smallest_number_of_devices(costs, tmp_path, capsys):
    output = tmp_path / "figures.json"
    load = ["--requests_per_second", "30", "--text_seconds", "1", "--costs", costs, "--runs", "1"]
    status, text, _ = run(capsys, *load, "--output", str(output))
    assert status == 0
    figures = json.loads(output.read_text())
    needed = figures["devices_needed"]
    assert f"{needed} device" in text
    assert "No costs of an Ascend device are known" in text and figures["ascend_figures"] is False
    [answer] = [row for row in figures["predictions"] if row["devices"] == needed]
    assert answer["first_audio_p95"]["mean"] <= 1.0
    assert run(capsys, *load)[1] == text


def test_trace(costs, tmp_path, capsys):
    trace = tmp_path / "trace.jsonl"
    trace.write_text('{"time": 0, "seconds": 2.0}\n\n{"time": 0.5, "segments": [1, 2], "voice": 3}')
    status, text, _ = run(capsys, "--trace", str(trace), "--devices", "2", "--costs", costs)
    assert status == 0 and "\n2 " in text


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "give one of --requests_per_second R, --streams N and --trace FILE"),
    (["--requests_per_second", "1", "--streams", "3"], "give one of"),
    (["--requests_per_second", "-1"], "'-1' is not a number from 0.001 to 100000"),
    (["--requests_per_second", "nan"], "'nan' is not a number"),
    (["--streams", "5", "--devices", "1.5"], "'1.5' is not a whole number from 1 to 100000"),
    (["--trace", "x"], "--trace needs --devices N"),
    (["--trace", "no-such-trace", "--devices", "1"], "no-such-trace cannot be read"),
    (["--streams", "5", "--costs", "no-such-costs"], "no-such-costs cannot be read"),
    (["--measure"], "--measure needs --model_dir DIR"),
    (["--measure", "--model_dir", "no-such-model"], "no-such-model does not exist"),
    (["--check", "--slept", "--model_dir", "."], "--slept needs --costs"),
    (["--check"], "--check without URL"),
])
def test_errors_are_one_line(arguments, said, capsys):
    status, _, text = run(capsys, *arguments)
    assert status == 2
    assert said in text and len(text.splitlines()) == 1


@pytest.mark.parametrize("line", [
    "x", "[1]", '{"time": 1}', '{"time": -1, "seconds": 2}', '{"time": 1, "seconds": "2"}',
    '{"time": 1, "segments": []}', '{"time": 1, "seconds": 2, "voice": "a"}',
    '{"time": 1, "seconds": NaN}'])
def test_wrong_lines_of_a_trace(line, costs, tmp_path, capsys):
    trace = tmp_path / "trace.jsonl"
    trace.write_text(f'{{"time": 0, "seconds": 1}}\n{line}\n')
    status, _, text = run(capsys, "--trace", str(trace), "--devices", "1", "--costs", costs)
    assert status == 2 and "Line 2 of" in text and len(text.splitlines()) == 1
