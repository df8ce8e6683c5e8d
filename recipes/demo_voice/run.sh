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
pretrain() { "$python" -m recipes.demo_voice.lm.pretrain --batch_tokens 2048 --max_length 512 --validation_every 50 --save_dtype float16 "$@"; }

[ -f "$work/corpus/manifest.jsonl" ] || "$python" -m evaluation.flite_tts "$work/corpus" --sentences "$(sentences 24000)" \
    --wide "$(sentences 6000)" --phrases "$(sentences 8000)"
codec generator 4000
codec content 2600
codec listener 4000
codec joint 8000
[ -f "$work/base/LLM/config.json" ] || "$python" -m recipes.demo_voice.codec.export "$work/codec" "$work/base"
pretrain --model_dir "$work/base" --data "$work/corpus/manifest.jsonl" --output_dir "$work/spelling" \
    --max_steps "$(of 3000)" --learning_rate 1.5e-3 --phone_loss_weight 1 --word_list_every 1
pretrain --model_dir "$work/spelling/model" --data "$work/corpus/plain.jsonl" --output_dir "$work/reading" \
    --max_steps "$(of 5000)" --learning_rate 2e-3 --guided_attention_weight 1 --forced_attention_steps "$(of 2000)" \
    --phone_loss_weight 1 --word_list_every 10
pretrain --model_dir "$work/reading/model" --data "$work/corpus/manifest.jsonl" --output_dir "$work/language_model" \
    --max_steps "$(of 20000)" --learning_rate 1.3e-3 --guided_attention_weight 0.5 --token_corruption 0.2 \
    --phone_loss_weight 1 --word_list_every 10 --time_warp_prob 0.5 --max_length 640
if [ "$device" = cpu ]; then drill=3500 practice=160 helpers=0; else drill=1500 practice=37 helpers=$(nproc); fi
"$python" -m recipes.demo_voice.lm.location_layers "$work/corpus" "$work/codec" "$work/language_model/model" "$work/drill" --steps "$(of $drill)" \
    --device "$device" --workers "$helpers"
"$python" -m recipes.demo_voice.lm.rl_finetune "$work/corpus" "$work/codec" "$work/drill/model" "$work/practice" --steps "$(of $practice)" \
    --reader_steps "$(of 3000)" --device "$device" --workers "$helpers"
