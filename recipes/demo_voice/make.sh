#!/usr/bin/env bash
# Make the demonstration voice in the folder given; the same command goes on after an interruption.
# PYTHON=... chooses the interpreter. The result is FOLDER/language_model/model.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mkdir -p "${1:?where to? recipes/demo_voice/make.sh FOLDER}" && cd "$1" && pwd)
cd "$here/../.."
export PYTHONPATH=$PWD
python=${PYTHON:-python}

[ -f "$work/corpus/manifest.jsonl" ] || "$python" -m evaluation.teacher "$work/corpus"
"$python" "$here/train.py" generator "$work/corpus" "$work/codec" --steps 4000
"$python" "$here/train.py" content "$work/corpus" "$work/codec" --steps 2600
"$python" "$here/train.py" listener "$work/corpus" "$work/codec" --steps 4000
"$python" "$here/train.py" joint "$work/corpus" "$work/codec" --steps 8000
[ -f "$work/base/LLM/config.json" ] || "$python" "$here/export.py" "$work/codec" "$work/base"

finetune() { "$python" -m cli.finetune --tokens 2048 --longest 512 --holdout 50 --save_dtype float16 "$@"; }
finetune --model_dir "$work/base" --data "$work/corpus/manifest.jsonl" --out "$work/spelling" \
    --steps 3000 --rate 1.5e-3 --phones 1 --pages 1
finetune --model_dir "$work/spelling/model" --data "$work/corpus/plain.jsonl" --out "$work/reading" \
    --steps 5000 --rate 2e-3 --guide 1 --hold 2000 --phones 1 --pages 10
finetune --model_dir "$work/reading/model" --data "$work/corpus/manifest.jsonl" --out "$work/language_model" \
    --steps 20000 --rate 1.3e-3 --guide 0.5 --garble 0.2 --phones 1 --pages 10 --warp 0.5 --longest 640
