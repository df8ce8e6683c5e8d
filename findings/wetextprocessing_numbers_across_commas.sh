#!/usr/bin/env bash
# Claim: WeTextProcessing's Chinese normalization takes the full-width comma, which ends a clause, for
# a separator of thousands, wherever digits stand on both sides of it: "code 5201, valid for 10
# minutes" is said as 520,110 minutes.
# Expected: two numbers, as in Chinese only the ASCII comma separates thousands, and before three
# digits.
# Seen with WeTextProcessing 1.2.0, pynini 2.1.6, Python 3.11, x86-64, 2026-11-28. Fails if that
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet WeTextProcessing==1.2.0 pynini==2.1.6 2>/dev/null
"$folder/env/bin/python" - 2>/dev/null <<'PYTHON'
import sys

from tn.chinese.normalizer import Normalizer

read = Normalizer().normalize
seen = {text: read(text) for text in ("验证码5201，10分钟", "验证码5201。10分钟")}
for text, spoken in seen.items():
    print(text, "->", spoken)
joined = "五十二万零一百一十"
as_claimed = joined in seen["验证码5201，10分钟"] and joined not in seen["验证码5201。10分钟"]
sys.exit(0 if as_claimed else "The behaviour has changed.")
PYTHON
