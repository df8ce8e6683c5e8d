"""Versions of what is installed, and which of them do not fit together."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

OLDEST_MINDSPORE = "2.7.1"
NEWEST_MINDSPORE = "2.10"               # that the tests ran with
DRIVER_FILE = Path("/usr/local/Ascend/driver/version.info")


@dataclass(frozen=True)
class Check:
    """One version. problem: empty, or what does not fit; unsuitable: nothing can run with it."""

    name: str
    value: str
    problem: str = ""
    unsuitable: bool = False


def check_versions() -> list[Check]:
    """The versions that can be known before a device is used."""
    mindspore = installed("mindspore")
    return [
        Check("Python", f"{platform.python_version()}, {platform.machine()}, "
                        f"{os.cpu_count()} cores"),
        check_mindspore(mindspore),
        check_numpy(installed("numpy"), mindspore_requirements()),
    ]


def check_mindspore(version: str) -> Check:
    """MindSpore's version against those that the tests ran with."""
    if not version:
        return Check("MindSpore", "", "not installed: `pip install -r requirements.txt`", True)
    try:
        number = Version(version)
    except InvalidVersion:
        return Check("MindSpore", version, "not a version that is known here")
    if number < Version(OLDEST_MINDSPORE):
        return Check("MindSpore", version, f"{OLDEST_MINDSPORE} or newer is needed, because "
                     "operators are missing", True)
    if number.release[:2] > Version(NEWEST_MINDSPORE).release:
        return Check("MindSpore", version, f"newer than {NEWEST_MINDSPORE}, the newest that was "
                     "tried")
    return Check("MindSpore", version)


def check_numpy(version: str, requirements: list[str]) -> Check:
    """NumPy's version against what MindSpore's package asks for."""
    for text in requirements:
        requirement = Requirement(text)
        if requirement.name == "numpy" and not requirement.specifier.contains(version):
            return Check("NumPy", version, f"MindSpore needs {requirement.specifier}")
    return Check("NumPy", version)


def check_cann(version: str, supported: list[str]) -> Check:
    """CANN's version against those that MindSpore's package lists ("9.1")."""
    if not version:
        return Check("CANN", "", "unknown: ASCEND_HOME_PATH names no installed CANN")
    if supported and ".".join(version.split(".")[:2]) not in supported:
        return Check("CANN", version, f"MindSpore is made for {', '.join(supported)}")
    return Check("CANN", version)


def check_driver() -> Check:
    """The version of the device's driver."""
    version = driver_version()
    return Check("driver", version, "" if version else "unknown: npu-smi does not say")


def driver_version() -> str:
    """By the driver's own file or npu-smi; empty if neither is there."""
    if DRIVER_FILE.is_file():
        text = DRIVER_FILE.read_text(encoding="utf-8", errors="replace")
        if match := re.search(r"^version\s*=\s*(\S+)", text, re.MULTILINE | re.IGNORECASE):
            return match[1]
    program = shutil.which("npu-smi")
    if program is None:
        return ""
    try:
        output = subprocess.run([program, "info"], capture_output=True, text=True, timeout=20,
                                check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(r"Version:\s*(\S+)", output)
    return match[1] if match else ""


def installed(package: str) -> str:
    """The version of an installed package; empty without it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def mindspore_requirements() -> list[str]:
    try:
        return metadata.requires("mindspore") or []
    except metadata.PackageNotFoundError:
        return []
