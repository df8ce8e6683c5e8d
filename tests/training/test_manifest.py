"""Manifests are untrusted input: every mistake gives one line that names the line of the file."""

import os
import time
from pathlib import Path

import pytest

from sparktts_ms.errors import InputError
from sparktts_ms.training.manifest import ManifestEntry, existing_entries, read_manifest


def write_manifest(folder, content, name="manifest.jsonl"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_valid_manifest(tmp_path):
    path = write_manifest(
        tmp_path,
        '\ufeff{"audio": "a.wav", "text": " Hi. ", "speaker": "x", "gender": "male", "more": 1}\n\n'
        '{"audio": "/b.wav", "text": "Ho ho."}\n')
    assert read_manifest(path) == [ManifestEntry(tmp_path / "a.wav", "Hi.", "x", "male"),
                                   ManifestEntry(Path("/b.wav"), "Ho ho.")]


def test_other_keys_are_ignored(tmp_path):
    path = write_manifest(tmp_path, '{"audio": "a.wav", "text": "Ho ho.", "word_ends": [0.5, 1], '
                                    '"phones": [["hh", 0.2], ["ow", 1]]}\n'
                                    '{"audio": "b.wav", "text": "Ho.", "word_ends": "x"}\n')
    assert read_manifest(path) == [ManifestEntry(tmp_path / "a.wav", "Ho ho."),
                                   ManifestEntry(tmp_path / "b.wav", "Ho.")]


@pytest.mark.parametrize("line, problem", [
    ("nonsense", "no JSON object"),
    ("[1]", "no JSON object"),
    ("[" * 100000, "no JSON object"),
    ('{"text": "a"}', "no audio; the keys are 'text', audio or audio_filepath"),
    ('{"audio": "a.wav"}', "no text"),
    ('{"audio": "a.wav", "text": "  "}', "no text"),
    ('{"audio": 3, "text": "a"}', "no audio"),
    ('{"utt": "a", "words": "b"}', "no audio; the keys are 'utt', 'words'"),
    ('{"audio": "a", "text": "a", "gender": "x"}', "one of female, male"),
    ('{"audio": "a", "text": "a", "gender": 1}', "gender"),
    ('{"audio": "a", "text": "a", "speaker": []}', "speaker"),
    ('{"audio": "a", "text": "a", "offset": -1}', "offset is -1"),
    ('{"audio": "a", "text": "a", "offset": NaN}', "offset is nan"),
    ('{"audio": "a", "text": "a", "offset": true}', "offset is True"),
    ('{"audio": "a", "text": "a", "duration": "long"}', "duration is 'long'"),
    ('{"audio": "a", "text": "a", "duration": 0}', "duration is 0"),
    ('{"audio": "a", "text": "a", "duration": 1' + "0" * 400 + "}", "duration is"),
    ('{"audio": "a", "text": "\\ud800"}', "not valid Unicode"),
    ('{"' + "a" * 100000 + '": 1}', "no audio"),
])
def test_malformed_line(tmp_path, line, problem):
    path = write_manifest(tmp_path, '{"audio": "a.wav", "text": "fine"}\n' + line)
    with pytest.raises(InputError, match=problem) as error:
        read_manifest(path)
    assert "line 2" in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 800


# Manifests as other tools write them: NeMo, WeNet, Hugging Face, LJSpeech, Common Voice, VITS

COMMON_VOICE = ("client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tage\tgender\n"
                "c1\ta.wav\ts1\tHi \"there\".\t\t2\t\tmale_masculine\n"
                "c2\tb.wav\ts2\t\"He said \"\"no\"\".\"\t\t2\t\t\n")


@pytest.mark.parametrize("content, expected", [
    ('{"audio_filepath": "a.wav", "duration": 2.5, "text": "Hi."}',
     [("a.wav", "Hi.", None, None, 0.0, 2.5)]),
    ('{"audio_filepath": "a.wav", "offset": 1.5, "duration": 2, "text": "Hi.", "speaker": 7}',
     [("a.wav", "Hi.", "7", None, 1.5, 2.0)]),
    ('{"key": "BAC001", "wav": "a.wav", "txt": "你好"}', [("a.wav", "你好")]),
    ('{"audio": {"path": "a.wav", "bytes": null}, "sentence": "Hi."}', [("a.wav", "Hi.")]),
    ('{"file_name": "a.wav", "transcription": "Hi.", "sex": "F"}',
     [("a.wav", "Hi.", None, "female")]),
    ('[{"audio": "a.wav", "text": "Hi."},\n {"path": "b.wav", "text": "Ho."}]',
     [("a.wav", "Hi."), ("b.wav", "Ho.")]),
    ("file_name,transcription\na.wav,\"Hi, there.\"\nb.wav,\"Two\nlines\"",
     [("a.wav", "Hi, there."), ("b.wav", "Two\nlines")]),
    ("path;text;speaker\r\na.wav;Hi.;anna\r\n", [("a.wav", "Hi.", "anna")]),
    ("path|text\na.wav|Hi.", [("a.wav", "Hi.")]),
    (COMMON_VOICE, [("a.wav", 'Hi "there".', "c1", "male"),
                    ("b.wav", 'He said "no".', "c2")]),
    ("a.wav|Hi.\nb.wav|Ho | ho.", [("a.wav", "Hi."), ("b.wav", "Ho | ho.")]),
    ("a.wav|0|Hi there.\nb.wav|1|Ho there.",
     [("a.wav", "Hi there.", "0"), ("b.wav", "Ho there.", "1")]),
    ("a.wav|0|你好。\nb.wav|1|再见。", [("a.wav", "你好。", "0"), ("b.wav", "再见。", "1")]),
    ("a.wav|anna|zh|你好。", [("a.wav", "你好。", "anna")]),
    ("a.wav\tHi there.", [("a.wav", "Hi there.")]),
    ("a.wav\tHi there.\tanna", [("a.wav", "Hi there.", "anna")]),
    ("a.wav\tanna\tHi there.", [("a.wav", "Hi there.", "anna")]),
    ("\ufeffa.wav|Hi.\r\n\r\nb.wav|Ho.\r\n", [("a.wav", "Hi."), ("b.wav", "Ho.")]),
])
def test_forms_of_manifests(tmp_path, content, expected):
    entries = read_manifest(write_manifest(tmp_path, content, "metadata.csv"))
    assert entries == [ManifestEntry(tmp_path / audio, *rest) for audio, *rest in expected]


def test_ljspeech(tmp_path):
    (tmp_path / "wavs").mkdir()
    for name in ("LJ001-0001", "LJ001-0002"):
        (tmp_path / "wavs" / f"{name}.wav").touch()
    path = write_manifest(tmp_path, 'LJ001-0001|In "1837," he|In "eighteen thirty-seven," he\n'
                                    "LJ001-0002|as before", "metadata.csv")
    assert read_manifest(path) == [
        ManifestEntry(tmp_path / "wavs" / "LJ001-0001.wav", 'In "eighteen thirty-seven," he'),
        ManifestEntry(tmp_path / "wavs" / "LJ001-0002.wav", "as before")]


def test_common_voice_keeps_recordings_in_clips(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").touch()
    entries = read_manifest(write_manifest(tmp_path, COMMON_VOICE, "validated.tsv"))
    assert entries[0].audio == tmp_path / "clips" / "a.wav"


@pytest.mark.parametrize("content, problem", [
    ("id,words\na,b", "line 1: the columns 'id', 'words' are unknown; audio or audio_filepath"),
    ("path,text\na.wav", "line 2: no text"),
    ('path,text\na.wav,"open', "line 2: no CSV"),
    ("a.wav|Hi.\nb.wav", "line 2: one column; audio|text"),
    ("a.wav|b|c|d|e", "line 1: 5 columns without a header"),
    ("utt:a\tfeat:b\tfeat_shape:1\ttext:c\ttoken:d", "line 1: 5 columns"),
    ("BAC001 a.wav", "line 1: no JSON object"),
    ("/data/shards_000.tar", "line 1: no JSON object"),
    ('[{"audio": "a.wav", "text": "Hi."}, 3]', "line 2: no JSON object"),
    ("[" * 100000, "line 1: no JSON object"),
    ('{"data": [{"audio": "a.wav", "text": "b"}]}', "line 1: no audio; the keys are 'data'"),
])
def test_other_tables_are_named(tmp_path, content, problem):
    path = write_manifest(tmp_path, content, "list.csv")
    with pytest.raises(InputError) as error:
        read_manifest(path)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c"])
@pytest.mark.parametrize("line", ['{{"audio": "a.wav", "text": "One{}two."}}', "a.wav|One{}two."])
def test_lines_end_at_line_feeds_only(tmp_path, separator, line):
    if line.startswith("{") and separator < " ":
        pytest.skip("JSON has no control characters")
    path = write_manifest(tmp_path, line.format(separator) + "\r\n")
    assert read_manifest(path) == [ManifestEntry(tmp_path / "a.wav", f"One{separator}two.")]


def test_backslashes_of_windows(tmp_path, caplog):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs" / "a.wav").touch()
    path = write_manifest(tmp_path, r"wavs\a.wav|Hi." + "\n" + r"C:\wavs\b.wav|Ho.")
    entries = existing_entries(read_manifest(path), path)
    assert [entry.audio for entry in entries] == [tmp_path / "wavs" / "a.wav"]
    assert "line 2: there is no file" in caplog.text
    path = write_manifest(tmp_path, r"C:\wavs\b.wav|Ho." + "\n" + r"D:\c.wav|Hi.")
    with pytest.raises(InputError, match=r"line 1: there is no file .*b\.wav.*, nor any of the "
                                         "other 1. .*backslashes"):
        existing_entries(read_manifest(path), path)


def test_missing_files_are_named_by_line(tmp_path, caplog):
    (tmp_path / "a.wav").touch()
    lines = ["", "a.wav|Hi.", *(f"{n}.wav|Ho {n}." for n in range(12)), "x" * 5000 + ".wav|Hm."]
    path = write_manifest(tmp_path, "\n".join(lines))
    entries = existing_entries(read_manifest(path), path)
    assert [(entry.audio.name, entry.line) for entry in entries] == [("a.wav", 2)]
    assert "line 3: there is no file" in caplog.text and "0.wav" in caplog.text
    assert "3 more files are missing" in caplog.text
    assert len(caplog.records) == 11


def test_repeated_lines(tmp_path, caplog):
    path = write_manifest(tmp_path, "a.wav|Hi.\nb.wav|Ho.\n./a.wav|Hi.")
    assert [entry.text for entry in read_manifest(path)] == ["Hi.", "Ho."]
    assert "line 3 repeats line 1" in caplog.text
    parts = ('{"audio": "a.wav", "text": "Hi.", "duration": 1}\n'
             '{"audio": "a.wav", "text": "Ho.", "offset": 1, "duration": 1}')
    assert len(read_manifest(write_manifest(tmp_path, parts))) == 2
    path = write_manifest(tmp_path, "a.wav|Hi.\nb.wav|Ho.\na.wav|Other.")
    assert [entry.text for entry in read_manifest(path)] == ["Hi.", "Ho.", "Other."]
    assert "line 3: 'a.wav' has another text in an earlier line" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_not_a_manifest(tmp_path, content):
    with pytest.raises(InputError):
        read_manifest(write_manifest(tmp_path, content))


def test_missing_manifest(tmp_path):
    with pytest.raises(InputError, match=r"manifest .*none.jsonl is missing"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(InputError):
        read_manifest(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        read_manifest(tmp_path / "pipe")


def test_long_manifests_take_linear_time(tmp_path):
    """Ten times the lines, at most twenty times the time."""
    def seconds(count):
        path = write_manifest(tmp_path, "".join(f"{n}.wav|Text {n}.\n" for n in range(count)))
        times = []
        for _ in range(3):
            start = time.process_time()
            read_manifest(path)
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(5000) < 20 * seconds(500)
