"""Run a command on MindSpore's Ascend backend, with the stand-in for CANN:

    python -m tests.ascend python -m cli.inference --device Ascend ...
    python -m tests.ascend pytest -p tests.ascend.plugin tests/parity

LD_LIBRARY_PATH has to be set before a process starts; that is all this is for. Where the stand-in
cannot be built the command is not run, and one line says why.
"""

import os
import shutil
import sys
from pathlib import Path

from tests.ascend.standin.build import Unavailable, build, environment


def main(command: list[str]) -> None:
    if not command:
        raise SystemExit("usage: python -m tests.ascend COMMAND...")
    try:
        variables = environment(build())
    except Unavailable as error:
        print(f"skipped: {error}", flush=True)
        return
    bin_folder = str(Path(sys.executable).parent)
    program = shutil.which(command[0], path=bin_folder) or shutil.which(command[0]) or command[0]
    os.execvpe(program, [program, *command[1:]], variables)


main(sys.argv[1:])
