"""The command line as people type it: what it writes, and one clear line with exit status 2 for whatever is wrong."""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file, save_file

from cli.inference import main
from tests.helpers import ROOT, generate_model

TEXT = "Hello there."
FEMALE = ("--gender", "female", "--pitch", "low", "--speed", "high")


@pytest.fixture
def run(tiny_model, tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; returns exit status, stdout lines, stderr lines."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=tiny_model):
        defaults = ("--model_dir", str(model), "--device_target", "CPU", "--mode", "pynative", "--seed", "0")
        try:
            status = main([*defaults, *map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def refused(result, *words):
    """Exit status 2, nothing on stdout, one line of error which holds `words`."""
    status, out, err = result
    errors = [line for line in err if line.startswith("error: ")]
    assert status == 2 and not out and len(errors) == 1, result
    assert "Traceback" not in "\n".join(err)
    for word in words:
        assert str(word) in errors[0], errors[0]


def sound(path, samples, rate=16000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def tone(seconds, level=0.3, rate=16000):
    return level * np.sin(2 * np.pi * 200 * np.arange(int(seconds * rate)) / rate)


# ------------------------------------------------------------------------------------------------ what it writes

def test_a_created_voice_is_written_where_upstream_writes_it(run, tmp_path):
    status, out, _ = run("--text", TEXT, *FEMALE)
    assert status == 0
    path = tmp_path / out[-1]
    assert path.parent == tmp_path / "example" / "results"
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16") and info.frames % 320 == 0
    assert [f.name for f in path.parent.iterdir()] == [path.name]       # no temporary file stays


def test_a_cloned_voice_with_its_transcript(run, wavs, tmp_path):
    status, out, _ = run("--text", TEXT, "--prompt_speech_path", wavs / "p24k_mono_0s5.wav", "--prompt_text", "公园",
                         "--output", "said.wav", "--plot")
    assert status == 0 and out[-1] == "said.wav"
    assert soundfile.info("said.wav").frames > 0
    assert (tmp_path / "said.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_file_and_another_seed_another(run, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run("--text", TEXT, *FEMALE, "--seed", seed, "--output", f"{name}.wav")[0] == 0
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c


def test_a_text_file_gives_one_file_a_line(run, tmp_path):
    (tmp_path / "lines.txt").write_text("One.\n\n   \n二。\nOne.\n", encoding="utf-8")
    status, out, _ = run("--text_file", "lines.txt", *FEMALE)
    assert status == 0 and len(out) == len(set(out)) == 3 and all((tmp_path / path).exists() for path in out)


def test_moderate_is_used_and_said_aloud(run):
    status, _, err = run("--text", TEXT, "--gender", "male", "--speed", "low")
    assert status == 0
    assert any("pitch" in line and "moderate" in line for line in err)
    assert not any("No speed" in line for line in err)


def test_reaching_max_new_tokens_is_said_aloud(run):
    status, _, err = run("--text", TEXT, *FEMALE, "--max_new_tokens", 60)
    assert status == 0 and any("--max_new_tokens" in line for line in err)


def test_an_empty_transcript_counts_as_none(run, wavs, tmp_path):
    prompt = ("--text", TEXT, "--prompt_speech_path", wavs / "p24k_mono_0s5.wav")
    assert run(*prompt, "--output", "a.wav")[0] == run(*prompt, "--prompt_text", " ", "--output", "b.wav")[0] == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_a_kept_voice_speaks_as_the_recording_did(run, wavs, tmp_path):
    prompt = ("--prompt_speech_path", wavs / "p24k_mono_0s5.wav", "--prompt_text", "公园")
    assert run("--text", TEXT, *prompt, "--output", "a.wav", "--save_voice", "a.json")[0] == 0
    assert run("--text", TEXT, "--voice", "a.json", "--output", "b.wav")[0] == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    status, out, _ = run(*prompt, "--save_voice", "only.json")
    assert status == 0 and not out and (tmp_path / "only.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_the_voice_of_the_first_line_is_kept_even_if_lines_are_alike(run, tmp_path):
    (tmp_path / "lines.txt").write_text("I\nI\n", encoding="utf-8")
    status, out, _ = run("--text_file", "lines.txt", *FEMALE, "--save_voice", "f.json")
    assert status == 0 and len(out) == 2 and (tmp_path / "f.json").exists()


def test_a_made_up_voice_can_be_kept_and_obeys_numbers(run, tmp_path):
    assert run("--text", TEXT, "--gender", "male", "--pitch", "120", "--speed", "4.5", "--save_voice", "m.json")[0] == 0
    status, out, _ = run("--text", TEXT, "--voice", "m.json", "--pitch", "high", "--speed", "low")
    assert status == 0 and soundfile.info(tmp_path / out[-1]).frames > 0


# ------------------------------------------------------------------------------------------------ what is refused

@pytest.mark.parametrize("arguments, words", [
    ((), ["--text"]),
    (("--text", ""), ["no text"]),
    (("--text", " \t\n "), ["no text"]),
    (("--text", TEXT), ["--prompt_speech_path", "--gender"]),
    (("--text", TEXT, "--pitch", "low"), ["--gender"]),
    (("--text", TEXT, "--speed", "low"), ["--gender"]),
    (("--text", TEXT, "--gender", "female", "--pitch", "squeaky"), ["--pitch", "squeaky"]),
    (("--text", TEXT, "--gender", "female", "--pitch", "9999"), ["pitch", "9999", "40"]),
    (("--text", TEXT, "--gender", "female", "--speed", "nan"), ["speed", "nan"]),
    (("--text", TEXT, "--voice", "nowhere.json"), ["nowhere.json"]),
    (("--text", TEXT, "--voice", "a.json", "--gender", "male"), ["--voice", "--gender"]),
    (("--save_voice", "a.json", "--gender", "male"), ["--text"]),
    (("--text", TEXT, "--gender", "robot"), ["robot"]),
    (("--text", TEXT, "--gender", "male", "--pitch", "shrill"), ["shrill"]),
    (("--text", TEXT, "--prompt_text", "words"), ["--prompt_speech_path"]),
    (("--text", TEXT, "--prompt_speech_path", "x.wav", "--gender", "male"), ["choose one"]),
    (("--text", TEXT, "--text_file", "x.txt", *FEMALE), ["--text_file"]),
    (("--text_file", "missing.txt", *FEMALE), ["missing.txt"]),
    (("--text", TEXT, *FEMALE, "--temperature", "-1"), ["temperature"]),
    (("--text", TEXT, *FEMALE, "--temperature", "nan"), ["temperature"]),
    (("--text", TEXT, *FEMALE, "--top_p", "0"), ["top_p"]),
    (("--text", TEXT, *FEMALE, "--top_k", "-1"), ["top_k"]),
    (("--text", TEXT, *FEMALE, "--max_new_tokens", "0"), ["max_new_tokens"]),
    (("--text", TEXT, *FEMALE, "--seed", "-5"), ["seed"]),
    (("--text", TEXT, *FEMALE, "--dtype", "float16"), ["float16"]),
    (("--text", TEXT, *FEMALE, "--dtype", "bfloat16"), ["bfloat16", "float32"]),
    (("--text", TEXT, *FEMALE, "--device_target", "Ascend"), ["Ascend"]),
    (("--text", TEXT, *FEMALE, "--device", "7"), ["7"]),
    (("--text", "\udcff", *FEMALE), ["UTF-8"]),
])
def test_requests_that_make_no_sense(run, arguments, words):
    refused(run(*arguments), *words)


def test_texts_that_are_no_text(run, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    refused(run("--text_file", "latin.txt", *FEMALE), "latin.txt", "UTF-8")
    refused(run("--text_file", "blank.txt", *FEMALE), "no text")
    (tmp_path / "two.txt").write_text("a\nb\n")
    refused(run("--text_file", "two.txt", *FEMALE, "--output", "x.wav"), "--save_dir")


def make_prompt(kind, folder):
    path = folder / "prompt.wav"
    nan = tone(1).astype(np.float32)
    nan[77] = np.nan
    return {
        "missing": lambda: path, "folder": lambda: folder, "text": lambda: path.write_text("not audio") and path,
        "zero bytes": lambda: path.touch() or path, "no samples": lambda: sound(path, np.zeros(0)),
        "silent": lambda: sound(path, np.zeros(16000)), "constant": lambda: sound(path, np.full(16000, 0.2)),
        "short": lambda: sound(path, tone(0.02)), "nan": lambda: sound(path, nan, subtype="FLOAT"),
    }[kind]()


@pytest.mark.parametrize("kind, word", [
    ("missing", "does not exist"), ("folder", "is a folder"), ("text", "not audio"), ("zero bytes", "empty"),
    ("no samples", "empty"), ("silent", "silent"), ("constant", "silent"), ("short", "25 ms"), ("nan", "NaN")])
@pytest.mark.parametrize("transcript", [(), ("--prompt_text", "words")])
def test_prompts_that_cannot_serve(run, tmp_path, kind, word, transcript):
    path = make_prompt(kind, tmp_path)
    refused(run("--text", TEXT, "--prompt_speech_path", path, *transcript), path, word)


def test_a_prompt_that_is_far_too_long_is_cut_and_said_aloud(run, tmp_path):
    long = sound(tmp_path / "long.wav", tone(50, rate=8000), 8000)
    status, _, err = run("--text", TEXT, "--prompt_speech_path", long)
    assert status == 0 and any("50.0 s" in line and "30 s" in line for line in err)
    refused(run("--text", TEXT, "--prompt_speech_path", long, "--prompt_text", "words"), "50.0 s", "30 s")


def test_a_file_that_exists_is_never_overwritten(run, tmp_path):
    (tmp_path / "mine.wav").write_text("precious")
    (tmp_path / "plot.png").write_text("precious")
    refused(run("--text", TEXT, *FEMALE, "--output", "mine.wav"), "mine.wav", "exists")
    refused(run("--text", TEXT, *FEMALE, "--output", "plot.wav", "--plot"), "plot.png", "exists")
    assert (tmp_path / "mine.wav").read_text() == "precious" == (tmp_path / "plot.png").read_text()


def test_a_folder_that_cannot_be_written_to(run, tmp_path):
    (tmp_path / "file").touch()
    refused(run("--text", TEXT, *FEMALE, "--save_dir", "file/below"), "file/below")
    refused(run("--text", TEXT, *FEMALE, "--output", "file/below.wav"), "file")


def test_a_full_disk_leaves_nothing_half_written(run, tmp_path):
    """A limit on file sizes fails a write as a full disk does, in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        result = run("--text", TEXT, *FEMALE, "--save_dir", "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    refused(result, "full", "cannot be written")
    assert list((tmp_path / "full").iterdir()) == []


# ------------------------------------------------------------------------------------------------ broken models

def broken(tiny_model, folder, how):
    """A copy of the model directory with one thing wrong; the name of that thing."""
    model = folder / "broken"
    shutil.copytree(tiny_model, model)
    codec, llm = model / "BiCodec" / "model.safetensors", model / "LLM" / "model.safetensors"
    if how == "no config":
        (model / "config.yaml").unlink()
        return model, "config.yaml"
    if how == "no codec weights":
        codec.unlink()
        return model, "BiCodec"
    if how == "no wav2vec2":
        shutil.rmtree(model / "wav2vec2-large-xlsr-53")
        return model, "wav2vec2"
    if how == "no tokenizer":
        (model / "LLM" / "tokenizer.json").unlink()
        return model, "tokenizer.json"
    if how == "truncated":
        llm.write_bytes(llm.read_bytes()[:-1000])
        return model, llm
    if how == "header":
        llm.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
        return model, llm
    if how == "config contradicts":
        file = model / "LLM" / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "intermediate_size": 190}))
        return model, "gate_proj"
    tensors = load_file(codec)
    name = "prenet.linear.weight"
    if how == "wrong shape":
        tensors[name] = np.ascontiguousarray(tensors[name].T)
    elif how == "unknown tensor":
        name = "prenet.surprise"
        tensors[name] = np.zeros(3, np.float32)
    elif how == "missing tensor":
        del tensors[name]
    save_file(tensors, codec)
    return model, name


@pytest.mark.parametrize("how", ["no config", "no codec weights", "no wav2vec2", "no tokenizer", "truncated", "header",
                                 "config contradicts", "wrong shape", "unknown tensor", "missing tensor"])
def test_model_directories_that_are_broken(run, tiny_model, tmp_path, how):
    model, name = broken(tiny_model, tmp_path, how)
    refused(run("--text", TEXT, *FEMALE, model=model), name)


def test_a_model_directory_that_does_not_exist(run, tmp_path):
    refused(run("--text", TEXT, *FEMALE, model=tmp_path / "nowhere"), "nowhere", "cli.download")


def test_a_model_that_ends_before_it_speaks(run, tmp_path):
    model = generate_model(tmp_path / "mute", "--size", "tiny", "--sem-chain", "0")
    refused(run("--text", TEXT, *FEMALE, "--temperature", 0, model=model), "before it spoke")
    assert not list((tmp_path / "example" / "results").iterdir())


# ------------------------------------------------------------------------------------------------ streaming

def test_streamed_speech_is_what_the_file_would_hold(run, tmp_path):
    run("--text", TEXT, *FEMALE, "--output", tmp_path / "whole.wav")
    whole, rate = soundfile.read(tmp_path / "whole.wav", dtype="int16")
    for form, header in (("wav", 44), ("pcm", 0)):
        status, out, err = run("--text", TEXT, *FEMALE, "--stream", tmp_path / form, "--stream_format", form, "--lookahead", 67)
        assert status == 0 and not out and "s of speech" in err[-1]
        samples = np.frombuffer((tmp_path / form).read_bytes()[header:], "<i2")
        assert samples.shape == whole.shape and np.abs(samples.astype(int) - whole).max() <= 1
    streamed, streamed_rate = soundfile.read(tmp_path / "wav", dtype="int16")
    assert streamed_rate == rate and streamed.shape == whole.shape


def test_a_stream_refuses_what_it_cannot_do(run, tmp_path):
    (tmp_path / "there.wav").write_bytes(b"kept")
    refused(run("--text", TEXT, *FEMALE, "--stream", tmp_path / "there.wav"), "exists already")
    assert (tmp_path / "there.wav").read_bytes() == b"kept"
    refused(run("--text", TEXT, *FEMALE, "--stream", "-", "--plot"), "--plot")
    refused(run("--text", TEXT, *FEMALE, "--stream", "-", "--lookahead", -1), "--lookahead")
    refused(run("--text", TEXT, *FEMALE, "--stream", tmp_path / "no" / "folder"), "cannot be written")


# ------------------------------------------------------------------------------------------------ as a process

def test_bad_arguments_are_answered_without_loading_mindspore(tmp_path):
    script = ("import sys, cli.inference as c; status = c.main(['--text', 'x']); "
              "assert 'mindspore' not in sys.modules; sys.exit(status)")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: "), done.stderr


def test_ctrl_c_ends_in_one_line_and_leaves_nothing_half_written(tiny_model, wavs, tmp_path):
    (tmp_path / "long.txt").write_text("One more line to say.\n" * 3000, encoding="utf-8")
    results = tmp_path / "results"
    command = [sys.executable, "-m", "cli.inference", "--model_dir", str(tiny_model), "--device_target", "CPU",
               "--text_file", str(tmp_path / "long.txt"), "--prompt_speech_path", str(wavs / "p16k_mono_3s.wav"),
               "--save_dir", str(results)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, "PYTHONUNBUFFERED": "1"})
    for line in process.stderr:
        if "Compiling decode" in line:      # the model is loaded and at work
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "Interrupted" in err
    assert sorted(map(str, results.iterdir())) == sorted(out.split())


def stream_command(model, *more):
    return [sys.executable, "-m", "cli.inference", "--model_dir", str(model), "--device_target", "CPU", "--text", TEXT, *FEMALE,
            "--seed", "0", "--stream", "-", *more]


def test_stdout_of_a_stream_is_sound_and_nothing_else(tiny_model, tmp_path):
    done = subprocess.run(stream_command(tiny_model), cwd=ROOT, capture_output=True, check=True)
    (tmp_path / "heard.wav").write_bytes(done.stdout)
    samples, rate = soundfile.read(tmp_path / "heard.wav")
    assert rate == 16000 and len(samples) == (len(done.stdout) - 44) // 2 > 0 and np.abs(samples).max() > 0.01


def test_a_listener_who_hangs_up_is_told_in_one_line(tiny_model, tmp_path):
    (tmp_path / "long.txt").write_text("One more line to say.\n" * 500, encoding="utf-8")
    command = stream_command(tiny_model)
    place = command.index("--text")
    command[place:place + 2] = ["--text_file", str(tmp_path / "long.txt")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(2000)
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait() == 2 and "hung up" in err and "Traceback" not in err, err
