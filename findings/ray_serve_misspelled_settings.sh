#!/usr/bin/env bash
# Claim: a misspelled setting in the file of `serve deploy` is dropped without a word: with
# max_replica: 8 (for max_replicas) in autoscaling_config the deployment never has more than one
# replica. Unknown settings of a deployment and of the whole file are dropped, too, while one in
# backpressure_config is refused.
# Expected: an unknown setting is refused everywhere, for the file is written by hand.
# Seen with ray[serve] 2.60.0, Python 3.11, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet "ray[serve]==2.60.0" 2>/dev/null
cat > "$folder/use.py" <<'PYTHON'
import sys

import yaml
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import ServeDeploySchema

FILE = """
http_option: {port: 9000}
applications:
  - name: app
    import_path: module:app
    deployments:
      - name: Model
        max_ongoing_request: 16
        autoscaling_config: {min_replicas: 1, max_replica: 8}
"""

content = yaml.safe_load(FILE)
deployment = ServeDeploySchema.model_validate(content).applications[0].deployments[0]
scaling = AutoscalingConfig.model_validate(deployment.autoscaling_config)
print(f"max_replica: 8 is accepted; max_replicas is {scaling.max_replicas}")

content["applications"][0]["deployments"][0]["backpressure_config"] = {"status": 429}
try:
    ServeDeploySchema.model_validate(content)
    refused = False
except ValueError:
    refused = True
print(f"status: 429 in backpressure_config is {'refused' if refused else 'accepted'}")
sys.exit(not (scaling.max_replicas == 1 and refused))
PYTHON
RAY_USAGE_STATS_ENABLED=0 "$folder/env/bin/python" "$folder/use.py" || {
    echo "The behaviour has changed."
    exit 1
}
