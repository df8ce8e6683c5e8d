"""python -m cli.doctor"""

import json
import os
import subprocess
import sys

import pytest

from cli import doctor
from sparktts_ms.doctor.diagnosis import Doctor
from sparktts_ms.doctor.process import Result
from sparktts_ms.ops import ascend
from tests.doctor.test_diagnosis import DEMO, MACHINE, FakeDevice
from tests.helpers import ROOT


def command(monkeypatch, device, *arguments):
    """The exit status with a device that a test describes."""
    monkeypatch.setattr(doctor, "Doctor",
                        lambda context, limit: Doctor(context, limit, run=device))
    return doctor.main(["--model_dir", str(DEMO), *arguments])


def test_right(monkeypatch, capsys, tmp_path):
    path = tmp_path / "report.json"
    assert command(monkeypatch, FakeDevice(), "--json", str(path)) == 0
    output = capsys.readouterr()
    assert output.out.endswith("Everything that is needed is right.\n")
    assert "float32: prenet" in output.err            # progress
    assert json.loads(path.read_text())["right"] is True


def test_not_right(monkeypatch, capsys, tmp_path):
    path = tmp_path / "report.json"
    device = FakeDevice(outcomes={"prenet": Result("prenet", "failed", "broken")})
    assert command(monkeypatch, device, "--json", str(path)) == 1
    assert "broken" in capsys.readouterr().out
    assert json.loads(path.read_text())["right"] is False


def test_refused(monkeypatch, capsys, tmp_path):
    path = tmp_path / "report.json"
    device = FakeDevice(outcomes={"device": Result("device", "failed", "The chip is old.")})
    assert command(monkeypatch, device, "--json", str(path)) == 1
    assert capsys.readouterr().out.endswith("Not suitable: The chip is old.\n")
    assert json.loads(path.read_text())["refused"] == "The chip is old."


def test_apply(monkeypatch, capsys, tmp_path):
    path = tmp_path / "ascend.json"
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, str(path))
    assert command(monkeypatch, FakeDevice(times={("capture",): 1.0})) == 0
    assert not path.exists()
    assert command(monkeypatch, FakeDevice(times={("capture",): 1.0}), "--apply") == 0
    content = json.loads(path.read_text())
    assert content["machine"] == MACHINE
    assert content["settings"]["capture"] is True
    assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize("device", [
    FakeDevice("CPU"), FakeDevice(outcomes={"prenet": Result("prenet", "failed", "broken")})])
def test_nothing_to_apply(monkeypatch, capsys, tmp_path, device):
    path = tmp_path / "ascend.json"
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, str(path))
    command(monkeypatch, device, "--apply")
    assert not path.exists()
    assert "No settings were written" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [
    ["--time_limit", "0"], ["--time_limit", "soon"], ["--unknown"], ["--device_target", "GPU"]])
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        doctor.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_model_is_an_error(capsys, tmp_path):
    assert doctor.main(["--model_dir", str(tmp_path / "none")]) == 2
    assert "python -m cli.download" in capsys.readouterr().err


def test_save_reference(monkeypatch, capsys):
    device = FakeDevice()
    assert command(monkeypatch, device, "--save_reference") == 0
    assert capsys.readouterr().out == f"{DEMO / 'reference.npz'}\n"
    assert [steps for _, steps in device.calls] == [("reference",)]


def test_default_model(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert doctor.default_model() == doctor.DEMO_MODEL
    doctor.RELEASED_MODEL.mkdir(parents=True)
    assert doctor.default_model() == doctor.RELEASED_MODEL


def run_command(*arguments, prefix=(), **variables):
    command = [sys.executable, *prefix, "-m", "cli.doctor", "--model_dir", str(DEMO), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**os.environ, **variables})


@pytest.mark.slow
def test_a_whole_run_on_the_cpu(tmp_path):
    path = tmp_path / "report.json"
    result = run_command("--device_target", "CPU", "--json", str(path), "--time_limit", "600")
    assert result.returncode == 0, result.stdout + result.stderr
    content = json.loads(path.read_text())
    assert content["right"]
    assert [row["status"] for row in content["speech"]] == ["right"] * 7
    assert {row["step"]: row["values"]["error"] for row in content["networks"]}["prenet"] < 1e-4
