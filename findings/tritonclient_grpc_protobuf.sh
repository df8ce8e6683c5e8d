#!/usr/bin/env bash
# Claim: the extra tritonclient[grpc] asks for protobuf below 7, mindspore for 7.34.1 or newer, so
# that pip cannot install them together; yet the modules behind the extra need no protobuf below 7:
# tritonclient without the extra, with grpcio and protobuf 7 beside it, imports its gRPC client and
# service, and an inference request makes the round trip through a server of that service.
# Expected: an upper bound only where something breaks.
# Seen with tritonclient 2.73.0, mindspore 2.10.0, grpcio 1.85.3, protobuf 7.36.2, Python 3.11,
# 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
pip=("$folder/env/bin/pip" --disable-pip-version-check)
if "${pip[@]}" install --dry-run mindspore==2.10.0 "tritonclient[grpc]==2.73.0" \
        > "$folder/both" 2>&1; then
    echo "The behaviour has changed: both can be installed."
    exit 1
fi
grep -E "depends on protobuf|ResolutionImpossible|conflicting" "$folder/both" | head -n 6
"${pip[@]}" install --quiet tritonclient==2.73.0 grpcio==1.85.3 protobuf==7.36.2 packaging \
    2>/dev/null
cat > "$folder/use.py" <<'PYTHON'
from concurrent.futures import ThreadPoolExecutor

import google.protobuf
import grpc
import numpy as np
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc


class Doubling(service_pb2_grpc.GRPCInferenceServiceServicer):
    def ModelInfer(self, request, context):
        values = 2 * np.frombuffer(request.raw_input_contents[0], np.float32)
        output = service_pb2.ModelInferResponse.InferOutputTensor(
            name="doubled", datatype="FP32", shape=[len(values)])
        return service_pb2.ModelInferResponse(
            model_name=request.model_name, outputs=[output], raw_output_contents=[values.tobytes()])


server = grpc.server(ThreadPoolExecutor())
service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Doubling(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
values = triton.InferInput("values", [2], "FP32")
values.set_data_from_numpy(np.array([1, 3], np.float32))
result = triton.InferenceServerClient(f"127.0.0.1:{port}").infer("doubling", [values])
print(f"protobuf {google.protobuf.__version__}: {result.as_numpy('doubled').tolist()}")
server.stop(None)
PYTHON
"$folder/env/bin/python" "$folder/use.py" | tee "$folder/result"
grep -q "^protobuf 7.36.2: \[2.0, 6.0\]$" "$folder/result" || {
    echo "The behaviour has changed."
    exit 1
}
