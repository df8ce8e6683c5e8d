"""From text to speech on the device: the CPU's ids and samples, and its losses in fine-tuning.

The golden runs of tests/parity in float32 and graph mode run here by `-p tests.ascend.plugin`.
"""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy.io import wavfile

from cli.finetune import main as finetune
from cli.inference import main as inference
from sparktts_ms import Sampling, Service, SparkTTS
from tests.ascend.log import recorded
from tests.helpers import ROOT, SingleSequence, fixed_length

RUN = "clone_short_prompt"
STEPS = 8


@pytest.fixture(scope="module")
def golden_run(golden):
    """The arrays of a golden run of the public implementation, and its arguments."""
    arrays = np.load(golden / f"tts_{RUN}.npz")
    return arrays, json.loads(str(arrays["args"]))


@pytest.mark.parametrize("mode", ["graph", "pynative"])
def test_best_ids_in_bfloat16(tiny_model, golden_run, mode):
    """Those of float32, or nearly as good: the random model's best ones are close together."""
    arrays, _ = golden_run
    tts = SparkTTS.from_pretrained(tiny_model, device_target="Ascend", mode=mode)
    assert tts.runtime.llm_dtype == "bfloat16"
    sequence = SingleSequence(tts.llm, tts.llm.head(np.arange(tts.config.llm.vocab_size)))
    prompt = arrays["input_ids"]
    best = sequence.prefill(prompt).argmax(-1)
    assert np.mean(best == arrays["prefill.all_argmax"][:-1]) > 0.9
    token = int(prompt[-1])
    rows = zip(arrays["generated_ids"], arrays["steps.top_ids"], arrays["steps.top_logits"],
               strict=False)
    for following, ids, logits in rows:
        best_id = sequence.decode_step(token).argmax()
        assert logits[ids == best_id].max(initial=-np.inf) >= 0.98 * logits[0]
        token = int(following)


def test_pynative_speaks_the_golden_ids(tiny_model, golden, golden_run):
    arrays, call = golden_run
    tts = SparkTTS.from_pretrained(tiny_model, device_target="Ascend", mode="pynative",
                                   dtype="float32")
    voice = tts.encode_voice(golden / "wavs" / call["wav"], call.get("prompt_text"))
    speech = tts.synthesize(call["text"], voice, normalize=False,
                            sampling=Sampling(temperature=0, max_new_tokens=STEPS))
    np.testing.assert_array_equal(speech.generated_ids, arrays["generated_ids"][:STEPS])


def test_command_line(tiny_model, golden, golden_run, tmp_path):
    arrays, call = golden_run
    path = tmp_path / "speech.wav"
    status = inference([
        "--model_dir", str(tiny_model), "--device_target", "Ascend", "--dtype", "float32",
        "--text", call["text"], "--no_normalize", "--temperature", "0",
        "--prompt_speech_path", str(golden / "wavs" / call["wav"]),
        *(["--prompt_text", call["prompt_text"]] if "prompt_text" in call else []),
        "--output", str(path)])
    assert status == 0
    rate, samples = wavfile.read(path)
    assert rate == 16_000
    expected = arrays["wav"]
    assert len(samples) == len(expected)
    assert np.abs(samples / 32768 - expected).max() <= 1e-3 * np.abs(expected).max() + 1 / 32768


@pytest.fixture(scope="module")
def tts(tiny_model):
    return SparkTTS.from_pretrained(tiny_model, device_target="Ascend", dtype="float32")


def test_service_of_threads(tts):
    requests = [{"text": "One of three.", "gender": gender, "sampling": fixed_length(seed, length)}
                for seed, (gender, length) in enumerate(
                    [("female", 45), ("male", 60), ("female", 52)])]
    results = {}

    def submit(n):
        results[n] = service.submit(**requests[n]).result(timeout=200)

    with Service(tts) as service:
        threads = [threading.Thread(target=submit, args=(n,)) for n in range(len(requests))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for n, request in enumerate(requests):
        single = tts.synthesize(**request)
        np.testing.assert_array_equal(results[n].generated_ids, single.generated_ids)


def test_products_and_convolutions_keep_float32(tts, golden, golden_run, tmp_path):
    """CANN would compute them in HF32, with 10 bits: cube math type 1 or 3."""
    _, call = golden_run
    with recorded(tmp_path) as tally:
        voice = tts.encode_voice(golden / "wavs" / call["wav"], "Said.")
        tts.decode(global_ids=voice.global_ids, semantic_ids=voice.semantic_ids)
    names = ("aclnnMm", "aclnnMatmul", "aclnnBatchMatMul", "aclnnConvolution", "aclnnAddmm",
             "aclnnBaddbmm")
    calls = [text for name in names for text in tally.calls(name)]
    assert tally.operators["aclnnConvolution"] > 20 and len(calls) > 100
    assert {text.rsplit(" ", 1)[1] for text in calls} == {"cube_math_type=0"}


def metrics(output):
    """Means over the steps, and those of the validation recording after the last one."""
    lines = (output / "progress.jsonl").read_text().splitlines()
    values = {name: value for line in lines for name, value in json.loads(line).items()}
    return {name: values[name] for name in ("step", "loss", "grad_norm", "val_loss")}


def test_fine_tuning_has_the_losses_of_the_cpu(tiny_model, wavs, tmp_path):
    manifest = tmp_path / "data.jsonl"
    recordings = [("p24k_mono_0s5.wav", "Four."), ("p24k_mono_0s5.wav", "Five.")]
    with manifest.open("w") as file:
        for name, text in recordings:
            file.write(json.dumps({"audio": str(wavs / name), "text": text}) + "\n")

    def command(device):
        return ["--model_dir", str(tiny_model), "--data", str(manifest), "--output_dir",
                str(tmp_path / device), "--device_target", device, "--dtype", "float32",
                "--max_steps", "3", "--warmup_steps", "1", "--batch_tokens", "256",
                "--validation_every", "2"]

    cpu = subprocess.Popen([sys.executable, "-m", "cli.finetune", *command("CPU")], cwd=ROOT,
                           env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
    assert finetune(command("Ascend")) == 0
    assert cpu.wait() == 0
    ours, expected = metrics(tmp_path / "Ascend"), metrics(tmp_path / "CPU")
    assert ours == pytest.approx(expected, rel=1e-3)
