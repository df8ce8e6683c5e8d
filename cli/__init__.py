"""The commands. Before any of them: one line for libraries that are missing or do not work."""

import signal
import sys

from cli.signals import exit_now

if sys.argv[:1] == ["-m"]:      # Python imports the command that it will run; see run_command
    signal.signal(signal.SIGINT, exit_now)
    signal.signal(signal.SIGTERM, exit_now)

try:
    import sparktts_ms

    sparktts_ms.check_environment()
except ImportError as problem:
    hint = "" if hasattr(problem, "hint") else ". pip install -r requirements.txt"
    print(f"error: {problem}{hint}", file=sys.stderr)
    sys.exit(2)
