#!/usr/bin/env bash
# Claim: ray.init() replaces the program's own handler of SIGTERM without a word: a program that
# closes its files when it is stopped, as in a container, no longer does. Its handler of SIGINT stays.
# Expected: a library leaves a handler that the program has set, or calls it, too.
# Seen with ray 2.60.0, Python 3.11, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet ray==2.60.0 2>/dev/null
cat > "$folder/use.py" <<'PYTHON'
import signal
import sys

import ray


def stop(number, frame):
    sys.exit(0)


for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, stop)
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
         logging_level="ERROR", _temp_dir=sys.argv[1])
kept = {name: signal.getsignal(getattr(signal, name)) is stop for name in ("SIGTERM", "SIGINT")}
print(f"after ray.init() the program's own handler is still there: {kept}")
ray.shutdown()
sys.exit(kept != {"SIGTERM": False, "SIGINT": True})
PYTHON
RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 "$folder/env/bin/python" "$folder/use.py" \
    "$folder/r" 2>"$folder/log" || {
    tail -n 3 "$folder/log"
    echo "The behaviour has changed."
    exit 1
}
