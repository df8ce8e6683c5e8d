"""The rehearsal's table, and what it says of processes that fail."""

import json
import os
import subprocess
import sys

import pytest

from tests.ascend.log import tally
from tests.ascend.standin import build
from tools import ascend_rehearsal
from tools.ascend_process import ROOT, Worker, WorkerError
from tools.ascend_worker import figures

# A worker with answers of its own: a section "broken" fails, "crash" ends the process.
WORKER = """
import json, os, sys
for number, line in enumerate(sys.stdin):
    request = json.loads(line)
    if request["section"] == "crash":
        print("[ERROR] something", "what():  No such device", "- C++ Call Stack", "a.cc:1",
              sep="\\n", file=sys.stderr)
        os._exit(3)
    if request["section"] == "broken":
        answer = {"error": "ValueError: no such operator"}
    elif request["do"] == "count":
        answer = {"launches": 300, "aclop": 0, "h2d": 2, "d2h": 2, "d2d_bytes": 4, "syncs": 3}
    else:
        answer = {"milliseconds": [float(sys.argv[1])] * request["steps"]}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def workers():
    def worker(name: str, milliseconds: str) -> Worker:
        return Worker(name, [sys.executable, "-c", WORKER, milliseconds], dict(os.environ))

    with worker("this", "3.0") as this, worker("old", "12.0") as other:
        yield [this, other]


def measure(workers, *sections: str, rounds: int) -> dict:
    turns = [(worker, section) for section in sections for worker in workers]
    results = ascend_rehearsal.count_calls(turns)
    ascend_rehearsal.add_times(results, turns, rounds)
    return results


def test_sections_are_counted_and_timed(workers):
    results = measure(workers, "prenet", rounds=3)
    assert results["this"]["prenet"]["launches"] == 300
    assert results["this"]["prenet"]["host_ms"] == 3.0
    ascend_rehearsal.add_ratios(results["this"], results["old"])
    assert results["this"]["prenet"]["ratio"] == 0.25
    text = ascend_rehearsal.table(results["this"])
    assert text.splitlines()[1].split() == [
        "prenet", "300", "0", "2", "2", "4", "3", "3.0", "0.25"]


def test_a_section_that_fails_does_not_stop_the_rest(workers):
    results = measure(workers, "broken", "crash", "prenet", rounds=1)["this"]
    assert results["broken"] == {"error": "ValueError: no such operator"}
    assert results["crash"] == {
        "error": "the process of this ended with 3: what():  No such device"}
    assert results["prenet"]["host_ms"] == 3.0
    assert "no such operator" in ascend_rehearsal.table(results)


def test_another_revision_is_checked_out(tmp_path):
    ascend_rehearsal.checked_out("HEAD", tmp_path)
    assert (tmp_path / "sparktts_ms" / "__init__.py").is_file()
    with pytest.raises(WorkerError, match="git has no revision nothing"):
        ascend_rehearsal.checked_out("nothing", tmp_path)


def test_a_missing_compiler_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["ascend_rehearsal"])
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    with pytest.raises(SystemExit) as failure:
        ascend_rehearsal.main()
    assert str(failure.value) == "error: the stand-in for CANN needs g++ and binutils"


@pytest.mark.slow
def test_every_section_of_the_tiny_model(tiny_model, tmp_path):
    try:
        build.build()
    except build.Unavailable as error:
        pytest.skip(str(error))
    file = tmp_path / "rehearsal.json"
    command = [sys.executable, "-m", "tools.ascend_rehearsal", "--model_dir", str(tiny_model),
               "--rounds", "1", "--json", str(file)]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(file.read_text(encoding="utf-8"))
    for section in ascend_rehearsal.SECTIONS:
        assert report[section]["launches"] > 0
        assert report[section]["aclop"] == 0
        assert report[section]["host_ms"] > 0
        assert section in output.stdout


LOG = """\
copy host-device 3584 sync
launch aclnnAdd f32[1,896], f32[1,896], 1, f32[1,896]
plan aclnnMm bf16[1,896], bf16[896,896], bf16[1,896], 0
launch aclop:StridedSlice f32[1,8], i32[2] -> f32[1,4] begin_mask=0
launch aclnnAdd f32[1,896], f32[1,896], 1, f32[1,896]
copy device-device 1000 async
copy device-device 24 async
copy host-host 8 sync
copy device-host 256 sync
sync stream
sync device
sync event
"""


def test_the_log_is_counted_by_kind():
    counts = figures(tally(LOG.splitlines()), tally(["sync device"]))
    assert counts == {
        "launches": 3, "aclop": 1, "h2d": 1, "d2h": 1, "d2d": 2, "d2d_bytes": 1024, "syncs": 2,
        "operators": {"aclnnAdd": 2, "aclop:StridedSlice": 1}}
