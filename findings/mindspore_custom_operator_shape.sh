#!/usr/bin/env bash
# Claim: two mindspore.ops.Custom operators made from the same function of a library, with different
# out_shape functions, share one inferred shape: called with inputs of equal shape, the second
# operator's output has the shape that the first one's out_shape gave. An attribute that
# differs between them (add_prim_attr) keeps them apart.
# Expected: each operator's own out_shape decides.
# Seen with mindspore 2.10.0, numpy 1.26.4, Python 3.11, CPU, PyNative mode, g++ 12, 2026-11-27.
# Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mindspore==2.10.0 numpy==1.26.4 2>/dev/null
cat > "$folder/zeros.cc" <<'CPP'
#include <cstdint>
#include <cstring>
extern "C" int zeros(int count, void **data, int *ranks, int64_t **shapes, const char **types,
                     void *stream, void *extra) {
  int64_t size = sizeof(float);
  for (int axis = 0; axis < ranks[count - 1]; ++axis) size *= shapes[count - 1][axis];
  std::memset(data[count - 1], 0, size);
  return 0;
}
CPP
g++ -shared -fPIC -o "$folder/zeros.so" "$folder/zeros.cc"
GLOG_v=4 "$folder/env/bin/python" - "$folder/zeros.so" <<'PYTHON'
import sys

import mindspore as ms
import numpy as np
from mindspore import Tensor, ops

ms.set_context(mode=ms.PYNATIVE_MODE)
x = Tensor(np.ones((2, 3), np.float32))


def operator(width, attribute=None):
    made = ops.Custom(f"{sys.argv[1]}:zeros", lambda shape: [shape[0], width], lambda t: t, "aot")
    if attribute is not None:
        made.add_prim_attr("instance", attribute)
    return made


shapes = [tuple(operator(width)(x).shape) for width in (5, 7)]
print("out_shape says (2, 5), then (2, 7); seen:", shapes)
apart = [tuple(operator(width, width)(x).shape) for width in (5, 7)]
print("with an attribute that differs:", apart)
as_claimed = shapes == [(2, 5), (2, 5)] and apart == [(2, 5), (2, 7)]
sys.exit(0 if as_claimed else "The behaviour has changed.")
PYTHON
