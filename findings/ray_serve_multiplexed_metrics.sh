#!/usr/bin/env bash
# Claim: serve.multiplexed exports a series of metrics for every model id that it has ever loaded:
# with at most 2 models a replica and 30 ids, 30 series of
# ray_serve_registered_multiplexed_model_id are there, 28 of them 0. A server whose ids come from
# its users (voices, LoRA adapters) lets Prometheus grow without end.
# Expected: the series of a model goes when the model does.
# Seen with ray[serve] 2.60.0, Python 3.11, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "ray[serve]==2.60.0" 2>/dev/null
cat > "$folder/use.py" <<'PYTHON'
import socket
import sys
import time
import urllib.request

import ray
from ray import serve

SERIES = "ray_serve_registered_multiplexed_model_id{"


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Models:
    @serve.multiplexed(max_num_models_per_replica=2)
    async def load(self, model_id):
        return object()

    async def __call__(self):
        await self.load(serve.get_multiplexed_model_id())


def exported():
    port = ray.nodes()[0]["MetricsExportPort"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        lines = response.read().decode().splitlines()
    return [float(line.split()[-1]) for line in lines if line.startswith(SERIES)]


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
         logging_level="ERROR", _temp_dir=sys.argv[1])
serve.start(http_options={"port": port})
handle = serve.run(Models.bind())
for number in range(30):
    handle.options(multiplexed_model_id=f"model-{number}").remote().result()
for _ in range(20):
    time.sleep(3)
    values = exported()
    if len(values) >= 30:
        break
time.sleep(10)
values = exported()
print(f"{len(values)} series, {values.count(0.0)} of them 0")
serve.shutdown()
sys.exit(not (len(values) >= 28 and values.count(0.0) >= 26))
PYTHON
RAY_AUTH_MODE=disabled RAY_USAGE_STATS_ENABLED=0 "$folder/env/bin/python" "$folder/use.py" \
    "$folder/r" 2>"$folder/log" | grep "series" || {
    tail -n 3 "$folder/log"
    echo "The behaviour has changed."
    exit 1
}
