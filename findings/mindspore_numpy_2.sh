#!/usr/bin/env bash
# Claim: mindspore's metadata accepts every NumPy from 1.25 on, so pip installs NumPy 2 beside it and
# `pip check` finds no conflict; with NumPy 2.2 `import mindspore` works, but a reshape of a tensor
# raises SystemError (returned a result with an exception set).
# Expected: a pinned upper bound, or an error at import that names NumPy.
# Seen with mindspore 2.10.0, numpy 2.2.6 and 1.26.4, Python 3.11, CPU, 2026-11-28. Fails if that
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
cat > "$folder/use.py" <<'PYTHON'
import mindspore as ms
import numpy as np

try:
    print(ms.Tensor(np.ones(4, np.float32)).reshape(2, 2).shape)
except SystemError as error:
    print(f"SystemError: {error}")
PYTHON
for version in 2.2.6 1.26.4; do
    "$folder/env/bin/pip" install --quiet mindspore==2.10.0 "numpy==$version" 2>/dev/null
    echo "numpy $version: $("$folder/env/bin/pip" check 2>/dev/null)"
    GLOG_v=4 "$folder/env/bin/python" "$folder/use.py" 2>/dev/null | tee "$folder/$version"
done
grep -q "^SystemError: .*returned a result with an exception set" "$folder/2.2.6" \
    && grep -q "^(2, 2)" "$folder/1.26.4" || {
    echo "The behaviour has changed."
    exit 1
}
