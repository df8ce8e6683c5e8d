"""A run with workers that need no model: what is written, resumed, refused, and kept in memory."""

import errno
import json
import os
from pathlib import Path

import pytest

from sparktts_ms.batch import run as run_module
from sparktts_ms.batch.line import line_seed
from sparktts_ms.batch.manifest import read_entries
from sparktts_ms.batch.output import open_output
from sparktts_ms.errors import DeviceError, InputError, OutputError, SparkTTSError
from tests.batch.conftest import entries
from tests.batch.fake_workers import CAPACITY, FakeWorkers, fake_speech

LINES = [{"id": f"u{n}", "text": f"{'Word ' * (n % 7)}{n}."} for n in range(60)]


class Broken(FakeWorkers):
    """Workers of a device that fails after some lines."""

    def __init__(self, lines):
        super().__init__()
        self.lines = lines

    def finished(self):
        self.lines -= 1
        if self.lines < 0:
            raise DeviceError("The device is gone.")
        return super().finished()


def test_each_line_has_a_file_and_an_entry(batch, tmp_path):
    progress, workers = batch(LINES)
    written = list(read_entries(tmp_path / "out"))
    assert len(written) == progress.done == len(LINES) and progress.failed == 0
    assert workers.closed
    requests = {request.text: request for request in workers.submitted}
    for entry in written:
        line = LINES[entry["line"] - 1]
        assert (entry["id"], entry["text"]) == (line["id"], line["text"])
        assert entry["seed"] == line_seed(0, line["id"]) and entry["voice"] == "alloy"
        speech = fake_speech(requests[line["text"]])
        assert (tmp_path / "out" / entry["file"]).read_bytes() == speech.content
        assert entry["semantic_ids"] == speech.semantic_ids.tolist()
        assert entry["global_ids"] == speech.global_ids.tolist()
        assert entry["duration"] == pytest.approx(speech.seconds)


def test_no_more_lines_are_in_progress_than_the_workers_take(batch):
    _, workers = batch(LINES)
    assert workers.most == CAPACITY


def test_a_voice_is_made_once_for_all_its_lines(batch):
    recordings = [{"text": f"{n}.", "prompt_speech_path": f"{n % 2}.wav", "prompt_text": "Said."}
                  for n in range(50)]
    _, workers = batch([*LINES, *recordings])
    assert len(workers.voices_made) == 3            # alloy, 0.wav, 1.wav
    assert {request.voice is not None for request in workers.submitted} == {True}


def test_seeds_depend_on_the_id_and_the_base_seed_only(batch, tmp_path):
    batch(LINES, "forward")
    batch(LINES[::-1], "backward")
    batch(LINES, "other", seed=1)
    forward, backward, other = (entries(tmp_path / name)
                                for name in ("forward", "backward", "other"))
    for line_id, entry in forward.items():
        assert entry["semantic_ids"] == backward[line_id]["semantic_ids"]
        assert entry["seed"] != other[line_id]["seed"]


def test_a_run_that_was_stopped_goes_on_and_equals_one_that_was_not(batch, tmp_path):
    batch(LINES, "whole")
    with pytest.raises(DeviceError):
        batch(LINES, workers=Broken(20))
    before = list(read_entries(tmp_path / "out"))
    assert len(before) == 19                        # and one call made the voice
    progress, workers = batch(LINES)
    assert progress.done_before == 19 and progress.done == 41
    done = {entry["text"] for entry in before}
    assert not done & {request.text for request in workers.submitted}
    assert entries(tmp_path / "out") == entries(tmp_path / "whole")
    assert len(list(read_entries(tmp_path / "out"))) == len(LINES)
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


def test_a_torn_last_entry_is_mended_and_its_line_done_again(batch, tmp_path):
    batch(LINES)
    path = tmp_path / "out" / "manifest.jsonl"
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in (1, len(last) // 2, len(last) - 1):
        path.write_bytes(whole[:-cut])
        progress, workers = batch(LINES)
        assert progress.done == 1 and len(workers.submitted) == 1
        assert path.read_bytes() == whole


def test_entries_that_no_run_wrote_are_left_out(batch, tmp_path, caplog):
    batch(LINES[:1])
    path = tmp_path / "out" / "manifest.jsonl"
    with path.open("ab") as file:
        file.write(b'\xff\n[]\n' + b"[" * 100_000 + b'\n{"id": "\\ud800"}\n'
                   b'{"id": "u1", "digest": "\\udfff"}\n')
    progress, _ = batch(LINES[:2])
    assert (progress.done_before, progress.done) == (1, 1)
    assert "5 lines are damaged" in caplog.text


@pytest.mark.parametrize("kind", ["folder", "file", "pipe", "link"])
@pytest.mark.parametrize("name", [".partial", ".line-index"])
def test_what_lies_in_the_way_is_replaced_or_named(batch, tmp_path, name, kind):
    """No run leaves it; but none may wait for it, or follow a link out of the folder."""
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / name
    kept = tmp_path / "kept" / "file"
    kept.parent.mkdir()
    kept.write_text("kept")
    {"folder": path.mkdir, "file": path.touch, "pipe": lambda: os.mkfifo(path),
     "link": lambda: path.symlink_to(kept.parent)}[kind]()
    if (name, kind) == (".line-index", "folder"):
        with pytest.raises(OutputError, match=r"line-index cannot be written: Is a directory\."):
            batch(LINES[:1])
    else:
        assert batch(LINES[:1])[0].done == 1
        assert not path.exists()
    assert kept.read_text() == "kept"


def test_bad_lines_are_recorded_and_the_run_goes_on(batch, tmp_path):
    bad = {
        "not_json": (b"{text}", "invalid_json"),
        "nan": (b'{"text": "A.", "temperature": NaN}', "invalid_json"),
        "not_utf8": (b'{"text": "\xff"}', "invalid_json"),
        "array": (b'["A."]', "invalid_json"),
        "deep": (b"[" * 100_000, "invalid_json"),
        "twice": (b'{"text": "A.", "text": "B."}', "invalid_json"),
        "surrogate": (b'{"text": "\\ud800"}', "not_unicode"),
        "large": (b'{"text": "' + b"a" * (3 << 20) + b'"}', "line_too_long"),
        "long_text": ({"text": "a" * 60_000}, "text_too_long"),
        "no_text": ({"id": "x"}, "no_text"),
        "blank": ({"text": "  "}, "no_text"),
        "unknown": ({"text": "A.", "vioce": "alloy"}, "unknown_field"),
        "style": ({"text": "A.", "style": {"tempo": 2}}, "unknown_field"),
        "style_twice": ({"text": "A.", "pitch": "low", "style": {"pitch": "low"}},
                        "invalid_field"),
        "no_style": ({"text": "A.", "style": "female"}, "invalid_field"),
        "type": ({"text": 5}, "invalid_field"),
        "level": ({"text": "A.", "pitch": "shrill"}, "invalid_line"),
        "seed": ({"text": "A.", "seed": -1}, "invalid_line"),
        "huge": (b'{"text": "A.", "seed": ' + b"9" * 400 + b"}", "invalid_field"),
        "digits": (b'{"text": "A.", "seed": ' + b"9" * 9000 + b"}", "invalid_json"),
        "two_voices": ({"text": "A.", "voice": "alloy", "gender": "male"}, "voice_and_gender"),
        "no_recording": ({"text": "A.", "voice": "alloy", "prompt_text": "B."}, "invalid_field"),
        "number_pitch": ({"text": "A.", "pitch": 200}, "number_needs_gender"),
        "unknown_voice": ({"text": "A.", "voice": "nobody"}, "unknown_voice"),
        "no_file": ({"text": "A.", "voice": "none/voice.json"}, "invalid_line"),
        "same_id": ({"id": "u1", "text": "A."}, "duplicate_id"),
        "other_id": ({"id": "line-00000001", "text": "A."}, "invalid_id"),
        "long_id": ({"id": 10**300, "text": "A."}, "text_too_long"),
        "silence": ({"text": "silence"}, "no_speech"),
    }
    lines = [LINES[0], LINES[1], *(line for line, _ in bad.values()), LINES[2]]
    progress, _ = batch(lines)
    assert progress.done == 3 and progress.failed == len(bad)
    failed = {entry["line"]: entry for entry in read_entries(tmp_path / "out")
              if "error" in entry}
    for number, (name, (_, code)) in enumerate(bad.items(), 3):
        error = failed[number]["error"]
        assert error["code"] == code, (name, error)
        assert "\n" not in error["message"] and len(error["message"]) < 500
    messages = {name: failed[number]["error"]["message"] for number, name in enumerate(bad, 3)}
    for name, word in (("unknown", "'vioce'"), ("type", "text is 5"), ("same_id", "Line 2"),
                       ("level", "pitch is 'shrill'"), ("seed", "seed is -1")):
        assert word in messages[name]
    again, workers = batch(lines)
    assert again.failed_before == len(bad) and not workers.submitted
    again, workers = batch(lines, retry_failed=True)
    assert again.failed == len(bad) and again.done_before == 3
    assert [request.text for request in workers.submitted] == ["silence"]


def test_failed_lines_are_done_again_where_they_were_corrected(batch, tmp_path):
    lines = [{"id": "a", "text": "silence"}, {"id": "b", "text": "silence"}]
    batch(lines)
    progress, _ = batch([{"id": "a", "text": "Aloud."}, lines[1]])
    assert (progress.done, progress.failed_before) == (1, 1)
    assert entries(tmp_path / "out")["a"]["text"] == "Aloud."


def test_a_line_that_is_done_and_was_changed_is_refused(batch, tmp_path):
    batch(LINES)
    before = _files(tmp_path / "out")
    changed = [*LINES[:5], {"id": "u5", "text": "Something else."}, *LINES[6:]]
    with pytest.raises(InputError) as refused:
        batch(changed)
    assert refused.value.code == "changed_line"
    assert "line 6, 'u5'" in refused.value.message()
    assert _files(tmp_path / "out") == before
    batch([json.dumps(line, indent=None, separators=(" , ", " :  ")).encode() for line in LINES])


def test_other_settings_are_refused(batch, tmp_path):
    batch(LINES[:2])
    with pytest.raises(InputError, match=r"seed 0, not 7") as refused:
        batch(LINES[:2], seed=7)
    assert refused.value.code == "other_settings"
    (tmp_path / "out" / "settings.json").unlink()
    with pytest.raises(InputError, match="no settings"):
        batch(LINES[:2])


def test_a_model_that_is_not_on_this_machine_is_compared_when_it_is(tmp_path):
    for model in (None, "a", None, "a"):
        with open_output(tmp_path, "wav", {"model": model}):
            pass
    with pytest.raises(InputError, match="model 'a', not 'b'"), \
            open_output(tmp_path, "wav", {"model": "b"}):
        pass


def test_a_machine_that_fails_stops_the_run(batch, tmp_path):
    class Failing(FakeWorkers):
        def finished(self):
            if self._voices:
                return super().finished()
            key, _ = self._queue.pop(0)
            return [(key, SparkTTSError("It failed.", code="internal_error"))]

    with pytest.raises(SparkTTSError, match="It failed"):
        batch(LINES, workers=Failing())
    assert len(entries(tmp_path / "out")) == run_module.MAX_FAILURES


def test_without_anything_to_do_no_workers_are_opened(batch):
    batch(LINES)
    progress, workers = batch(LINES)
    assert progress.done_before == len(LINES) and not workers.closed
    assert batch([], "empty")[0].lines == 0


def test_files_are_spread_over_folders(batch, tmp_path):
    progress, _ = batch([{"text": f"{n}."} for n in range(2100)])
    folders = {path.name: len(list(path.iterdir()))
               for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"00000": 1000, "00001": 1000, "00002": 100}
    assert progress.done == 2100


def test_ids_cannot_leave_the_folder(batch, tmp_path):
    ids = ["../../x", "/etc/x", "..", ".hidden", "a b", "a/b", "a\0b", "中文", "x" * 200, "CON",
           "a_b", 12]
    batch([{"id": line_id, "text": f"{n}."} for n, line_id in enumerate(ids)])
    written = entries(tmp_path / "out")
    assert sorted(written) == sorted(map(str, ids))
    files = [tmp_path / "out" / entry["file"] for entry in written.values()]
    assert len(set(files)) == len(ids)
    assert {path.parent for path in files} == {tmp_path / "out" / "00000"}
    assert all(path.resolve().parent == tmp_path / "out" / "00000" for path in files)


@pytest.mark.parametrize("failing", ["audio", "manifest"])
def test_a_full_disk_loses_nothing(batch, tmp_path, monkeypatch, failing):
    batch(LINES, "whole")
    written = []

    def check_space():
        written.append(1)
        if len(written) > 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_bytes = Path.write_bytes
    write = os.write

    def write_audio(path, content):
        if path.name == "file":
            write_bytes(path, content[:10])
            check_space()
        write_bytes(path, content)

    def write_entry(descriptor, content):
        """Half of an entry is written before the disk is full."""
        try:
            check_space()
        except OSError:
            write(descriptor, bytes(content)[:50])
            raise
        return write(descriptor, content)

    if failing == "audio":
        monkeypatch.setattr(Path, "write_bytes", write_audio)
    else:
        monkeypatch.setattr("sparktts_ms.batch.manifest.os.write", write_entry)
    with pytest.raises(OutputError, match="No space left"):
        batch(LINES)
    monkeypatch.undo()
    manifest = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    assert manifest.endswith(b"}\n") and len(manifest.splitlines()) == 30
    batch(LINES)
    assert _files(tmp_path / "out") == _files(tmp_path / "whole")


def _files(folder):
    """What the folder holds: the content of each file; of the manifest, its entries by id."""
    return {path.relative_to(folder): (entries(folder) if path.name == "manifest.jsonl"
                                       else path.read_bytes())
            for path in sorted(folder.rglob("*")) if path.is_file()}
