"""What a process did on the stand-in: reads the file that STANDIN_LOG names."""

import ctypes
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tally:
    """Launches, copies and waits of a section of the log."""

    operators: Counter[str] = field(default_factory=Counter)    # launched by the host, by name
    captured: Counter[str] = field(default_factory=Counter)     # those put into a graph instead
    copies: Counter[str] = field(default_factory=Counter)       # by "device-device" and the like
    copied_bytes: Counter[str] = field(default_factory=Counter)
    syncs: int = 0              # the host waits for a stream, an event or the device
    lines: list[str] = field(default_factory=list)

    @property
    def launches(self) -> int:
        return self.operators.total()

    @property
    def aclop(self) -> int:
        """Launches by the older interface, compiled by the device for each set of shapes."""
        return sum(count for name, count in self.operators.items() if name.startswith("aclop:"))

    @property
    def h2d(self) -> int:
        return self.copies["host-device"]

    @property
    def d2h(self) -> int:
        return self.copies["device-host"]

    @property
    def d2d_bytes(self) -> int:
        """Bytes that copies and operators which only copy move within the device."""
        return self.copied_bytes["device-device"]

    def calls(self, name: str) -> list[str]:
        """The arguments of each launch of an operator."""
        return [line.split(" ", 2)[2] for line in self.lines
                if line.split(" ", 2)[:2] == ["launch", name]]


def tally(lines: Iterable[str]) -> Tally:
    result = Tally()
    for line in lines:
        line = line.rstrip("\n")
        result.lines.append(line)
        words = line.split(" ")
        if words[0] == "launch":
            result.operators[words[1]] += 1
        elif line.startswith("captured launch"):
            result.captured[words[2]] += 1
        elif words[0] == "copy":
            result.copies[words[1]] += 1
            result.copied_bytes[words[1]] += int(words[2])
        elif words[0] == "sync":
            result.syncs += 1
    return result


def sections(path: Path) -> dict[str, Tally]:
    """A tally for each section, which a line "# NAME" begins; the last one of each name."""
    name = ""
    lines: dict[str, list[str]] = {name: []}
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("# "):
            name = line[2:]
            lines[name] = []
        else:
            lines[name].append(line)
    return {name: tally(found) for name, found in lines.items()}


def on_standin() -> bool:
    """Whether this process was started by `python -m tests.ascend`."""
    return "STANDIN_COMPUTE" in os.environ


@contextmanager
def variables(**values: str | None) -> Iterator[None]:
    """Set STANDIN_LOG, STANDIN_COMPUTE or STANDIN_SOC in a running process; None deletes one."""
    reload = ctypes.CDLL("libascendcl.so").standin_reload
    before = {name: os.environ.get(name) for name in values}

    def put(settings: dict[str, str | None]) -> None:
        for name, value in settings.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        reload()

    put(values)
    try:
        yield
    finally:
        put(before)


@contextmanager
def recorded(folder: Path) -> Iterator[Tally]:
    """What happens within the `with` statement; the tally is complete when it ends."""
    import mindspore as ms

    path = folder / "recorded.log"
    path.unlink(missing_ok=True)
    result = Tally()
    ms.runtime.synchronize()            # what was started before
    with variables(STANDIN_LOG=str(path)):
        yield result
        before = len(path.read_text(errors="replace").splitlines()) if path.exists() else 0
        ms.runtime.synchronize()        # PyNative mode may not have launched everything yet
    lines = path.read_text(errors="replace").splitlines()
    waits = [line for line in lines[before:] if line.startswith("sync")]
    vars(result).update(vars(tally(lines)))
    result.syncs -= len(waits)          # those are ours
