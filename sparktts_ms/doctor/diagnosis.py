"""Which steps are run in which order, and which settings are the fastest that are right."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sparktts_ms.doctor import machine, reference
from sparktts_ms.doctor.machine import Check
from sparktts_ms.doctor.process import Clock, Context, Result, run_steps
from sparktts_ms.errors import InputError, ModelError
from sparktts_ms.files import atomic_write

logger = logging.getLogger("sparktts_ms")

SPEECH_SHARE = 0.3                          # of the time, that trying alternatives leaves
GAIN = 0.98                                 # of the time of a step, that an alternative must reach
STEP_LIMIT = 90.0                           # seconds of one step, with starting its process
NETWORKS = ("speaker_encoder", "wav2vec2", "semantic_encoder", "prenet", "wave_generator",
            "language_model")
DECODE = ("language_model", "decode_1")
SPEECH = ("prefill", "decode_16", "speech_1", "speech_4", "speech_8", "speech_16")
Settings = dict[str, Any]
Run = Callable[..., list[Result]]


@dataclass
class Trial:
    """Settings of operators, and what the language model did with them."""

    name: str
    settings: Settings
    network: Result
    decode: Result

    @property
    def milliseconds(self) -> float:
        """Of a decode step; infinite if anything is not right."""
        if self.network.ok and self.decode.ok:
            return self.decode.values["ms"]
        return float("inf")


@dataclass
class Diagnosis:
    """Everything that was found. refused: why nothing could run, or empty."""

    model: str
    checks: list[Check]
    device: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    networks: list[Result] = field(default_factory=list)
    basics: dict[str, Result] = field(default_factory=dict)         # matmul, bandwidth
    hf32: dict[str, Result] = field(default_factory=dict)           # the same with HF32 allowed
    trials: list[Trial] = field(default_factory=list)
    best: Trial | None = None
    speech: list[Result] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def on_ascend(self) -> bool:
        return self.device.get("device_target") == "Ascend"

    @property
    def needed(self) -> list[Result]:
        """What has to be right: the networks, and on Ascend the defaults in bfloat16."""
        return [*self.networks, *([self.trials[0].network] if self.trials else [])]

    @property
    def right(self) -> bool:
        return not self.refused and bool(self.needed) and all(r.ok for r in self.needed)

    def as_json(self) -> dict[str, Any]:
        """For a report; without names of this machine's folders."""
        return {
            "format": "spark-tts-doctor", "version": 1, "right": self.right,
            "refused": self.refused, "model": self.model, "seconds": round(self.seconds, 1),
            "checks": [asdict(check) for check in self.checks],
            "device": self.device,
            "networks": [asdict(result) for result in self.networks],
            "basics": {name: asdict(result) for name, result in self.basics.items()},
            "hf32": {name: asdict(result) for name, result in self.hf32.items()},
            "trials": [asdict(trial) for trial in self.trials],
            "best": self.best.settings if self.best else None,
            "speech": [asdict(result) for result in self.speech],
        }


class Doctor:
    """Runs a diagnosis; every step on the device is in a process of its own.

    run: `process.run_steps`, or what a test puts in its place.
    """

    def __init__(self, context: Context, time_limit: float, run: Run = run_steps,
                 networks: Sequence[str] = NETWORKS, speech: Sequence[str] = SPEECH):
        self.context = context
        self.clock = Clock(time_limit)
        self.networks = networks
        self.speech = speech
        self._run_steps = run

    def diagnose(self) -> Diagnosis:
        """Check the versions and the device, then compare and time what runs on it."""
        found = Diagnosis(Path(self.context.model_dir).name, machine.check_versions())
        with tempfile.TemporaryDirectory(prefix="sparktts-doctor-") as folder:
            if self._check_device(found) and self._find_reference(found, Path(folder)):
                self._compare(found)
                if found.on_ascend:
                    self._allow_hf32(found)
                    self._try_alternatives(found)
                self._time_speech(found)
        found.seconds = self.clock.elapsed
        return found

    def save_reference(self) -> Path:
        """Compute the reference on the CPU and store it with the model; returns its path. Raises
        ModelError if that fails."""
        path = Path(self.context.model_dir) / reference.FILE_NAME
        result = self._make_reference(path, self.clock.limit)
        if not result.ok:
            raise ModelError(f"The reference outputs cannot be computed: {result.message}")
        return path

    def _check_device(self, found: Diagnosis) -> bool:
        """Whether anything can run here."""
        unsuitable = next((check for check in found.checks if check.unsuitable), None)
        if unsuitable is not None:
            found.refused = f"{unsuitable.name} {unsuitable.value}: {unsuitable.problem}."
            return False
        [result] = self._run(["device"], "device")
        if not result.ok:
            found.refused = result.message
            return False
        found.device = result.values
        self.context = replace(self.context, device_target=found.device["device_target"])
        if found.on_ascend:
            cann = found.device["machine"]["cann"]
            found.checks.append(machine.check_cann(cann, found.device["supported_cann"]))
            found.checks.append(machine.check_driver())
            found.checks.append(Check("chip", found.device["chip"]))
        return True

    def _find_reference(self, found: Diagnosis, folder: Path) -> bool:
        """Use the model's stored reference if it is valid, or let the CPU compute one."""
        model_dir = Path(self.context.model_dir)
        stored = model_dir / reference.FILE_NAME
        if stored.is_file() and reference.is_valid(stored, model_dir):
            self.context = replace(self.context, reference=str(stored))
            return True
        path = folder / reference.FILE_NAME
        self.context = replace(self.context, reference=str(path))
        result = self._make_reference(path, self.clock.limit / 2)
        if not result.ok:
            found.refused = (f"No reference outputs: {result.message}. They need more time, or can "
                             "be computed and stored beforehand.")
        return result.ok

    def _make_reference(self, path: Path, limit: float) -> Result:
        context = replace(self.context, device_target="CPU", device_id=0, dtype="float32",
                          reference=str(path))
        title = "reference outputs, on the CPU"
        [result] = self._run(["reference"], title, context, limit, limit)
        return result

    def _compare(self, found: Diagnosis) -> None:
        """All networks in float32, and what the device does in general."""
        context = replace(self.context, dtype="float32")
        steps = ["matmul", "bandwidth", *self.networks]
        results = self._run(steps, "float32", context)
        found.basics = {result.step: result for result in results[:2]}
        found.networks = results[2:]

    def _allow_hf32(self, found: Diagnosis) -> None:
        settings = {**found.device["defaults"], "allow_hf32": True}
        context = replace(self.context, dtype="float32", settings=self._file(found, settings))
        steps = ["matmul", "wave_generator"]
        for result in self._run(steps, "HF32 allowed", context):
            found.hf32[result.step] = result

    def _try_alternatives(self, found: Diagnosis) -> None:
        """The defaults, then one change at a time from the best so far."""
        defaults = found.device["defaults"]
        found.best = self._try(found, "defaults", defaults)
        for name, values in found.device["choices"].items():
            for value in values:
                settings = {**found.best.settings, name: value}
                if any(settings == trial.settings for trial in found.trials):
                    continue
                trial = self._try(found, f"{name} {value}", settings)
                if trial.milliseconds < GAIN * found.best.milliseconds:
                    found.best = trial

    def _try(self, found: Diagnosis, name: str, settings: Settings) -> Trial:
        context = replace(self.context, dtype="bfloat16", settings=self._file(found, settings))
        limit = self.clock.left - SPEECH_SHARE * self.clock.limit
        trial = Trial(name, settings, *self._run(DECODE, name, context, limit))
        found.trials.append(trial)
        return trial

    def _time_speech(self, found: Diagnosis) -> None:
        context = self.context
        if found.best is not None:
            context = replace(context, settings=self._file(found, found.best.settings))
        steps = self.speech if found.on_ascend else ("decode_1", *self.speech)
        found.speech = self._run(steps, "speech", context)

    def _run(self, steps: Sequence[str], title: str, context: Context | None = None,
             limit: float | None = None, step_limit: float = STEP_LIMIT) -> list[Result]:
        def progress(step: str) -> None:
            name = step if step == title else f"{title}: {step}"
            logger.info("%4.0f s  %s", self.clock.elapsed, name)

        return self._run_steps(context or self.context, steps, self.clock,
                               self.clock.left if limit is None else limit, progress,
                               step_limit)

    @staticmethod
    def _file(found: Diagnosis, settings: Settings) -> dict[str, Any]:
        return {"machine": found.device["machine"], "settings": settings}


def save_settings(found: Diagnosis) -> Path:
    """Write the best settings to the file that `Runtime` reads; returns its path. Raises InputError
    if there are none or if there shall be no file, OutputError if it cannot be written."""
    from sparktts_ms.ops import ascend  # imports MindSpore, which the rest need not

    if found.best is None or found.best.milliseconds == float("inf"):
        raise InputError("No settings were measured that are right on this device.",
                         code="no_settings")
    path = ascend.settings_file()
    if path is None:
        raise InputError(f"{ascend.SETTINGS_VARIABLE} is empty, so that no file is read.",
                         "Unset it, or let it name a file.")
    content = {"machine": found.device["machine"], "settings": found.best.settings}
    with atomic_write(path, overwrite=True) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
    return path
