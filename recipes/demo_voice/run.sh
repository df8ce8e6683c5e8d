#!/usr/bin/env bash
# Make the demonstration voice in the folder given; the same command goes on after an interruption.
# PYTHON=... chooses the interpreter; DEVICE=cuda lets the language model drill and practise on a GPU, with much more speech in each
# step. The result is FOLDER/practice/model. A second argument, such as 0.002, takes only that share of all steps and sentences: to
# see that everything runs, in minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mkdir -p "${1:?where to? recipes/demo_voice/run.sh FOLDER}" && cd "$1" && pwd)
share=${2:-1}
cd "$here/../.."
export PYTHONPATH=$PWD
python=${PYTHON:-python} device=${DEVICE:-cpu}

of() { "$python" -c "print(max(2, round($1 * $share)))"; }
sentences() { "$python" -c "print(max(80, round($1 * $share)))"; }
codec() { "$python" -m recipes.demo_voice.codec.train "$1" "$work/corpus" "$work/codec" --steps "$(of "$2")"; }
finetune() { "$python" -m cli.finetune --tokens 2048 --longest 512 --holdout 50 --save_dtype float16 "$@"; }

[ -f "$work/corpus/manifest.jsonl" ] || "$python" -m evaluation.flite_tts "$work/corpus" --sentences "$(sentences 24000)" \
    --wide "$(sentences 6000)" --phrases "$(sentences 8000)"
codec generator 4000
codec content 2600
codec listener 4000
codec joint 8000
[ -f "$work/base/LLM/config.json" ] || "$python" -m recipes.demo_voice.codec.export "$work/codec" "$work/base"
finetune --model_dir "$work/base" --data "$work/corpus/manifest.jsonl" --out "$work/spelling" \
    --steps "$(of 3000)" --rate 1.5e-3 --phones 1 --pages 1
finetune --model_dir "$work/spelling/model" --data "$work/corpus/plain.jsonl" --out "$work/reading" \
    --steps "$(of 5000)" --rate 2e-3 --guide 1 --hold "$(of 2000)" --phones 1 --pages 10
finetune --model_dir "$work/reading/model" --data "$work/corpus/manifest.jsonl" --out "$work/language_model" \
    --steps "$(of 20000)" --rate 1.3e-3 --guide 0.5 --garble 0.2 --phones 1 --pages 10 --warp 0.5 --longest 640
if [ "$device" = cpu ]; then drill=3500 practice=160 helpers=0; else drill=1500 practice=37 helpers=$(nproc); fi
"$python" -m recipes.demo_voice.lm.location_layers "$work/corpus" "$work/codec" "$work/language_model/model" "$work/drill" --steps "$(of $drill)" \
    --device "$device" --workers "$helpers"
"$python" -m recipes.demo_voice.lm.rl_finetune "$work/corpus" "$work/codec" "$work/drill/model" "$work/practice" --steps "$(of $practice)" \
    --reader_steps "$(of 3000)" --device "$device" --workers "$helpers"
