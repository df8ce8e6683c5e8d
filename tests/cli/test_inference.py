"""The command line: what it writes, and one line with exit status 2 for whatever is wrong."""

import json
import os
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file, save_file

from cli.inference import build_parser, main, read_texts
from sparktts_ms.errors import InputError
from sparktts_ms.generation.voice_encoder import VoiceEncoder
from tests.helpers import ROOT, generate_model

TEXT = "Hello there."
FEMALE = ("--gender", "female", "--pitch", "low", "--speed", "high")


@pytest.fixture
def run(tiny_model, tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; returns exit status, stdout lines, stderr lines."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=tiny_model):
        defaults = (
            "--model_dir",
            str(model),
            "--device_target",
            "CPU",
            "--mode",
            "pynative",
            "--seed",
            "0",
        )
        try:
            status = main([*defaults, *map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def assert_refused(result, *words):
    """Exit status 2, nothing on stdout, one line of error which holds `words`."""
    status, out, err = result
    errors = [line for line in err if line.startswith("error: ")]
    assert status == 2 and not out and len(errors) == 1, result
    assert "Traceback" not in "\n".join(err)
    for word in words:
        assert str(word) in errors[0], errors[0]


def write_audio(path, samples, rate=16000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def tone(seconds, level=0.3, rate=16000):
    return level * np.sin(2 * np.pi * 200 * np.arange(int(seconds * rate)) / rate)


# ---- output


def test_default_output_path_and_format(run, tmp_path):
    status, out, _ = run("--text", TEXT, *FEMALE)
    assert status == 0
    path = tmp_path / out[-1]
    assert path.parent == tmp_path / "example" / "results"
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert info.frames % 320 == 0
    assert [f.name for f in path.parent.iterdir()] == [path.name]  # no temporary file stays


def test_voice_cloning_with_transcript(run, wavs, tmp_path):
    prompt = ("--prompt_speech_path", wavs / "p24k_mono_0s5.wav", "--prompt_text", "公园")
    status, out, _ = run("--text", TEXT, *prompt, "--output", "speech.wav", "--plot")
    assert status == 0 and out[-1] == "speech.wav"
    assert soundfile.info("speech.wav").frames > 0
    assert (tmp_path / "speech.png").read_bytes().startswith(b"\x89PNG")


def test_seed_reproduces_the_file(run, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run("--text", TEXT, *FEMALE, "--seed", seed, "--output", f"{name}.wav")[0] == 0
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c


def test_text_file_gives_one_file_per_line(run, tmp_path):
    (tmp_path / "lines.txt").write_text("One.\n\n   \n二。\nOne.\n", encoding="utf-8")
    status, out, _ = run("--text_file", "lines.txt", *FEMALE)
    assert status == 0 and len(out) == len(set(out)) == 3
    assert all((tmp_path / path).exists() for path in out)


def test_default_level_is_reported(run):
    status, _, err = run("--text", TEXT, "--gender", "male", "--speed", "low")
    assert status == 0
    assert any("pitch" in line and "moderate" in line for line in err)
    assert not any("No speed" in line for line in err)


def test_reaching_max_new_tokens_is_reported(run):
    status, _, err = run("--text", TEXT, *FEMALE, "--max_new_tokens", 60)
    assert status == 0 and any("--max_new_tokens" in line for line in err)


def test_blank_transcript_equals_none(run, wavs, tmp_path):
    prompt = ("--text", TEXT, "--prompt_speech_path", wavs / "p24k_mono_0s5.wav")
    assert run(*prompt, "--output", "a.wav")[0] == 0
    assert run(*prompt, "--prompt_text", " ", "--output", "b.wav")[0] == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_saved_voice_equals_its_recording(run, wavs, tmp_path):
    prompt = ("--prompt_speech_path", wavs / "p24k_mono_0s5.wav", "--prompt_text", "公园")
    assert run("--text", TEXT, *prompt, "--output", "a.wav", "--save_voice", "a.json")[0] == 0
    assert run("--text", TEXT, "--voice", "a.json", "--output", "b.wav")[0] == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    status, out, _ = run(*prompt, "--save_voice", "only.json")
    assert status == 0 and not out
    assert (tmp_path / "only.json").read_bytes() == (tmp_path / "a.json").read_bytes()


def test_save_voice_with_repeated_lines(run, tmp_path):
    (tmp_path / "lines.txt").write_text("I\nI\n", encoding="utf-8")
    status, out, _ = run("--text_file", "lines.txt", *FEMALE, "--save_voice", "f.json")
    assert status == 0 and len(out) == 2 and (tmp_path / "f.json").exists()


def test_created_voice_with_numbers_can_be_saved(run, tmp_path):
    style = ("--gender", "male", "--pitch", "120", "--speed", "4.5")
    assert run("--text", TEXT, *style, "--save_voice", "m.json")[0] == 0
    status, out, _ = run("--text", TEXT, "--voice", "m.json", "--pitch", "high", "--speed", "low")
    assert status == 0 and soundfile.info(tmp_path / out[-1]).frames > 0


# ---- invalid requests


@pytest.mark.parametrize(
    "arguments, words",
    [
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
        (
            ("--text", TEXT, "--prompt_speech_path", "x.wav", "--gender", "male"),
            ["--prompt_speech_path", "--gender", "Choose one"],
        ),
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
    ],
)
def test_invalid_requests(run, arguments, words):
    assert_refused(run(*arguments), *words)


def test_invalid_text_files(run, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    assert_refused(run("--text_file", "latin.txt", *FEMALE), "latin.txt", "UTF-8")
    assert_refused(run("--text_file", "blank.txt", *FEMALE), "no text")
    (tmp_path / "two.txt").write_text("a\nb\n")
    assert_refused(run("--text_file", "two.txt", *FEMALE, "--output", "x.wav"), "--save_dir")


def make_recording(kind, folder):
    """A recording, or something else under its name, that cannot serve as a prompt."""
    path = folder / "prompt.wav"
    nan = tone(1).astype(np.float32)
    nan[77] = np.nan
    samples = {
        "no samples": np.zeros(0),
        "silent": np.zeros(16000),
        "constant": np.full(16000, 0.2),
        "short": tone(0.02),
        "nan": nan,
    }
    contents = {"text": b"not audio", "zero bytes": b""}
    if kind == "folder":
        return folder
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind in samples:
        write_audio(path, samples[kind], subtype="FLOAT" if kind == "nan" else "PCM_16")
    return path


@pytest.mark.parametrize(
    "kind, word",
    [
        ("missing", "does not exist"),
        ("folder", "is a folder"),
        ("text", "not audio"),
        ("zero bytes", "empty"),
        ("no samples", "empty"),
        ("silent", "silent"),
        ("constant", "silent"),
        ("short", "25 ms"),
        ("nan", "NaN"),
    ],
)
@pytest.mark.parametrize("transcript", [(), ("--prompt_text", "words")])
def test_invalid_recordings(run, tmp_path, kind, word, transcript):
    path = make_recording(kind, tmp_path)
    assert_refused(run("--text", TEXT, "--prompt_speech_path", path, *transcript), path, word)


def test_long_recording_is_truncated_with_a_warning(run, tmp_path):
    long = write_audio(tmp_path / "long.wav", tone(50, rate=8000), 8000)
    status, _, err = run("--text", TEXT, "--prompt_speech_path", long)
    assert status == 0 and any("goes on after 30 s" in line for line in err)
    result = run("--text", TEXT, "--prompt_speech_path", long, "--prompt_text", "words")
    assert_refused(result, "30 s")


def test_existing_files_are_not_overwritten(run, tmp_path):
    (tmp_path / "mine.wav").write_text("content")
    (tmp_path / "plot.png").write_text("content")
    assert_refused(run("--text", TEXT, *FEMALE, "--output", "mine.wav"), "mine.wav", "exists")
    assert_refused(
        run("--text", TEXT, *FEMALE, "--output", "plot.wav", "--plot"), "plot.png", "exists"
    )
    assert (tmp_path / "mine.wav").read_text() == "content" == (tmp_path / "plot.png").read_text()


def test_unwritable_folders(run, tmp_path):
    (tmp_path / "file").touch()
    assert_refused(run("--text", TEXT, *FEMALE, "--save_dir", "file/below"), "file/below")
    assert_refused(run("--text", TEXT, *FEMALE, "--output", "file/below.wav"), "file")


def test_full_disk_leaves_no_partial_file(run, tmp_path):
    """A limit on file sizes fails a write as a full disk does, in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        result = run("--text", TEXT, *FEMALE, "--save_dir", "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert_refused(result, "full", "cannot be written")
    assert list((tmp_path / "full").iterdir()) == []


# ---- broken models


def broken(tiny_model, folder, how):
    """A copy of the model directory with one thing wrong; the name of that thing."""
    model = folder / "broken"
    shutil.copytree(tiny_model, model)
    codec = model / "BiCodec" / "model.safetensors"
    llm = model / "LLM" / "model.safetensors"
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


@pytest.mark.parametrize(
    "how",
    [
        "no config",
        "no codec weights",
        "no wav2vec2",
        "no tokenizer",
        "truncated",
        "header",
        "config contradicts",
        "wrong shape",
        "unknown tensor",
        "missing tensor",
    ],
)
def test_broken_model_directories(run, tiny_model, tmp_path, how):
    model, name = broken(tiny_model, tmp_path, how)
    assert_refused(run("--text", TEXT, *FEMALE, model=model), name)


def test_unsupported_language(run, tiny_model, tmp_path):
    model = tmp_path / "english"
    model.mkdir()
    for part in tiny_model.iterdir():
        (model / part.name).symlink_to(part)
    (model / "config.yaml").unlink()
    settings = (tiny_model / "config.yaml").read_text() + "languages: [en]\n"
    (model / "config.yaml").write_text(settings)
    result = run("--text", "今天天气很好。", *FEMALE, model=model)
    assert_refused(result, "English only", "Chinese", "--model_dir")
    assert run("--text", TEXT, *FEMALE, model=model)[0] == 0


def test_missing_model_directory(run, tmp_path):
    assert_refused(
        run("--text", TEXT, *FEMALE, model=tmp_path / "nowhere"), "nowhere", "cli.download"
    )


def test_model_that_generates_no_speech(run, tmp_path):
    model = generate_model(tmp_path / "silent", "--size", "tiny", "--sem-chain", "0")
    assert_refused(run("--text", TEXT, *FEMALE, "--temperature", 0, model=model), "before it spoke")
    assert not (tmp_path / "example").exists()


# ---- streaming


def test_stream_equals_file(run, tmp_path):
    run("--text", TEXT, *FEMALE, "--output", tmp_path / "whole.wav")
    whole, rate = soundfile.read(tmp_path / "whole.wav", dtype="int16")
    for form, header in (("wav", 44), ("pcm", 0)):
        status, out, err = run(
            "--text",
            TEXT,
            *FEMALE,
            "--stream",
            tmp_path / form,
            "--stream_format",
            form,
            "--lookahead",
            67,
        )
        assert status == 0 and not out and "s of speech" in err[-1]
        samples = np.frombuffer((tmp_path / form).read_bytes()[header:], "<i2")
        assert samples.shape == whole.shape and np.abs(samples.astype(int) - whole).max() <= 1
    streamed, streamed_rate = soundfile.read(tmp_path / "wav", dtype="int16")
    assert streamed_rate == rate and streamed.shape == whole.shape


def test_no_split_generates_one_utterance(run):
    text = "This sentence is followed by others, so that it would be split. " * 12
    limits = ("--max_new_tokens", 60, "--min_new_tokens", 60)
    assert run("--text", text, *FEMALE, *limits, "--output", "split.wav")[0] == 0
    assert run("--text", text, *FEMALE, *limits, "--no_split", "--output", "one.wav")[0] == 0
    assert soundfile.info("one.wav").frames < soundfile.info("split.wav").frames


def test_invalid_streams(run, tmp_path):
    (tmp_path / "there.wav").write_bytes(b"content")
    assert_refused(
        run("--text", TEXT, *FEMALE, "--stream", tmp_path / "there.wav"), "exists already"
    )
    assert (tmp_path / "there.wav").read_bytes() == b"content"
    assert_refused(run("--text", TEXT, *FEMALE, "--stream", "-", "--plot"), "--plot")
    assert_refused(run("--text", TEXT, *FEMALE, "--stream", "-", "--lookahead", -1), "lookahead")
    assert_refused(
        run("--text", TEXT, *FEMALE, "--stream", tmp_path / "no" / "folder"), "cannot be written"
    )


LONG_NAME = "x" * 256


@pytest.mark.parametrize("arguments, words", [
    (("--output", LONG_NAME + ".wav"), ["File name too long"]),
    (("--output", "a.wav", "--save_voice", LONG_NAME), ["File name too long"]),
    (("--stream", LONG_NAME), ["File name too long"]),
    (("--model_dir", LONG_NAME), ["xxx"]),
    (("--output", "x.png", "--plot"), ["--output", "--plot", "same file"]),
    (("--output", "x.json", "--save_voice", "x.json"), ["--output", "--save_voice", "same file"]),
    (("--output", "x.json", "--save_voice", "../{name}/x.json"), ["same file"]),
    (("--output", "file/x.wav"), ["part of its path is a file"]),
    (("--output", "."), ["is a folder"]),
    (("--stream", "."), ["is a folder"]),
    (("--stream", ""), ["--stream", "empty"]),
    (("--output", ""), ["--output", "empty"]),
    (("--save_voice", ""), ["--save_voice", "empty"]),
    (("--voice", "{fifo}"), ["no regular file"])])
def test_names_are_checked_before_the_model_is_loaded(run, tmp_path, arguments, words):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    names = {"name": tmp_path.name, "fifo": tmp_path / "fifo"}
    arguments = [argument.format(**names) for argument in arguments]
    style = () if "--voice" in arguments else FEMALE
    # an error of the model directory would come first, if it were read
    model = () if "--model_dir" in arguments else ("--model_dir", "nowhere")
    assert_refused(run("--text", TEXT, *style, *model, *arguments), *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "file"]


def test_a_stream_that_fails_leaves_nothing(run, tmp_path):
    model = generate_model(tmp_path / "silent", "--size", "tiny", "--sem-chain", "0")
    stream = ("--text", TEXT, *FEMALE, "--temperature", 0, "--stream", tmp_path / "speech.wav")
    for _ in range(2):                  # the second does not say that the file exists
        assert_refused(run(*stream, model=model), "before it spoke")
    assert not (tmp_path / "speech.wav").exists()


def test_a_stream_to_a_full_disk(run):
    assert_refused(run("--text", TEXT, *FEMALE, "--stream", "/dev/full"), "/dev/full", "No space")


def test_messages_escape_control_characters(run, tmp_path):
    (tmp_path / "a\nb\x1b[1m.wav").write_text("")
    assert_refused(run("--text", TEXT, *FEMALE, "--output", "a\nb\x1b[1m.wav"), "a\\nb\\x1b[1m.wav")


def test_defaults_are_not_reported_before_an_error(run):
    _, _, err = run("--text", TEXT, "--gender", "female", "--model_dir", "nowhere")
    assert len(err) == 1 and "nowhere" in err[0]


def test_text_files_are_split_at_line_feeds_only(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffOne\u2028two\x85three.\fFour\r\n \r\nFive\rsix".encode())
    args = build_parser().parse_args(["--text_file", str(path)])
    assert read_texts(args) == ["One\u2028two\x85three.\fFour", "Five\rsix"]
    path.write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(InputError, match="no text"):
        read_texts(args)
    with pytest.raises(InputError, match="larger"):
        read_texts(build_parser().parse_args(["--text_file", "/dev/zero"]))


# ---- as a process


def command(model, *arguments):
    options = ("--model_dir", model, "--device_target", "CPU", "--seed", "0", *arguments)
    return [sys.executable, "-m", "cli.inference", *map(str, options)]


def test_invalid_arguments_do_not_load_mindspore(tmp_path):
    script = (
        "import sys, cli.inference as c; status = c.main(['--text', 'x']); "
        "assert 'mindspore' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: "), done.stderr


def test_ctrl_c_leaves_no_partial_file(tiny_model, wavs, tmp_path):
    (tmp_path / "long.txt").write_text("One more line to say.\n" * 3000, encoding="utf-8")
    results = tmp_path / "results"
    texts = ("--text_file", tmp_path / "long.txt")
    prompt = ("--prompt_speech_path", wavs / "p16k_mono_3s.wav")
    arguments = command(tiny_model, *texts, *prompt, "--save_dir", results)
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if "Compiling decode" in line:  # the model is loaded and at work
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "Interrupted" in err
    assert sorted(map(str, results.glob("*"))) == sorted(out.split())


def test_stdout_of_a_stream_is_audio_only(tiny_model, tmp_path):
    arguments = command(tiny_model, "--text", TEXT, *FEMALE, "--stream", "-")
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=True)
    (tmp_path / "stream.wav").write_bytes(done.stdout)
    samples, rate = soundfile.read(tmp_path / "stream.wav")
    assert rate == 16000 and len(samples) == (len(done.stdout) - 44) // 2 > 0
    assert np.abs(samples).max() > 0.01


def test_reader_that_hangs_up_is_reported(tiny_model, tmp_path):
    (tmp_path / "long.txt").write_text("One more line to say.\n" * 500, encoding="utf-8")
    texts = ("--text_file", tmp_path / "long.txt")
    arguments = command(tiny_model, *texts, *FEMALE, "--stream", "-")
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(2000)
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait() == 2 and "hung up" in err and "Traceback" not in err, err


@pytest.mark.parametrize("redirection, word", [
    (">&-", "closed"), (">/dev/full", "No space"),
    pytest.param("| true", "", marks=pytest.mark.slow)])
def test_stdout_that_takes_nothing_is_reported(tiny_model, tmp_path, redirection, word):
    arguments = shlex.join(command(tiny_model, "--text", TEXT, *FEMALE, "--output",
                                   tmp_path / "speech.wav"))
    script = f"set -o pipefail; {arguments} {redirection}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    error = done.stderr.splitlines()[-1]
    assert done.returncode == 2 and error.startswith("error: ") and word in error, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    complete = redirection != ">&-"
    assert (tmp_path / "speech.wav").exists() == complete
    assert not complete or "speech.wav is complete" in error


@pytest.mark.parametrize("number", ["abc", "0", "-1", "2.5", "²", "1,x"])
def test_omp_num_threads_that_is_no_number(run, monkeypatch, number):
    monkeypatch.setenv("OMP_NUM_THREADS", number)
    assert_refused(run("--text", TEXT, *FEMALE), "OMP_NUM_THREADS", number)


@pytest.fixture(scope="module")
def import_seconds():
    """How long the command's imports take here."""
    imports = ("import sparktts_ms; from cli.mindspore_import import import_mindspore; "
               "import_mindspore(); from sparktts_ms import SparkTTS")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", imports], cwd=ROOT, check=True)
    return time.perf_counter() - start


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_signals_during_imports_end_in_one_line(tiny_model, import_seconds, number, status, share):
    seconds = share * import_seconds
    while True:
        process = subprocess.Popen(command(tiny_model, "--text", TEXT, *FEMALE), cwd=ROOT,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(seconds)
        process.send_signal(number)
        out, err = process.communicate()
        if process.returncode:
            break
        seconds /= 2            # it was done before the signal: imports now take less time
    assert "Traceback" not in err and len(err.split("\n")) <= 3 and not out, err
    assert process.returncode in (status, 130, -number), err     # -number: before any Python code


# ---- voices that are kept


def test_known_voice_gives_the_same_speech(run, tmp_path, monkeypatch):
    """With the demonstration model; the second time nothing encodes the recording."""
    model = ROOT / "pretrained_models" / "Spark-TTS-demo"
    examples = ROOT / "examples" / "sparktts"
    prompt = ("--prompt_speech_path", examples / "prompt.wav",
              "--prompt_text", (examples / "prompt.txt").read_text(encoding="utf-8").strip())
    arguments = ("--text", "Good day.", *prompt, "--max_new_tokens", "40")
    written = []
    for number, cache in enumerate(((), ("--voice_cache", "kept"), ("--voice_cache", "kept"))):
        if number == 2:
            monkeypatch.setattr(VoiceEncoder, "_encode", None)
        status, out, err = run(*arguments, *cache, "--output", f"{number}.wav", model=model)
        assert status == 0, err
        written.append((tmp_path / out[-1]).read_bytes())
    assert written[0] == written[1] == written[2]
    assert len(list((tmp_path / "kept").glob("*.voice"))) == 1


def test_folder_of_voices_that_cannot_be_made(run, wavs):
    prompt = ("--prompt_speech_path", wavs / "p24k_mono_0s5.wav")
    result = run("--text", TEXT, *prompt, "--voice_cache", wavs / "p24k_mono_0s5.wav")
    assert_refused(result, "p24k_mono_0s5.wav cannot be made: a file has that name",
                   "Name another folder")


def test_voice_cache_needs_no_value():
    for arguments, expected in (((), None), (("--voice_cache",), True),
                                (("--voice_cache", "kept"), Path("kept"))):
        assert build_parser().parse_args(arguments).voice_cache == expected
