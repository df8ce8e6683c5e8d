"""Whether our pins have wheels for aarch64, as Ascend servers are: python -m tools.aarch64_wheels

Asks PyPI through pip, for each line of the requirements files and each Python, for a wheel for
Linux on aarch64 (glibc 2.28, of openEuler 20.03 and newer). Prints a table; the exit code is 1 if a
wheel is missing that requirements.txt needs. Nothing is installed. Takes minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12")
FILES = ("requirements.txt", "requirements-web.txt", "requirements-dev.txt")
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{n}_aarch64" for n in range(17, 29)))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.aarch64_wheels", description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", default=FILES, help=f"by default {' '.join(FILES)}")
    args = parser.parse_args()
    missing = False
    for name in args.files:
        print(f"\n{name}\n{'':34}" + "".join(f"{python:12}" for python in PYTHONS))
        for requirement in requirements((ROOT / name).read_text(encoding="utf-8")):
            platforms = [wheel_platform(requirement, python) for python in PYTHONS]
            print(f"{requirement:34}" + "".join(f"{platform:12}" for platform in platforms),
                  flush=True)
            missing |= "-" in platforms and name == "requirements.txt"
    sys.exit(missing)


def requirements(text: str) -> list[str]:
    """The requirements of a file, without comments and references to other files."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def wheel_platform(requirement: str, python: str) -> str:
    """What the wheel says it is for: "aarch64", or "any"; "-" if there is none."""
    platforms = [option for name in PLATFORMS for option in ("--platform", name)]
    # fast-deps: MindSpore's wheel is 0.4 GB, and only its metadata are read.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps",
               "--ignore-installed", "--use-feature", "fast-deps", "--only-binary", ":all:",
               "--python-version", python, *platforms, "--report", "-"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run([*command, "--target", folder, requirement],
                                 capture_output=True, text=True)
    if process.returncode:
        if "No matching distribution" in process.stderr:
            return "-"
        raise SystemExit(process.stderr)
    url = json.loads(process.stdout)["install"][0]["download_info"]["url"]
    platform = url.removesuffix(".whl").rsplit("-", 1)[-1]
    return "aarch64" if "aarch64" in platform else platform


if __name__ == "__main__":
    main()
