#!/usr/bin/env bash
# Claim: a function that is compiled with mindspore.jit(..., infer_boost="on") cannot be called: the
# call raises AttributeError ('NoneType' object has no attribute 'phase'). The option, which the
# documentation of mindspore.jit gives for functions and Cells alike, works for a Cell only.
# Expected: the compiled function runs, or jit says that the option needs a Cell.
# Seen with mindspore 2.10.0, numpy 1.26.4, Python 3.11, CPU, 2026-11-27. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mindspore==2.10.0 numpy==1.26.4 2>/dev/null
cat > "$folder/compiled.py" <<'PYTHON'
import sys

import mindspore as ms
import numpy as np
from mindspore import Tensor, nn


def double(x):
    return x * 2


class Double(nn.Cell):
    def construct(self, x):
        return x * 2


def outcome(callable_, boost):
    compiled = ms.jit(callable_, backend="ms_backend", infer_boost=boost)
    try:
        return compiled(Tensor(np.ones(3, np.float32))).asnumpy().tolist()
    except AttributeError as error:
        return f"AttributeError: {error}"


doubled = [2.0, 2.0, 2.0]
seen = {("function", "off"): outcome(double, "off"), ("function", "on"): outcome(double, "on"),
        ("Cell", "on"): outcome(Double(), "on")}
for (kind, boost), result in seen.items():
    print(f"{kind}, infer_boost={boost}: {result}")
as_claimed = (seen["function", "off"] == doubled and seen["Cell", "on"] == doubled
              and "no attribute 'phase'" in str(seen["function", "on"]))
sys.exit(0 if as_claimed else "The behaviour has changed.")
PYTHON
GLOG_v=4 "$folder/env/bin/python" "$folder/compiled.py"
