#!/usr/bin/env bash
# Claim: importing mindspore sets PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION to "python" for the whole
# process, so that every protobuf message that another library reads after it, a gRPC server's too,
# is read in Python: a repeated field of 960,000 floats takes a thousand times as long as with "upb".
# Expected: another library's choice is left alone, or at least said (it is a message at INFO).
# Seen with mindspore 2.10.0, protobuf 7.36.2, Python 3.11, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mindspore==2.10.0 numpy==1.26.4 protobuf==7.36.2 \
    tritonclient==2.73.0 grpcio==1.85.3 packaging 2>/dev/null
cat > "$folder/read.py" <<'PYTHON'
import sys
import time

if sys.argv[1] == "after":
    import mindspore  # noqa: F401
from google.protobuf.internal import api_implementation
from tritonclient.grpc.service_pb2 import ModelInferRequest

request = ModelInferRequest()
request.inputs.add().contents.fp32_contents.extend([0.5] * 960_000)
message = request.SerializeToString()
start = time.perf_counter()
ModelInferRequest.FromString(message)
milliseconds = 1000 * (time.perf_counter() - start)
print(f"{sys.argv[1]}: {api_implementation.Type()} {milliseconds:.0f}")
PYTHON
without=$("$folder/env/bin/python" "$folder/read.py" without | tail -n 1)
after=$("$folder/env/bin/python" "$folder/read.py" after | tail -n 1)
echo "$without ms, $after ms"
case "$without $after" in
    "without: upb "*" after: python "*) ;;
    *) echo "The behaviour has changed."; exit 1 ;;
esac
[ "${after##* }" -gt $((20 * (${without##* } + 1))) ] || {
    echo "The behaviour has changed."
    exit 1
}
