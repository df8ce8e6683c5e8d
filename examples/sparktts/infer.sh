#!/usr/bin/env bash
# Clone the voice of prompt.wav. Everything can be set from outside:
#   MODEL_DIR=... TEXT=... DEVICE=0 examples/sparktts/infer.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
"${PYTHON:-python}" -m cli.inference \
    --model_dir "${MODEL_DIR:-pretrained_models/Spark-TTS-0.5B}" \
    --save_dir "${SAVE_DIR:-example/results}" \
    --device "${DEVICE:-0}" \
    --text "${TEXT:-Spark-TTS speaks on MindSpore.}" \
    --prompt_speech_path "${PROMPT:-$here/prompt.wav}" \
    --prompt_text "${PROMPT_TEXT:-$(cat "$here/prompt.txt")}" \
    "$@"
