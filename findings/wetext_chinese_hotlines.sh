#!/usr/bin/env bash
# Claim: wetext's Chinese text normalization reads seven of the numbers 10 to 999 as telephone hotlines,
# digit by digit with yao, wherever no unit follows, also where the sentence says that they are an
# amount ("altogether 110"): 110, 111, 112, 114, 119, 120 and 122. Their neighbours, and the same
# numbers with a measure word, are read as numbers.
# Expected: a number that nothing marks as a telephone number is read as a number.
# Seen with wetext 0.1.8, kaldifst 1.8.3, Python 3.11, 2026-11-27. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet wetext==0.1.8 kaldifst==1.8.3 2>/dev/null
"$folder/env/bin/python" - <<'PYTHON'
import sys

from wetext import Normalizer

read = Normalizer(lang="zh", operator="tn").normalize
texts = ("一共110", "一共113", "他有110个朋友")
seen = [read(text) for text in texts]
for text, spoken in zip(texts, seen):
    print(text, "->", spoken)
hotlines = []
for number in range(10, 1000):
    spoken = read(f"一共{number}")
    if "十" not in spoken and "百" not in spoken:
        hotlines.append(number)
print("read digit by digit:", hotlines)
as_claimed = seen == ["一共幺幺零", "一共一百一十三", "他有一百一十个朋友"]
as_claimed &= hotlines == [110, 111, 112, 114, 119, 120, 122]
sys.exit(0 if as_claimed else "The behaviour has changed.")
PYTHON
