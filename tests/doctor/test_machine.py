"""Which versions fit together."""

import pytest

from sparktts_ms.doctor import machine


@pytest.mark.parametrize(("version", "problem", "unsuitable"), [
    ("2.10.0", "", False), ("2.7.1", "", False), ("2.6.0", "2.7.1 or newer", True),
    ("2.12.0", "newer than 2.10", False), ("", "not installed", True), ("next", "known", False)])
def test_mindspore(version, problem, unsuitable):
    check = machine.check_mindspore(version)
    assert problem in check.problem
    assert bool(check.problem) == bool(problem)
    assert check.unsuitable == unsuitable


def test_numpy():
    assert not machine.check_numpy("1.26.4", ["numpy<2.0.0,>=1.20.0"]).problem
    assert machine.check_numpy("2.2.0", ["scipy", "numpy<2.0.0,>=1.20.0"]).problem == (
        "MindSpore needs <2.0.0,>=1.20.0")


@pytest.mark.parametrize(("version", "problem"), [
    ("9.1.0", ""), ("8.1.RC1", "made for 9.0, 9.1"), ("", "ASCEND_HOME_PATH")])
def test_cann(version, problem):
    found = machine.check_cann(version, ["9.0", "9.1"]).problem
    assert problem in found
    assert bool(found) == bool(problem)


def test_driver_by_its_file(tmp_path, monkeypatch):
    path = tmp_path / "version.info"
    path.write_text("Version=24.1.rc3\nascendhal_version=7\n")
    monkeypatch.setattr(machine, "DRIVER_FILE", path)
    assert machine.check_driver() == machine.Check("driver", "24.1.rc3")


@pytest.mark.parametrize(("script", "version"), [
    ("echo '| npu-smi 24.1.rc3      Version: 24.1.rc3   |'", "24.1.rc3"), ("exit 1", "")])
def test_driver_by_npu_smi(tmp_path, monkeypatch, script, version):
    program = tmp_path / "npu-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(machine, "DRIVER_FILE", tmp_path / "missing")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert machine.driver_version() == version


def test_versions_of_this_environment():
    checks = {check.name: check for check in machine.check_versions()}
    assert not any(check.unsuitable for check in checks.values())
    assert list(checks) == ["Python", "MindSpore", "NumPy"]
