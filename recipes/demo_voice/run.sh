#!/usr/bin/env bash
# Train the demonstration model: recipes/demo_voice/run.sh FOLDER [SHARE]
# The result is the model directory FOLDER/model; the same command resumes an interrupted run. SHARE,
# such as 0.001, takes only that fraction of all steps and sentences, to see that everything runs.
# PYTHON is the interpreter; DEVICE=cuda runs the last two stages on a GPU, with larger batches.
set -euo pipefail
work=$(mkdir -p "${1:?usage: recipes/demo_voice/run.sh FOLDER [SHARE]}" && cd "$1" && pwd)
share=${2:-1}
python=${PYTHON:-python}
device=${DEVICE:-cpu}
cd "$(dirname "$0")/../.."
export PYTHONPATH=$PWD

scaled() { "$python" -c "print(max($2, round($1 * $share)))"; }
steps() { scaled "$1" 2; }
sentences() { scaled "$1" 80; }
recipe() { local module=$1; shift; "$python" -m "recipes.demo_voice.$module" "$@"; }
train_codec() { recipe codec.train "$work/corpus" "$work/codec" "$1" --max_steps "$(steps "$2")"; }
pretrain() {
    local base=$1 name=$2 manifest=$3
    shift 3
    recipe lm.pretrain --model_dir "$work/$base" --data "$work/corpus/$manifest.jsonl" \
        --output_dir "$work/$name" --batch_tokens 2048 --validation_every 50 \
        --save_dtype float16 --phone_loss_weight 1 "$@"
}

# 1. Corpus
if [ ! -f "$work/corpus/manifest.jsonl" ]; then
    "$python" -m evaluation.flite_tts "$work/corpus" --sentences "$(sentences 24000)" \
        --wide "$(sentences 6000)" --phrases "$(sentences 8000)"
fi

# 2. Codec
train_codec vocoder 4000
train_codec tokenizer 2600
train_codec perceptual 4000
train_codec joint 8000
if [ ! -f "$work/base/LLM/config.json" ]; then
    recipe codec.export "$work/codec" "$work/base"
    recipe lm.export "$work/base"
fi

# 3. Language model: pretraining on word lists, on plain sentences, on all prompts
pretrain base pretrain_words manifest --max_steps "$(steps 3000)" --learning_rate 1.5e-3 \
    --max_length 512 --word_list_every 1
pretrain pretrain_words/model pretrain_aligned plain --max_steps "$(steps 5000)" \
    --learning_rate 2e-3 --max_length 512 --guided_attention_weight 1 \
    --forced_attention_steps "$(steps 2000)" --word_list_every 10
pretrain pretrain_aligned/model pretrain manifest --max_steps "$(steps 20000)" \
    --learning_rate 1.3e-3 --max_length 640 --guided_attention_weight 0.5 \
    --token_corruption 0.2 --time_warp_prob 0.5 --word_list_every 10

# 4. Language model: location layers, RL fine-tuning
location_steps=3500 rl_steps=160 workers=0
if [ "$device" != cpu ]; then
    location_steps=1500 rl_steps=37 workers=$(nproc)
fi
recipe lm.location_layers "$work/corpus" "$work/codec" "$work/pretrain/model" \
    "$work/location_layers" --max_steps "$(steps $location_steps)" --device "$device" \
    --workers "$workers"
recipe lm.rl_finetune "$work/corpus" "$work/codec" "$work/location_layers/model" \
    "$work/rl_finetune" --max_steps "$(steps $rl_steps)" \
    --recognizer_steps "$(steps 3000)" --device "$device" --workers "$workers"
ln -sfn rl_finetune/model "$work/model"
