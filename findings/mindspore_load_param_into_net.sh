#!/usr/bin/env bash
# Claim: mindspore.load_param_into_net does not protect against a wrong checkpoint.
#   1. With strict_load=True and three of four parameters missing it raises nothing.
#   2. By default it also loads parameters whose names carry a common prefix ("module.a.weight" into
#      "a.weight"), and still lists all of them as not loaded in its second result.
# Expected by a reader of "strict": an error, as PyTorch's load_state_dict(strict=True) raises.
# Seen with mindspore 2.10.0, numpy 1.26.4, Python 3.11, CPU, 2026-11-27. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mindspore==2.10.0 numpy==1.26.4 2>/dev/null
GLOG_v=4 "$folder/env/bin/python" - <<'PYTHON'
import sys

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor, nn


class Net(nn.Cell):
    def __init__(self):
        super().__init__()
        self.a = nn.Dense(2, 2)
        self.b = nn.Dense(2, 2)


def sevens(*shape):
    return Parameter(Tensor(np.full(shape, 7, np.float32)))


missing, _ = ms.load_param_into_net(Net(), {"a.weight": sevens(2, 2)}, strict_load=True)
print("strict_load=True, one of four given: no error; not loaded:", missing)

net = Net()
prefixed = {f"module.{p.name}": sevens(*p.shape) for p in net.get_parameters()}
missing, unused = ms.load_param_into_net(net, prefixed)
loaded = bool((net.a.weight.asnumpy() == 7).all() and (net.b.bias.asnumpy() == 7).all())
print("default, every name behind 'module.': loaded:", loaded, "; not loaded:", missing)
print("and of the checkpoint reported as not loaded:", unused)

as_claimed = len(missing) == 0 and loaded and sorted(unused) == sorted(prefixed)
sys.exit(0 if as_claimed else "The behaviour has changed.")
PYTHON
