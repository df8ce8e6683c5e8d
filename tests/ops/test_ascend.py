"""Chips, and the file of settings."""

import json
import logging

import pytest

from sparktts_ms.errors import DeviceError
from sparktts_ms.ops import ascend
from sparktts_ms.ops.ascend import AscendSettings

CHIP = "Ascend910B2"
OTHERS = AscendSettings(attention="plain", jit_level="O1")


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "ascend.json"
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, str(path))
    return path


def write(path, settings, **machine):
    content = {"machine": {**ascend.machine(CHIP), **machine}, "settings": settings}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["Ascend910B1", "Ascend910B4-1", "Ascend910_9391"])
def test_suitable_chips(name):
    ascend.check_chip(name)


@pytest.mark.parametrize(("name", "reason"), [
    ("Ascend310P3", "bfloat16"), ("Ascend910A", "no graphs"), ("Ascend910ProB", "no graphs"),
    ("Ascend910", "no graphs"), ("Ascend910B", "no graphs"), ("Ascend950PR_9599", "attention"),
    ("Ascend910_9589", "attention"), ("Ascend310B4", "not known")])
def test_other_chips_are_refused(name, reason):
    with pytest.raises(DeviceError, match=reason) as caught:
        ascend.check_chip(name)
    assert caught.value.code == "unsuitable_chip"
    assert name in str(caught.value)


@pytest.mark.parametrize(("path", "text"), [
    ("compiler/version.info", "Version=9.1.0\n"),
    ("x86_64-linux/ascend_toolkit_install.info", "package_name=Ascend-cann\nversion=9.1.0\n"),
    ("opp/version.info", "Version=[9.1.0:9.1.0.B1]\n")])
def test_cann_version(tmp_path, monkeypatch, path, text):
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path))
    assert ascend.cann_version() == ""
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(text)
    assert ascend.cann_version() == "9.1.0"


def test_default_file(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(ascend.SETTINGS_VARIABLE, raising=False)
    assert ascend.settings_file() == tmp_path / ".config" / "sparktts_ms" / "ascend.json"
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, "")
    assert ascend.settings_file() is None


def test_defaults_without_a_file(file):
    assert ascend.read_settings(CHIP) == AscendSettings()


def test_settings_are_read(file, caplog):
    write(file, vars(OTHERS))
    assert ascend.read_settings(CHIP) == OTHERS
    assert not caplog.records


@pytest.mark.parametrize("machine", [
    {"chip": "Ascend910B4"}, {"mindspore": "2.9.0"}, {"cann": "8.5.0"}])
def test_settings_of_another_machine_are_ignored_in_one_line(file, caplog, machine):
    write(file, vars(OTHERS), **machine)
    with caplog.at_level(logging.WARNING, logger="sparktts_ms"):
        assert ascend.read_settings(CHIP) == AscendSettings()
    [record] = caplog.records
    name, value = next(iter(machine.items()))
    assert f"{name} {value} and is ignored" in record.getMessage()


@pytest.mark.parametrize("text", [
    "{", "[]", "{}", '{"settings": {}}', '{"settings": {"attention": "none"}, "machine": {}}',
    '{"settings": {"unknown": 1}, "machine": {}}', '{"settings": {"allow_hf32": "no"}}', "\0"])
def test_a_damaged_file_is_one_clear_error(file, text):
    file.write_text(text)
    with pytest.raises(DeviceError, match=r"ascend\.json cannot be used: .") as caught:
        ascend.read_settings(CHIP)
    assert "\n" not in str(caught.value)
    assert caught.value.code == "ascend_settings"
