"""The commands. Before any of them: one line for libraries that are missing or do not work."""

import sys

try:
    import sparktts_ms

    sparktts_ms.check_environment()
except ImportError as problem:
    hint = "" if hasattr(problem, "hint") else ". pip install -r requirements.txt"
    print(f"error: {problem}{hint}", file=sys.stderr)
    sys.exit(2)
