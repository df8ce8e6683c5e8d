"""cli.finetune: a model directory at the end, resuming after a kill, one line for every mistake."""

import fcntl
import json
import signal
import subprocess
import sys
import time

import pytest

from cli.finetune import DEPRECATED, MOVED, build_parser, main
from sparktts_ms import SparkTTS
from sparktts_ms.storage.output_lock import LOCK_FILE
from sparktts_ms.weights.safetensors_file import SafetensorsFile
from tests.helpers import ROOT

LINES = [{"audio": "p16k_mono_3s.wav", "text": "One two three.", "speaker": "a", "gender": "male"},
         {"audio": "p24k_mono_0s5.wav", "text": "Four.", "speaker": "a"},
         {"audio": "missing.wav", "text": "Five."}]


@pytest.fixture
def manifest(wavs, tmp_path):
    path = tmp_path / "data" / "recordings.jsonl"
    path.parent.mkdir()
    with path.open("w") as file:
        for line in LINES:
            file.write(json.dumps({**line, "audio": str(wavs / line["audio"])}) + "\n")
    return path


def command(model, data, output_dir, *more):
    return ["--model_dir", str(model), "--data", str(data), "--output_dir", str(output_dir),
            "--device_target", "CPU", "--mode", "pynative", "--batch_tokens", "512",
            "--validation_every", "2", "--warmup_steps", "1", *map(str, more)]


def test_run_writes_model_plot_and_progress(tiny_model, manifest, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = command(tiny_model, manifest, output, "--max_steps", 2)
    assert main([*arguments, "--lora_rank", "2", "--save_dtype", "float16"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [str(output / "model")]
    for word in ("line 3: there is no file", "missing.wav", "tokens_per_second", "val_loss"):
        assert word in printed.err
    assert (output / "loss.png").read_bytes().startswith(b"\x89PNG")
    progress = (output / "progress.jsonl").read_text().splitlines()
    assert {json.loads(line)["step"] for line in progress} == {2}
    SparkTTS.from_pretrained(output / "model", device_target="CPU").load()
    file = SafetensorsFile(output / "model" / "LLM" / "model.safetensors")
    assert {info.dtype for info in file.info.values()} == {"F16"}
    state = (output / "state.safetensors").read_bytes()
    assert main([*arguments, "--lora_rank", "2"]) == 0      # no step remains
    assert (output / "state.safetensors").read_bytes() == state
    assert main([*arguments, "--lora_rank", "4"]) == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.slow
def test_killed_process_resumes(tiny_model, manifest, tmp_path):
    output = tmp_path / "out"
    arguments = command(tiny_model, manifest, output, "--max_steps", 400, "--save_steps", 1)
    process = subprocess.Popen([sys.executable, "-m", "cli.finetune", *arguments], cwd=ROOT,
                               stderr=subprocess.DEVNULL)
    while process.poll() is None and not (output / "state.safetensors").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    completed = int(SafetensorsFile(output / "state.safetensors").metadata["step"])
    assert 1 <= completed < 400
    arguments[arguments.index("400")] = str(completed + 1)      # another schedule
    assert main(arguments) == 2
    assert not list(output.glob("model"))


@pytest.mark.parametrize("more, word", [
    (("--max_steps", 0), "max_steps"),
    (("--learning_rate", 2), "learning_rate"),
    (("--validation_every", 1), "validation_every"),
    (("--model_dir", "nowhere"), "nowhere"),
    (("--data", "nowhere.jsonl"), "manifest"),
    (("--max_length", 10), "max_length"),
])
def test_mistakes_are_one_line(tiny_model, manifest, tmp_path, capsys, more, word):
    arguments = command(tiny_model, manifest, tmp_path / "out", "--max_steps", 2)
    assert main([*arguments, *map(str, more)]) == 2
    errors = capsys.readouterr().err.splitlines()
    errors = [line for line in errors if line.startswith("error: ")]
    assert len(errors) == 1
    assert word in errors[0]


@pytest.mark.parametrize("content, words", [
    ('{"audio": "wavs\\\\a.wav", "text": "One."}', ["line 1", "backslashes"]),
    ('{"utt": "a.wav", "words": "One."}', ["line 1", "'utt', 'words'"]),
    ("a.wav|One.", ["line 1", "there is no file"])])
def test_manifest_is_checked_before_the_model(tmp_path, capsys, content, words):
    """The model directory does not exist, which would be an error, too."""
    (tmp_path / "list").write_text(content)
    assert main(command(tmp_path / "model", tmp_path / "list", tmp_path / "out")) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert all(word in error for word in words)
    assert not (tmp_path / "out").exists()


def test_second_trainer_is_refused(tiny_model, manifest, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / LOCK_FILE).open("w") as file:
        file.write("77")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)        # as another process
        assert main(command(tiny_model, manifest, tmp_path / "out", "--max_steps", 1)) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 1 and "process 77" in errors[0]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK_FILE]


def test_output_dir_must_be_writable(tiny_model, manifest, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(command(tiny_model, manifest, tmp_path / "file", "--max_steps", 2)) == 2
    assert "error: " in capsys.readouterr().err


def test_deprecated_flags(capsys):
    arguments = ["--model_dir", "m", "--data", "d"]
    for old in DEPRECATED:
        arguments += [old, "7"]
    args = build_parser().parse_args(arguments)
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == len(DEPRECATED)
    for (old, new), line in zip(DEPRECATED.items(), printed, strict=True):
        assert line.startswith(f"{old} ") and new in line
        assert str(getattr(args, new.removeprefix("--"))) in ("7", "7.0")


@pytest.mark.parametrize("flag", MOVED)
def test_moved_flags(capsys, flag):
    with pytest.raises(SystemExit) as exit_status:
        main(["--model_dir", "m", "--data", "d", "--output_dir", "o", flag, "0.5"])
    assert exit_status.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert flag in line and "recipes/demo_voice" in line
