"""The command line that is timed, of revisions with other flags, and what it must write."""

import wave

import numpy as np
import pytest

from benchmarks.command_line import EXAMPLE, CommandError, CommandLine, new_recording, write_voice
from sparktts_ms.voice import Voice

# A cli.inference with the flags in FLAGS that writes SECONDS of silence and its arguments.
STAND_IN = """
import sys, wave
arguments = sys.argv[1:]
if arguments == ["--help"]:
    sys.exit(print("usage: {flags}"))
if {status}:
    sys.exit("error: no such model")
with open("arguments", "w") as file:
    file.write("\\n".join(arguments))
if "--output" in arguments:
    with wave.open(arguments[arguments.index("--output") + 1], "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(int(2 * 16000 * {seconds})))
"""


def stand_in(folder, flags, seconds=1.0, status=0):
    (folder / "cli").mkdir(parents=True)
    (folder / "cli" / "inference.py").write_text(
        STAND_IN.format(flags=flags, seconds=seconds, status=status))
    return folder


def arguments(folder):
    return (folder / "arguments").read_text().split("\n")


def test_present_flags(tmp_path):
    source = stand_in(tmp_path / "new", "--quantize --min_new_tokens --no_weight_cache")
    command = CommandLine(source, tmp_path / "model", "int4")
    assert command.seconds(tmp_path / "voice.json", tmp_path) > 0
    given = arguments(source)
    assert given[given.index("--quantize") + 1] == "int4"
    assert given[given.index("--min_new_tokens") + 1] == "51"
    assert command.has_weight_cache and "--no_weight_cache" not in given


def test_former_flags(tmp_path):
    source = stand_in(tmp_path / "old", "--weights")
    command = CommandLine(source, tmp_path / "model", "none")
    command.seconds(tmp_path / "voice.json", tmp_path)
    given = arguments(source)
    assert given[given.index("--weights") + 1] == "float"
    assert "--min_new_tokens" not in given and not command.has_weight_cache


def test_other_speech_than_asked_for_is_no_figure(tmp_path):
    source = stand_in(tmp_path / "short", "--quantize", seconds=0.5)
    with pytest.raises(CommandError, match=r"wrote 0\.50 s of speech, not 1 s"):
        CommandLine(source, tmp_path, "int8").seconds(tmp_path / "voice.json", tmp_path)


def test_a_failure_says_why(tmp_path):
    source = stand_in(tmp_path / "failing", "--quantize", status=1)
    command = CommandLine(source, tmp_path, "int8")
    with pytest.raises(CommandError, match="error: no such model"):
        command.seconds(tmp_path / "voice.json", tmp_path)
    with pytest.raises(CommandError, match="exit status 1"):
        command.peak_memory(tmp_path)


def test_memory_of_a_new_recording_with_its_transcript(tmp_path):
    source = stand_in(tmp_path / "new", "--quantize --no_weight_cache")
    command = CommandLine(source, tmp_path, "int8")
    recordings = set()
    for cached in (True, False):
        assert command.peak_memory(tmp_path, cached) > 1 << 20
        given = arguments(source)
        recordings.add(given[given.index("--prompt_speech_path") + 1])
        assert "--prompt_text" in given and ("--no_weight_cache" in given) is not cached
    assert len(recordings) == 2


def test_a_new_recording_differs_by_the_lowest_bits(tmp_path):
    contents = []
    for path in (EXAMPLE / "prompt.wav", *(new_recording(EXAMPLE / "prompt.wav", tmp_path)
                                           for _ in range(2))):
        with wave.open(str(path)) as file:
            contents.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
    original, first, second = (content.astype(int) for content in contents)
    assert 0 < np.abs(first - original).sum() <= 100 and np.abs(first - original).max() == 1
    assert (first != second).any()


def test_the_voice_file_is_one_of_the_model(tiny_model, tmp_path):
    write_voice(tiny_model, tmp_path / "voice.json")
    voice = Voice.load(tmp_path / "voice.json")
    assert len(voice.global_ids) == 32 and voice.transcript is None
