"""The order of steps, what each outcome leads to, which settings are kept, and the report."""

import json
from dataclasses import asdict

import pytest

from sparktts_ms.doctor import diagnosis, machine
from sparktts_ms.doctor.diagnosis import Doctor, save_settings
from sparktts_ms.doctor.machine import Check
from sparktts_ms.doctor.process import Context, Result
from sparktts_ms.doctor.report import COLUMNS, render
from sparktts_ms.errors import InputError, ModelError
from sparktts_ms.ops import ascend
from sparktts_ms.ops.ascend import AscendSettings
from tests.helpers import ROOT

DEMO = ROOT / "pretrained_models" / "Spark-TTS-demo"
DEFAULTS = asdict(AscendSettings())
CHOICES = {"attention": ["flash", "plain"], "jit_level": ["O0", "O1"], "capture": [False, True]}
MACHINE = {"chip": "Ascend910B2", "mindspore": "2.10.0", "cann": "9.1.0"}
GIGABYTE = 1 << 30


class FakeDevice:
    """Stands for `process.run_steps`. `outcomes`: results by step; `times`: milliseconds of a
    decode step by the settings that are not the defaults, or the status of the network."""

    def __init__(self, target="Ascend", outcomes=None, times=None):
        self.target = target
        self.outcomes = outcomes or {}
        self.times = times or {}
        self.calls = []

    def __call__(self, context, steps, clock, limit, progress, step_limit):
        self.calls.append((context, tuple(steps)))
        results = []
        for step in steps:
            progress(step)
            results.append(self.outcome(step, context))
        return results

    def outcome(self, step, context):
        changed = self.changed(context)
        if step in self.outcomes:
            return self.outcomes[step]
        if changed in self.times and context.dtype == "bfloat16":
            time = self.times[changed]
            if isinstance(time, str):
                return Result(step, time, "no such operator" if time == "failed" else "")
            return Result(step, "right", values={"ids": [24, 24], "error": 0.01, "ms": time,
                                                 "host_ms": time / 2, "device_ms": None})
        return Result(step, "right", values=self.values(step))

    @staticmethod
    def changed(context):
        """The settings that are not the defaults, by name."""
        settings = context.settings["settings"] if context.settings else DEFAULTS
        return tuple(sorted(name for name in settings if settings[name] != DEFAULTS[name]))

    def values(self, step):
        if step == "device":
            ascend_device = self.target == "Ascend"
            size = 64 * GIGABYTE if ascend_device else None
            return {"device_target": self.target, "chip": MACHINE["chip"] if ascend_device else "",
                    "total_bytes": size, "free_bytes": size, "supported_cann": ["9.0", "9.1"],
                    "machine": MACHINE, "defaults": DEFAULTS, "choices": CHOICES}
        if step.startswith("speech_"):
            return {"rtf": 0.123, "first_audio_ms": 150.0, "last_first_audio_ms": 1500.0,
                    "used_bytes": 2 * GIGABYTE}
        values = {"ids": [32, 32], "error": 1e-6, "ms": 10.0, "host_ms": 5.0, "device_ms": 8.0}
        if step == "bandwidth":
            values = {"gb_per_s": 1234.5, "to_device_gb_per_s": 12.0}
        if step == "prefill":
            values["positions"] = 256
        return values


def diagnose(device, limit=300.0, model=DEMO):
    found = Doctor(Context(str(model)), limit, run=device).diagnose()
    lines = render(found).splitlines()
    assert max(map(len, lines[:-1])) <= COLUMNS
    assert len(lines) <= 45
    assert json.loads(json.dumps(found.as_json()))["right"] == found.right
    return found, "\n".join(lines)


def test_everything_right_on_ascend():
    device = FakeDevice()
    found, text = diagnose(device)
    assert found.right
    assert "Everything that is needed is right." in text
    assert "Spark-TTS-demo on Ascend910B2, 64.0 GB (64.0 GB free)" in text
    assert "CANN 9.1.0" in text
    assert "prefill of 256 positions: 10 ms" in text
    assert "memory bandwidth: 1234 GB/s, host to device 12 GB/s" in text
    assert "memory of the device: at most 2.0 GB used" in text
    # the stored reference is used
    assert all("reference" not in steps for _, steps in device.calls)
    assert device.calls[1][0].reference == str(DEMO / "reference.npz")
    assert device.calls[1][0].dtype == "float32"


def test_everything_right_on_the_cpu():
    device = FakeDevice("CPU")
    found, text = diagnose(device)
    assert found.right
    assert text.count("not on this device") == 2
    assert not any(context.settings for context, _ in device.calls)
    assert not found.trials


def test_the_fastest_right_settings_are_kept():
    times = {(): 4.0, ("attention",): 5.0, ("jit_level",): 3.0, ("capture", "jit_level"): 1.0}
    found, text = diagnose(FakeDevice(times=times))
    assert [trial.name for trial in found.trials] == [
        "defaults", "attention plain", "jit_level O1", "capture True"]
    assert found.best.settings == {**DEFAULTS, "jit_level": "O1", "capture": True}
    assert "capture True *" in text
    assert "* attention flash" in text
    assert found.as_json()["best"] == found.best.settings


@pytest.mark.parametrize("status", ["wrong", "failed"])
def test_settings_that_are_not_right_are_not_kept(status):
    times = {(): 4.0, ("attention",): status, ("jit_level",): 3.95, ("capture",): status}
    found, text = diagnose(FakeDevice(times=times))
    assert found.best.settings == DEFAULTS           # O1 is no faster than noise
    assert found.right                                # alternatives are not needed
    assert status in text
    if status == "failed":
        assert "no such operator" in text


def test_alternatives_are_tried_where_the_defaults_fail():
    times = {(): "failed", ("attention",): 5.0, ("attention", "jit_level"): 6.0,
             ("attention", "capture"): 7.0}
    found, text = diagnose(FakeDevice(times=times))
    assert found.best.settings == {**DEFAULTS, "attention": "plain"}
    assert not found.right
    assert "Not right: defaults in bfloat16." in text
    assert "Settings that are right were found" in text


def test_speech_uses_the_best_settings():
    device = FakeDevice(times={("capture",): 1.0})
    diagnose(device)
    context, steps = device.calls[-1]
    assert steps[0] == "prefill"
    assert context.settings == {"machine": MACHINE, "settings": {**DEFAULTS, "capture": True}}


def test_hf32_is_compared():
    device = FakeDevice()
    found, text = diagnose(device)
    assert set(found.hf32) == {"matmul", "wave_generator"}
    assert "wave_generator, allowed" in text
    [context] = [context for context, steps in device.calls if steps == ("matmul",
                                                                         "wave_generator")]
    assert context.settings["settings"]["allow_hf32"] is True


@pytest.mark.parametrize(("result", "words"), [
    (Result("prenet", "wrong", values={"ids": None, "error": 0.3, "ms": 1.0}), "wrong"),
    (Result("prenet", "failed", "RuntimeError: no such operator"), "no such operator"),
    (Result("prenet", "failed", "no answer within 90 s"), "no answer"),
    (Result("prenet", "skipped", "no time was left"), "skipped")])
def test_a_stage_that_is_not_right(result, words):
    found, text = diagnose(FakeDevice(outcomes={"prenet": result}))
    assert not found.right
    assert words in text
    assert "Not right: prenet." in text
    assert found.speech                               # the rest goes on


def test_a_failed_basic_step_is_a_line():
    outcomes = {name: Result(name, "failed", f"broken {name}") for name in (
        "matmul", "bandwidth", "prefill", "decode_16", "speech_4")}
    found, text = diagnose(FakeDevice(outcomes=outcomes))
    assert found.right
    for name in outcomes:
        assert f"broken {name}" in text


def test_an_unsuitable_chip_is_refused_in_one_line():
    refusal = Result("device", "failed", "The chip Ascend310P3 is not supported: it has no "
                     "bfloat16, and more. " + "Use another chip. " * 5, "unsuitable_chip")
    device = FakeDevice(outcomes={"device": refusal})
    found, text = diagnose(device)
    assert not found.right
    assert text.splitlines()[-1] == f"Not suitable: {refusal.message}"
    assert len(device.calls) == 1


def test_an_unsuitable_version_is_refused_before_the_device_is_used(monkeypatch):
    old = Check("MindSpore", "2.5.0", "2.7.1 or newer is needed", True)
    monkeypatch.setattr(machine, "check_versions", lambda: [old])
    device = FakeDevice()
    found, text = diagnose(device)
    assert text.splitlines()[-1] == "Not suitable: MindSpore 2.5.0: 2.7.1 or newer is needed."
    assert not device.calls
    assert not found.right


def test_versions_that_do_not_fit_are_reported(monkeypatch):
    monkeypatch.setattr(machine, "check_cann", lambda *_: Check("CANN", "8.1", "made for 9.1"))
    found, text = diagnose(FakeDevice())
    assert found.right
    assert "! CANN: made for 9.1" in text


def test_a_reference_is_computed_on_the_cpu_where_none_is_stored(tmp_path):
    (tmp_path / "config.yaml").write_text("a model of somebody's own")
    device = FakeDevice()
    found, _ = diagnose(device, model=tmp_path)
    context, steps = device.calls[1]
    assert steps == ("reference",)
    assert (context.device_target, context.dtype) == ("CPU", "float32")
    assert device.calls[2][0].reference == context.reference
    assert found.right


def test_without_a_reference_nothing_is_compared(tmp_path):
    outcomes = {"reference": Result("reference", "failed", "ModelError: no weights")}
    _, text = diagnose(FakeDevice(outcomes=outcomes), model=tmp_path)
    assert text.endswith("Not suitable: No reference outputs: ModelError: no weights. They need "
                         "more time, or can be computed and stored beforehand.")
    with pytest.raises(ModelError, match="no weights"):
        Doctor(Context(str(tmp_path)), 300.0, run=FakeDevice(outcomes=outcomes)).save_reference()


def test_saved_settings_are_those_that_runtime_reads(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "ascend.json"
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, str(path))
    monkeypatch.setattr(ascend, "machine", lambda chip: {**MACHINE, "chip": chip})
    found, _ = diagnose(FakeDevice(times={("capture",): 1.0}))
    for _ in range(2):                                # the second replaces the first
        assert save_settings(found) == path
    assert ascend.read_settings(MACHINE["chip"]) == AscendSettings(capture=True)


def test_there_may_be_no_settings_to_save(tmp_path, monkeypatch):
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, "")
    found, _ = diagnose(FakeDevice())
    with pytest.raises(InputError, match="is empty"):
        save_settings(found)
    monkeypatch.setenv(ascend.SETTINGS_VARIABLE, str(tmp_path / "ascend.json"))
    wrong = Result("language_model", "failed", "broken")
    for device in (FakeDevice("CPU"), FakeDevice(outcomes={"language_model": wrong})):
        found, _ = diagnose(device)
        with pytest.raises(InputError, match="No settings"):
            save_settings(found)
    assert not list(tmp_path.iterdir())


def test_no_time_is_left_for_alternatives(monkeypatch):
    limits = []

    def run(context, steps, clock, limit, progress, step_limit):
        limits.append((context.dtype, limit))
        return FakeDevice()(context, steps, clock, limit, progress, step_limit)

    Doctor(Context(str(DEMO)), 100.0, run=run).diagnose()
    trials = [limit for dtype, limit in limits if dtype == "bfloat16"]
    assert all(limit <= 100 * (1 - diagnosis.SPEECH_SHARE) for limit in trials)


def test_the_json_has_its_keys():
    found, _ = diagnose(FakeDevice())
    content = found.as_json()
    assert list(content) == [
        "format", "version", "right", "refused", "model", "seconds", "checks", "device",
        "networks", "basics", "hf32", "trials", "best", "speech"]
    assert set(content["networks"][0]) == {"step", "status", "message", "code", "values"}
    assert set(content["trials"][0]) == {"name", "settings", "network", "decode"}
    assert str(ROOT) not in json.dumps(content)
