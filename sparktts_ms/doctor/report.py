"""A diagnosis as one screen of text: at most 100 columns, about 40 lines.

The last line is the conclusion, of any length; other messages are cut off, and whole in the JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sparktts_ms.doctor.diagnosis import Diagnosis, Trial
from sparktts_ms.doctor.process import Result

COLUMNS = 100
NAME_WIDTH = 32
STATUS_WIDTH = 8
NOT_HERE = "not on this device"


def render(found: Diagnosis) -> str:
    """The whole report."""
    lines = [*header(found), *problems(found)]
    if found.networks:
        lines += ["", *network_table(found), "", *hf32_table(found), "", *decode_table(found)]
        lines += ["", *speech_table(found), *machine_lines(found)]
    screen = [line[:COLUMNS].rstrip() for line in lines]
    return "\n".join([*screen, "", conclusion(found)])


def header(found: Diagnosis) -> list[str]:
    where = found.device.get("device_target", "no device")
    if found.device.get("chip"):
        where = (f"{found.device['chip']}, {gigabytes(found.device['total_bytes'])} "
                 f"({gigabytes(found.device['free_bytes'])} free)")
    versions = [f"{check.name} {check.value or '?'}" for check in found.checks
                if check.name != "chip"]
    return [f"{found.model} on {where}; {found.seconds:.0f} s", " · ".join(versions)]


def problems(found: Diagnosis) -> list[str]:
    lines = []
    for check in found.checks:
        if check.problem and not check.unsuitable:      # that is the conclusion
            lines.append(f"! {check.name}: {check.problem}")
    if found.device.get("device_target") == "CPU":
        lines.append("! This is the CPU: rows of an Ascend device are left out.")
    return lines


def network_table(found: Diagnosis) -> list[str]:
    lines = [heading("float32 networks", "ids", "error", "ms")]
    for result in found.networks:
        lines.append(result_row(result.step, result, "ms"))
    return lines


def hf32_table(found: Diagnosis) -> list[str]:
    title = "HF32 (float32 in 10 bits)"
    if not found.hf32:
        return [f"{title:<{NAME_WIDTH}}{NOT_HERE}"]
    lines = [heading(title, "", "error", "ms")]
    usual = {**found.basics, **{result.step: result for result in found.networks}}
    for step, allowed in found.hf32.items():
        if step in usual:
            lines.append(result_row(f"{step}, not allowed", usual[step], "ms", judged=False))
        lines.append(result_row(f"{step}, allowed", allowed, "ms", judged=False))
    return lines


def decode_table(found: Diagnosis) -> list[str]:
    title = "bfloat16 decode step"
    if not found.trials:
        return [f"{title:<{NAME_WIDTH}}{NOT_HERE}"]
    lines = [heading(title, "ids", "error", "ms", "host ms", "device ms")]
    for trial in found.trials:
        mark = " *" if trial is found.best and trial.network.ok else ""
        lines.append(trial_row(trial, mark))
    if found.best is not None and found.best.network.ok:
        settings = ", ".join(f"{name} {value}" for name, value in found.best.settings.items())
        lines.append(f"* {settings}")
    return lines


def trial_row(trial: Trial, mark: str) -> str:
    if trial.network.status in ("failed", "skipped"):
        return result_row(trial.name, trial.network)
    if not trial.decode.ok:
        return result_row(trial.name, trial.decode)
    values = trial.decode.values
    return row(trial.name + mark, trial.network.status, ids(trial.network), error(trial.network),
               *(number(values.get(name)) for name in ("ms", "host_ms", "device_ms")))


def speech_table(found: Diagnosis) -> list[str]:
    lines = [heading("speech: sequences at a time", "RTF", "first audio", "last", "(ms)")]
    for result in found.speech:
        if not result.step.startswith("speech_"):
            continue
        name = result.step.removeprefix("speech_")
        if result.ok:
            values = result.values
            lines.append(row(name, "", f"{values['rtf']:.3f}", number(values["first_audio_ms"]),
                             number(values["last_first_audio_ms"])))
        else:
            lines.append(result_row(name, result))
    return lines


def machine_lines(found: Diagnosis) -> list[str]:
    lines = []
    for result in found.speech:
        values = result.values
        if result.step.startswith("speech_"):
            continue
        if not result.ok:
            lines.append(result_row(result.step, result))
        elif result.step == "prefill":
            lines.append(f"prefill of {values['positions']} positions: {number(values['ms'])} ms")
        elif result.step.startswith("decode_"):
            count = result.step.removeprefix("decode_")
            lines.append(f"decode step of {count}: {number(values['ms'])} ms, "
                         f"host {number(values['host_ms'])} ms, "
                         f"device {number(values['device_ms'])} ms")
    used = [result.values["used_bytes"] for result in found.speech
            if result.values.get("used_bytes")]
    if used:
        lines.append(f"memory of the device: at most {gigabytes(max(used))} used")
    bandwidth = found.basics.get("bandwidth")
    if bandwidth is not None and bandwidth.ok:
        text = f"memory bandwidth: {number(bandwidth.values['gb_per_s'])} GB/s"
        if bandwidth.values["to_device_gb_per_s"] is not None:
            text += f", host to device {number(bandwidth.values['to_device_gb_per_s'])} GB/s"
        lines.append(text)
    elif bandwidth is not None:
        lines.append(result_row("bandwidth", bandwidth))
    return lines


def conclusion(found: Diagnosis) -> str:
    if found.refused:
        return f"Not suitable: {found.refused}"
    if found.right:
        return "Everything that is needed is right."
    if not found.networks:
        return "Nothing was compared."
    wrong = [result.step for result in found.networks if not result.ok]
    if found.trials and not found.trials[0].network.ok:
        wrong.append("defaults in bfloat16")
    text = f"Not right: {', '.join(wrong)}."
    if found.best is not None and found.best is not found.trials[0]:
        text += " Settings that are right were found (*)."
    return text


def result_row(name: str, result: Result, *times: str, judged: bool = True) -> str:
    if result.status in ("failed", "skipped") or result.message:
        return f"  {name:<{NAME_WIDTH - 2}}{result.status:<{STATUS_WIDTH + 1}}{result.message}"
    status = result.status if judged else ""
    return row(name, status, ids(result), error(result),
               *(number(result.values.get(time)) for time in times))


def heading(title: str, *cells: str) -> str:
    return f"{title:<{NAME_WIDTH + STATUS_WIDTH}}" + "".join(f"{cell:>12}" for cell in cells)


def row(name: str, status: str, *cells: str) -> str:
    return heading(f"  {name:<{NAME_WIDTH - 2}}{status}", *cells)


def ids(result: Result) -> str:
    counts: Iterable[Any] | None = result.values.get("ids")
    return "/".join(map(str, counts)) if counts else ""


def error(result: Result) -> str:
    value = result.values.get("error")
    return "" if value is None else f"{value:.1e}"


def number(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def gigabytes(size: float | None) -> str:
    return "?" if size is None else f"{size / 2**30:.1f} GB"
