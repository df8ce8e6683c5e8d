"""Training as people type it: a model directory at the end, going on after a kill, one clear line for whatever is wrong."""

import json
import signal
import subprocess
import sys
import time

import pytest

from cli.finetune import main
from sparktts_ms import SparkTTS
from sparktts_ms.weights.safetensors_file import SafetensorsFile
from tests.helpers import ROOT

LINES = [{"audio": "p16k_mono_3s.wav", "text": "One two three.", "speaker": "a", "gender": "male"},
         {"audio": "p24k_mono_0s5.wav", "text": "Four.", "speaker": "a"}, {"audio": "missing.wav", "text": "Five."}]


@pytest.fixture
def manifest(wavs, tmp_path):
    path = tmp_path / "data" / "recordings.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps({**line, "audio": str(wavs / line["audio"])}) + "\n" for line in LINES))
    return path


def command(model, data, out, *more):
    return ["--model_dir", str(model), "--data", str(data), "--out", str(out), "--device_target", "CPU", "--tokens", "512",
            "--holdout", "2", "--warmup", "1", *map(str, more)]


def test_a_run_leaves_a_model_a_picture_and_its_progress(tiny_model, manifest, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(command(tiny_model, manifest, out, "--steps", 2, "--lora", 2, "--save_dtype", "float16")) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(out / "model")]
    assert "missing.wav" in printed.err and "tokens/s" in printed.err and "held out" in printed.err
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert {json.loads(line)["step"] for line in (out / "progress.jsonl").read_text().splitlines()} == {2}
    SparkTTS.from_pretrained(out / "model", device_target="CPU").load()
    file = SafetensorsFile(out / "model" / "LLM" / "model.safetensors")
    assert {info.dtype for info in file.info.values()} == {"F16"}
    state = (out / "state.safetensors").read_bytes()
    assert main(command(tiny_model, manifest, out, "--steps", 2, "--lora", 2)) == 0       # nothing is left to do
    assert (out / "state.safetensors").read_bytes() == state
    assert main(command(tiny_model, manifest, out, "--steps", 2, "--lora", 4)) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_killed_process_goes_on(tiny_model, manifest, tmp_path):
    out = tmp_path / "out"
    arguments = command(tiny_model, manifest, out, "--steps", 400, "--save_every", 1)
    process = subprocess.Popen([sys.executable, "-m", "cli.finetune", *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "state.safetensors").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = int(SafetensorsFile(out / "state.safetensors").metadata["step"])
    assert 1 <= done < 400
    arguments[arguments.index("400")] = str(done + 1)               # another number of steps is another schedule
    assert main(arguments) == 2
    assert not list(out.glob("model"))


@pytest.mark.parametrize("more, word", [
    (("--steps", 0), "--steps"), (("--rate", 2), "--rate"), (("--holdout", 1), "--holdout"),
    (("--model_dir", "nowhere"), "nowhere"),
    (("--data", "nowhere.jsonl"), "--data"), (("--longest", 10), "--longest")])
def test_what_is_wrong_is_said_in_one_line(tiny_model, manifest, tmp_path, capsys, more, word):
    assert main([*command(tiny_model, manifest, tmp_path / "out", "--steps", 2), *map(str, more)]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and word in errors[0]


def test_the_folder_must_be_writable(tiny_model, manifest, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(command(tiny_model, manifest, tmp_path / "file", "--steps", 2)) == 2
    assert "error: " in capsys.readouterr().err
