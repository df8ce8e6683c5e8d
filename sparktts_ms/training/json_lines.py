"""Files in JSON Lines that survive a kill: a line that was cut short is skipped."""

import json
from pathlib import Path


def read_json_lines(path: Path) -> list[dict]:
    """The objects in `path`; none if there is no such file."""
    entries = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return [entry for entry in entries if isinstance(entry, dict)]


def append_json_line(path: Path, entry: dict) -> None:
    """Append `entry`, on a line of its own even if the last one was cut short."""
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(entry).encode() + b"\n")
