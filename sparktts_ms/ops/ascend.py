"""Which operators run on Ascend where public documents leave a choice.

`python -m cli.doctor` measures the alternatives on a device and can store the fastest that is
right; `Runtime` reads that file.
"""

import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms

from sparktts_ms.errors import DeviceError

logger = logging.getLogger("sparktts_ms")

CHOICES = {
    "attention": ("flash", "plain"),
    "cache_update": ("index_put", "index_copy"),
    "jit_level": ("O0", "O1"),
    "capture": (False, True),
}
SETTINGS_VARIABLE = "SPARKTTS_ASCEND_SETTINGS"      # names another file, or if empty, none
# Names of chips, by aclrtGetSocName, that are refused, and why.
UNSUITABLE = (
    (r"Ascend310P", "it has no bfloat16, and float16 overflows in this model"),
    (r"Ascend(950|910_95)", "its CANN refuses the fused attention that this package calls"),
    (r"Ascend910([AB]|P.*)?$", "MindSpore compiles no graphs for the first Ascend 910"),
)
VERSION_LINE = re.compile(r"^version\s*=\s*\[?([^:\s\]]+)", re.MULTILINE | re.IGNORECASE)
SUITABLE = r"Ascend910(B\d|_93)"                    # Atlas A2, Atlas A3


@dataclass(frozen=True)
class AscendSettings:
    """Choices of operators. Raises ValueError for a value that is not among CHOICES."""

    attention: str = "flash"            # flash_attention_score, or products and softmax
    cache_update: str = "index_put"     # of the KV cache, by blocks; index_copy: by rows
    jit_level: str = "O0"               # of compiled graphs: O1 fuses element-wise operators
    capture: bool = False               # launch a decode step as one captured graph
    allow_hf32: bool = False            # float32 products in 10 bits: faster, and less exact

    @property
    def by_rows(self) -> bool:
        """Whether the KV cache is held by rows, not by blocks."""
        return self.capture or self.cache_update == "index_copy"

    def __post_init__(self):
        for name, values in CHOICES.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {values}.")
        if not isinstance(self.allow_hf32, bool):
            raise ValueError(f"allow_hf32 is {self.allow_hf32!r}; it must be true or false.")


_settings = AscendSettings()


def settings() -> AscendSettings:
    """The choices in force, of the last `Runtime`."""
    return _settings


def apply(new: AscendSettings) -> None:
    """Put choices in force for networks that are built from now on."""
    global _settings
    _settings = new


def on_ascend() -> bool:
    """Whether networks that are built now run on Ascend."""
    return ms.get_context("device_target") == "Ascend"


def check_chip(name: str) -> None:
    """Raise DeviceError for a chip on which this package cannot run; `name` is aclrtGetSocName's,
    such as Ascend910B2."""
    if re.match(SUITABLE, name):
        return
    reason = "it is not known to compute what this package needs"
    for pattern, why in UNSUITABLE:
        if re.match(pattern, name):
            reason = why
    raise DeviceError(f"The chip {name} is not supported: {reason}.",
                      "Use an Atlas A2 (Ascend910B1 to B4) or A3 (Ascend910_93), or the CPU.",
                      code="unsuitable_chip")


def machine(chip: str) -> dict[str, str]:
    """What measured settings are valid for: chip, MindSpore and CANN."""
    return {"chip": chip, "mindspore": ms.__version__, "cann": cann_version()}


def cann_version() -> str:
    """The version of CANN as its files under ASCEND_HOME_PATH give it; empty without one."""
    home = os.environ.get("ASCEND_HOME_PATH", "")
    if not home:
        return ""
    files = [Path(home) / "compiler" / "version.info",
             *sorted(Path(home).glob("*-linux/ascend_toolkit_install.info")),
             Path(home) / "opp" / "version.info", Path(home) / "version.info"]
    for path in files:
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if match := VERSION_LINE.search(text):
                return match[1]
    return ""


def settings_file() -> Path | None:
    """The file of settings that `Runtime` reads, there or not; None if there shall be none."""
    name = os.environ.get(SETTINGS_VARIABLE)
    if name is None:
        return Path.home() / ".config" / "sparktts_ms" / "ascend.json"
    return Path(name) if name else None


def read_settings(chip: str) -> AscendSettings:
    """The settings in `settings_file`; defaults if there is none, and with a warning if it was
    measured on another chip, MindSpore or CANN. Raises DeviceError for a damaged file."""
    path = settings_file()
    if path is None or not path.is_file():
        return AscendSettings()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stored = AscendSettings(**content["settings"])
        measured_on = {name: str(content["machine"][name]) for name in machine(chip)}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise DeviceError(f"The Ascend settings {{subject}} cannot be used: {reason}",
                          "Remove the file, or let `python -m cli.doctor` write it again.",
                          subject=path, code="ascend_settings") from None
    differences = []
    for name, value in machine(chip).items():
        if measured_on[name] != value:
            differences.append(f"{name} {measured_on[name] or 'unknown'}")
    if differences:
        logger.warning("%s was measured with %s and is ignored.", path, ", ".join(differences))
        return AscendSettings()
    return stored
