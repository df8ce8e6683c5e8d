"""cli.batch: exit status, one line for every mistake, and a folder that survives signals and kills.

Most tests run it with workers that need no model (tests/batch/fake_workers.py).
"""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
import soundfile

import cli.batch
from cli.batch import main, progress_text
from sparktts_ms import Sampling, SparkTTS
from sparktts_ms.audio.wav import encode_wav
from sparktts_ms.batch import ray_workers
from sparktts_ms.batch.line import line_seed
from sparktts_ms.batch.manifest import read_entries
from sparktts_ms.batch.progress import Progress
from tests.batch.conftest import entries, write_lines
from tests.batch.fake_workers import FakeWorkers
from tests.helpers import PROMPT, ROOT, wait_until

LINES = [{"id": f"u{n:04}", "text": f"Line {n}."} for n in range(200)]
DEMO = ROOT / "pretrained_models" / "Spark-TTS-demo"
LONG = 3600.0       # seconds to wait, so that a busy machine does not fail a test


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command with fake workers: run(*arguments) -> exit status, stdout, stderr lines."""
    monkeypatch.setattr(cli.batch, "open_workers", lambda args: FakeWorkers())

    def run(*arguments, lines=LINES, output="out"):
        path = write_lines(tmp_path / "lines.jsonl", lines)
        defaults = ["--input", path, "--output", tmp_path / output, "--voice", "alloy",
                    "--model_dir", DEMO]
        try:
            status = main([*map(str, defaults), *map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        out, err = capsys.readouterr()
        return status, out.splitlines(), err.splitlines()

    return run


def start(tmp_path, *arguments, line_seconds=0.01, module="tests.batch.fake_workers"):
    """The command in a process of its own, with fake workers; what is spoken is logged."""
    command = [sys.executable, "-m", module, "--input", tmp_path / "lines.jsonl", "--output",
               tmp_path / "out", "--model_dir", DEMO, *arguments]
    environment = {**os.environ, "LINE_SECONDS": str(line_seconds),
                   "SPOKEN_LOG": str(tmp_path / "spoken.log")}
    return subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def num_entries(tmp_path):
    try:
        return (tmp_path / "out" / "manifest.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def kill_after(process, tmp_path, count, number=signal.SIGKILL):
    """Send a signal when the manifest has so many entries; returns exit status and stderr."""
    assert wait_until(lambda: num_entries(tmp_path) >= count or process.poll() is not None, LONG)
    process.send_signal(number)
    _, err = process.communicate()
    return process.returncode, err


def assert_folder_is_whole(folder, lines):
    """Each line once, each file with its entry, and nothing else."""
    written = list(read_entries(folder))
    assert sorted(entry["id"] for entry in written) == sorted(line["id"] for line in lines)
    files = {str(path.relative_to(folder)) for path in folder.glob("*/*")}
    assert files == {entry["file"] for entry in written}
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"manifest.jsonl",
                                                                          "settings.json"}


def test_manifest_is_printed_and_status_is_0(run, tmp_path):
    status, out, err = run()
    assert (status, out) == (0, [str(tmp_path / "out" / "manifest.jsonl")])
    assert re.fullmatch(r"200 lines are done, 0 failed; 40\.0 s of speech in .* s/s", err[-1])
    assert_folder_is_whole(tmp_path / "out", LINES)
    status, _, err = run()
    assert status == 0 and err[-1].startswith("200 lines are done (200 of them before), 0 failed")


def test_failed_lines_are_counted_and_give_status_1(run):
    lines = [*LINES[:5], {"id": "bad", "text": "A.", "style": {"tempo": 2}}, {"text": "silence"}]
    status, out, err = run(lines=lines)
    assert status == 1 and len(out) == 1
    assert err[-1].startswith("5 lines are done, 2 failed;")
    status, _, err = run(lines=lines)
    assert status == 1
    assert "2 failed (2 of them before; --retry_failed does them again)" in err[-1]
    lines[-1]["text"] = "Aloud."
    assert run(lines=lines, output="out")[0] == 1
    assert run("--retry_failed", lines=lines[:5])[0] == 0


@pytest.mark.parametrize("arguments, words", [
    (("--input", "none.jsonl"), ["none.jsonl", "No such file"]),
    (("--input", "."), [".", "Is a directory"]),
    (("--output", "/proc/none"), ["/proc/none", "cannot be made"]),
    (("--model_dir", "nowhere"), ["nowhere does not exist", "--model_dir"]),
    (("--workers", "2"), ["--workers", "Add --ray"]),
    (("--seed", "-1"), ["seed", "0 or more"]),
    (("--gender", "female"), ["voice and gender exclude each other"]),
    (("--pitch", "180"), ["pitch is 180.0", "levels"]),
    (("--prompt_text", "Said."), ["prompt_text", "prompt_speech_path"]),
    (("--temperature", "nan"), ["temperature"]),
    (("--format", "mp3"), ["--format"]),
])
def test_mistakes_are_one_line(run, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    errors = [line for line in err if line.startswith("error: ")]
    assert status == 2 and not out and len(errors) == 1, err
    for word in words:
        if word != "levels":
            assert word in errors[0]


@pytest.mark.parametrize("given, expected", [((), False), (("--voice_cache",), True),
                                             (("--voice_cache", "kept"), "kept")])
def test_workers_of_a_cluster_keep_voices(monkeypatch, tmp_path, given, expected):
    """A folder has the same name on all machines."""
    workers = []
    monkeypatch.setattr(ray_workers, "RayWorkers", lambda *arguments: workers.append(arguments))
    monkeypatch.chdir(tmp_path)
    cli.batch.open_workers(cli.batch.build_parser().parse_args(
        ["--input", "-", "--output", "out", "--ray", *given]))
    kept = workers[0][1]["voice_cache"]
    assert kept == (tmp_path / expected if isinstance(expected, str) else expected)


def test_other_settings_and_changed_lines_are_one_line(run):
    assert run()[0] == 0
    for arguments, lines, words in (
            (("--seed", "1"), LINES, ("seed 0, not 1", "another --output")),
            (("--format", "flac"), LINES, ("format 'wav', not 'flac'",)),
            (("--top_k", "3"), LINES, ("top_k 50, not 3",)),
            (("--voice", "nova"), LINES, ("default_voice 'alloy', not 'nova'",)),
            ((), [{**LINES[0], "text": "Other."}], ("line 1, 'u0000'", "another --output"))):
        status, _, err = run(*arguments, lines=lines)
        assert status == 2
        for word in words:
            assert word in err[-1]


def test_killed_at_any_moment_it_goes_on(tmp_path):
    write_lines(tmp_path / "lines.jsonl", [{**line, "voice": "alloy"} for line in LINES])
    for count in (1, 40, 90, 150):
        before = {entry["text"] for entry in read_entries(tmp_path / "out")}
        log = tmp_path / "spoken.log"
        log.unlink(missing_ok=True)
        status, _ = kill_after(start(tmp_path), tmp_path, count)
        assert status == -signal.SIGKILL
        assert not before & set(log.read_text().splitlines())
        assert before <= {entry["text"] for entry in read_entries(tmp_path / "out")}
    process = start(tmp_path, line_seconds=0)
    process.communicate()
    assert process.returncode == 0
    assert_folder_is_whole(tmp_path / "out", LINES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_it_says_how_to_go_on(tmp_path, number):
    write_lines(tmp_path / "lines.jsonl", [{**line, "voice": "alloy"} for line in LINES])
    status, err = kill_after(start(tmp_path), tmp_path, 20, number)
    assert status == 130
    assert err.splitlines()[-1] == cli.batch.INTERRUPTED and "Traceback" not in err
    folder = tmp_path / "out"
    assert not (folder / ".lock").exists() and not (folder / ".partial").exists()
    process = start(tmp_path, line_seconds=0)
    process.communicate()
    assert process.returncode == 0
    assert_folder_is_whole(folder, LINES)


def test_two_processes_do_not_share_a_folder(tmp_path):
    write_lines(tmp_path / "lines.jsonl", [{**line, "voice": "alloy"} for line in LINES])
    first = start(tmp_path, line_seconds=0.05)
    assert wait_until(lambda: num_entries(tmp_path) > 0, LONG)
    second = start(tmp_path)
    _, err = second.communicate()
    assert second.returncode == 2
    assert f"Another run (process {first.pid}) is writing to" in err
    assert "another --output" in err
    first.kill()
    first.communicate()


def test_lines_come_from_standard_input(tmp_path):
    command = [sys.executable, "-m", "tests.batch.fake_workers", "--input", "-", "--output",
               str(tmp_path / "out"), "--model_dir", str(DEMO), "--voice", "alloy"]
    for lines in (LINES[:20], LINES):
        content = "".join(json.dumps(line) + "\n" for line in lines)
        done = subprocess.run(command, input=content, cwd=ROOT, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    assert "200 lines are done (20 of them before)" in done.stderr
    assert_folder_is_whole(tmp_path / "out", LINES)


def peak_memory(tmp_path, count):
    """Peak of a run over so many lines, in KB."""
    with (tmp_path / "lines.jsonl").open("w") as file:
        for n in range(count):
            file.write(json.dumps({"id": f"utterance {n}", "text": f"This is sentence {n}.",
                                   "voice": "alloy"}) + "\n")
    peak = tmp_path / "peak"
    command = [sys.executable, "-m", "tests.batch.fake_workers", "--input",
               tmp_path / "lines.jsonl", "--output", tmp_path / f"out{count}", "--model_dir", DEMO]
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True,
                   env={**os.environ, "PEAK_FILE": str(peak)})
    assert len(list(read_entries(tmp_path / f"out{count}"))) == count
    return int(peak.read_text())


@pytest.mark.parametrize("count", [4_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_lines(tmp_path, count):
    """An id, a digest and a number of each line in Python's objects would be 300 bytes, so that
    200,000 lines would take 60 MB."""
    few = peak_memory(tmp_path, 1000)
    assert peak_memory(tmp_path, count) - few < 10_000


def test_progress_text():
    now = [0.0]
    progress = Progress(2_000_000, lambda: now[0])
    for n in range(1, 2001):
        progress.note_read(100, 100 * n)
        if n <= 1000:
            progress.note_skipped(100, failed=False)
    progress.note_started()
    now[0] = 100.0
    for n in range(1000):
        progress.note_done(100, 5.0 if n else None)
    assert progress_text(progress) == ("1,999 of about 20,000 lines, 1 failed, 4,995 s of speech, "
                                       "50.0 s/s, 0:30:00 left")


def demo_lines():
    return [
        {"id": "clone", "text": "Welcome to the garden.", "prompt_speech_path": str(PROMPT)},
        {"id": "style", "text": "A quiet evening.", "gender": "female", "pitch": "low"},
        {"id": "long", "text": "One more word. And another sentence. The end.",
         "prompt_speech_path": str(PROMPT), "seed": 5},
        {"id": "greedy", "text": "Red and blue.", "prompt_speech_path": str(PROMPT),
         "temperature": 0},
    ]


@pytest.mark.slow
def test_demo_model_equals_single_requests(tmp_path, capsys):
    write_lines(tmp_path / "lines.jsonl", demo_lines())
    arguments = ["--input", tmp_path / "lines.jsonl", "--output", tmp_path / "out", "--model_dir",
                 DEMO, "--device_target", "CPU", "--seed", "4"]
    assert main(list(map(str, arguments))) == 0
    written = entries(tmp_path / "out")
    tts = SparkTTS.from_pretrained(DEMO, device_target="CPU")
    voice = tts.encode_voice(PROMPT)
    for line in demo_lines():
        entry = written[line["id"]]
        seed = line.get("seed", line_seed(4, line["id"]))
        sampling = Sampling(seed=seed, temperature=line.get("temperature", 0.8))
        style = {name: line[name] for name in ("gender", "pitch") if name in line}
        speech = tts.synthesize(line["text"], None if style else voice, sampling=sampling, **style)
        path = tmp_path / "out" / entry["file"]
        assert path.read_bytes() == encode_wav(speech.samples, speech.sample_rate)
        assert entry["semantic_ids"] == speech.semantic_ids.tolist()
        assert entry["global_ids"] == speech.global_ids.tolist()
        assert entry["seed"] == seed and entry["complete"] == speech.complete
        assert entry["duration"] == pytest.approx(soundfile.info(path).duration, abs=1e-3)


@pytest.mark.slow
def test_demo_model_killed_goes_on_and_equals_a_whole_run(tmp_path):
    lines = [{"id": f"u{n}", "text": f"Number {n} is here.", "voice": "alloy"} for n in range(40)]
    write_lines(tmp_path / "lines.jsonl", lines)
    status, _ = kill_after(start(tmp_path, module="cli.batch"), tmp_path, 5)
    assert status == -signal.SIGKILL
    killed = list(read_entries(tmp_path / "out"))
    assert 5 <= len(killed) < 40
    process = start(tmp_path, module="cli.batch")
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert f"({len(killed)} of them before)" in err
    assert_folder_is_whole(tmp_path / "out", lines)
    resumed = entries(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "resumed")
    process = start(tmp_path, module="cli.batch")
    process.communicate()
    whole = entries(tmp_path / "out")
    assert whole == resumed
    for entry in whole.values():
        content = (tmp_path / "out" / entry["file"]).read_bytes()
        assert content == (tmp_path / "resumed" / entry["file"]).read_bytes()
