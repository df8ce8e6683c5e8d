#!/usr/bin/env bash
# Claim: NeMo's Chinese text normalization takes a capital letter before a number for a currency, where
# a currency has that letter as its sign, also at the end of a name: the car "S600" is said as six
# hundred Somali shillings, "PS5" as P and five Somali shillings, "MP3" as M and three Botswana pula.
# Other letters stay letters ("X600").
# Expected: letters that stand between Latin letters or after Han stay part of the name.
# Seen with nemo_text_processing 1.2.0, Python 3.11, x86-64, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet nemo_text_processing==1.2.0 pynini==2.1.6.post1 2>/dev/null
"$folder/env/bin/python" - 2>/dev/null <<'PYTHON'
import sys

from nemo_text_processing.text_normalization.normalize import Normalizer

read = Normalizer(input_case="cased", lang="zh").normalize
seen = {text: read(text) for text in ("奔驰S600", "奔驰X600", "这台PS5", "听MP3")}
for text, spoken in seen.items():
    print(text, "->", spoken)
as_claimed = list(seen.values()) == [
    "奔驰六百索马里先令", "奔驰X六百", "这台P五索马里先令", "听M三博茨瓦纳普拉"]
sys.exit(0 if as_claimed else "The behaviour has changed.")
PYTHON
