"""Pretraining runs: corruption of inputs, word lists, resuming, and settings without sense."""

import json
from dataclasses import replace

import numpy as np
import pytest

from recipes.demo_voice.lm.dataset import align_recordings
from recipes.demo_voice.lm.pretrain import PretrainingExtension, PretrainingSettings, main
from sparktts_ms.errors import InputError
from sparktts_ms.training.trainer import TrainingSettings
from tests.helpers import Killed, killed_after, make_trainer, spoken_words

RECORDINGS = [spoken_words(text) for text in ("tip toe", "toe through.", "tip toe toe", "through.")]
SETTINGS = TrainingSettings(max_steps=24, learning_rate=3e-3, warmup_steps=2, batch_tokens=400,
                            max_length=512, validation_every=8, save_steps=5)


def pretraining(model, output_dir, recordings=RECORDINGS, settings=SETTINGS, **values):
    extension = PretrainingExtension(PretrainingSettings(**values))
    return make_trainer(model, output_dir, recordings, settings, extension)


def test_corrupted_tokens_are_inputs_only(tiny_model, recordings, tmp_path):
    aligned = align_recordings(recordings, {})
    trainer = pretraining(tiny_model, tmp_path, aligned, token_corruption=0.3)
    clean = next(trainer.loader.batches())
    batch = next(trainer.extension.batches(trainer.loader, 0))
    changed = batch.ids != clean.ids
    assert changed.any()
    np.testing.assert_array_equal(batch.targets, clean.targets)
    np.testing.assert_array_equal(batch.loss_mask, clean.loss_mask)
    assert all(int(t) in trainer.vocabulary.bicodec_semantic for t in clean.ids[changed])
    assert (trainer.extension._corrupted(clean, 2).ids != batch.ids).any()


@pytest.mark.slow
def test_only_lower_layers_learn_from_word_lists(tiny_model, tmp_path):
    trainer = pretraining(tiny_model, tmp_path, settings=replace(SETTINGS, weight_decay=0.0),
                          phone_loss_weight=1.0, word_list_every=1)
    parameters = dict(trainer.network.parameters_and_names())
    before = {name: parameter.asnumpy().copy() for name, parameter in parameters.items()}
    entries = []
    trainer.train(report=entries.append)
    losses = [entry["phone_loss"] for entry in entries if "phone_loss" in entry]
    assert len(losses) == 2
    assert losses[1] < 0.7 * losses[0]
    assert not any("loss" in entry for entry in entries)
    moved = {name for name, p in parameters.items() if (p.asnumpy() != before[name]).any()}
    assert "pronunciation_classifier.weight" in moved
    assert "layers.0.self_attn.q_proj.weight" in moved
    unmoved = (f"layers.{trainer.network.middle}.", "norm.", "phone_classifier.")
    assert not any(name.startswith(unmoved) for name in moved)


@pytest.mark.slow
def test_resumed_run_is_bit_exact(tiny_model, tmp_path):
    values = {"phone_loss_weight": 1.0, "word_list_every": 3, "token_corruption": 0.2,
              "time_warp_prob": 0.5, "guided_attention_weight": 0.5, "forced_attention_steps": 6}
    settings = replace(SETTINGS, max_steps=8, save_steps=4)

    def make_run(name):
        return pretraining(tiny_model, tmp_path / name, settings=settings, **values)

    make_run("complete").train()
    with pytest.raises(Killed):
        make_run("resumed").train(killed_after(6))
    make_run("resumed").train()
    states = []
    for name in ("complete", "resumed"):
        states.append((tmp_path / name / "state.safetensors").read_bytes())
    assert states[0] == states[1]


@pytest.mark.parametrize("values", [
    {"token_corruption": -0.1},
    {"token_corruption": 0.6},
    {"time_warp_prob": 1.1},
    {"time_warp_prob": -0.1},
    {"phone_loss_weight": -1.0},
    {"word_list_every": 2},
])
def test_invalid_settings(values):
    with pytest.raises(InputError, match=next(iter(values))):
        PretrainingSettings(**values)


def test_command_writes_a_model(tiny_model, wavs, tmp_path, capsys):
    manifest = tmp_path / "manifest.jsonl"
    lines = []
    for name in ("p16k_mono_3s.wav", "p24k_mono_0s5.wav"):
        lines.append({"audio": str(wavs / name), "text": "tip toe", "word_ends": [0.2, 0.4],
                      "phones": [["t", 0.1], ["ih", 0.15], ["p", 0.2], ["t", 0.3], ["ow", 0.4]]})
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    output = tmp_path / "out"
    arguments = ["--model_dir", str(tiny_model), "--data", str(manifest),
                 "--output_dir", str(output), "--max_steps", "2", "--validation_every", "2",
                 "--batch_tokens", "400", "--mode", "pynative", "--device_target", "CPU"]
    assert main([*arguments, "--phone_loss_weight", "1", "--word_list_every", "2",
                 "--guided_attention_weight", "0.5"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(output / "model")]
    assert main([*arguments, "--word_list_every", "2"]) == 2
