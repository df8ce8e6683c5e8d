"""cli.doctor on the stand-in, and the settings that `Runtime` reads there."""

import json
import logging
import os
import subprocess
import sys

import pytest

from sparktts_ms.doctor.diagnosis import Doctor, save_settings
from sparktts_ms.doctor.process import Clock, Context, run_steps
from sparktts_ms.doctor.report import render
from sparktts_ms.errors import DeviceError
from sparktts_ms.ops import ascend
from sparktts_ms.ops.ascend import AscendSettings
from sparktts_ms.runtime import Runtime
from tests.helpers import ROOT


@pytest.fixture
def file(tmp_path, monkeypatch):
    """The file of settings; afterwards the defaults are in force again."""
    path = tmp_path / "ascend.json"
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, str(path))
    yield path
    ascend.apply(AscendSettings())


def write(path, **machine):
    content = {"machine": {**ascend.machine("Ascend910B2"), **machine},
               "settings": {"attention": "plain"}}
    path.write_text(json.dumps(content))


def test_runtime_reads_settings(file):
    write(file)
    Runtime.start("Ascend")
    assert ascend.settings() == AscendSettings(attention="plain")


def test_runtime_ignores_settings_of_another_version(file, caplog):
    write(file, cann="8.5.0")
    with caplog.at_level(logging.WARNING, logger="sparktts_ms"):
        Runtime.start("Ascend")
    assert ascend.settings() == AscendSettings()
    messages = [record.getMessage() for record in caplog.records if record.name == "sparktts_ms"]
    assert messages == [f"{file} was measured with cann 8.5.0 and is ignored."]


def test_runtime_refuses_damaged_settings(file):
    file.write_text("{")
    with pytest.raises(DeviceError, match="cannot be used"):
        Runtime.start("Ascend")


def test_an_unsuitable_chip_is_refused_in_one_line():
    command = [sys.executable, "-m", "cli.doctor"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False,
                            env={**os.environ, "STANDIN_SOC": "Ascend310P3"})
    assert result.returncode == 1, result.stderr
    assert result.stdout.splitlines()[-1].startswith(
        "Not suitable: The chip Ascend310P3 is not supported: it has no bfloat16")


def test_hf32_can_be_allowed(tmp_path, monkeypatch):
    log = tmp_path / "log.txt"
    monkeypatch.setenv("STANDIN_LOG", str(log))
    content = {"machine": ascend.machine("Ascend910B2"), "settings": {"allow_hf32": True}}
    context = Context("", "Ascend", settings=content)
    [result] = run_steps(context, ["matmul"], Clock(90), 90, print, 90)
    assert result.ok, result.message
    products = [line for line in log.read_text().splitlines() if "launch aclnnMatmul" in line]
    assert products
    assert all(line.endswith("cube_math_type=3") for line in products)


@pytest.mark.slow
def test_a_whole_run(tiny_model, file):
    networks = ("speaker_encoder", "prenet", "wave_generator", "language_model")
    doctor = Doctor(Context(str(tiny_model)), 1200.0, networks=networks,
                    speech=("prefill", "speech_1"))
    found = doctor.diagnose()
    print(render(found))                # shown if something is not right
    assert found.right
    assert found.on_ascend
    assert {check.name: check.value for check in found.checks}["CANN"] == "9.1.0"
    assert all(result.ok for result in [*found.basics.values(), *found.speech])
    assert set(found.hf32) == {"matmul", "wave_generator"}
    assert all(result.ok for result in found.hf32.values())
    # one change of each setting was tried, whether it is right or not
    changes = sum(len(values) - 1 for values in ascend.CHOICES.values())
    assert len(found.trials) == 1 + changes
    assert found.trials[1].network.ok
    assert save_settings(found) == file
    assert ascend.read_settings("Ascend910B2") == AscendSettings(**found.best.settings)
