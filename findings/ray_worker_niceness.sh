#!/usr/bin/env bash
# Claim: Ray runs tasks, actors and Serve's replicas at niceness 15: on a machine with other work a
# model server behind Ray Serve gets the time that the others leave. RAY_worker_niceness=0, set where
# Ray starts, prevents it.
# Expected: an actor runs as the program would that starts it.
# Seen with ray 2.60.0, Python 3.11, Linux, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet ray==2.60.0 2>/dev/null
cat > "$folder/use.py" <<'PYTHON'
import os
import sys

import ray


@ray.remote
class Model:
    def niceness(self):
        return os.getpriority(os.PRIO_PROCESS, 0)


ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
         logging_level="ERROR", _temp_dir=sys.argv[1])
print(os.getpriority(os.PRIO_PROCESS, 0), ray.get(Model.remote().niceness.remote()))
PYTHON
export RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0
default=$("$folder/env/bin/python" "$folder/use.py" "$folder/a" 2>/dev/null)
asked=$(RAY_worker_niceness=0 "$folder/env/bin/python" "$folder/use.py" "$folder/b" 2>/dev/null)
echo "niceness of the program and of its actor: $default; with RAY_worker_niceness=0: $asked"
[ "${default#* }" -eq 15 ] && [ "${asked#* }" -eq "${asked% *}" ] || {
    echo "The behaviour has changed."
    exit 1
}
