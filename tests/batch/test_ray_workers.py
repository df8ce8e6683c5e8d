"""Workers on a Ray cluster of this machine, with NPUs that Ray believes in: deaths, errors, limits.

Most of them speak without a model; the last test has the demo model, and kills a worker of it.
"""

import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from sparktts_ms.batch.input_file import open_input
from sparktts_ms.batch.line import Defaults, Recording
from sparktts_ms.batch.manifest import read_entries
from sparktts_ms.batch.output import open_output
from sparktts_ms.batch.ray_workers import RayWorkers
from sparktts_ms.batch.run import BatchRun
from sparktts_ms.batch.voices import Voices
from sparktts_ms.errors import DeviceError, InputError, ModelError
from sparktts_ms.serving.voices.store import VoiceStore
from tests.batch import fake_workers
from tests.batch.conftest import entries, write_lines
from tests.batch.fake_workers import FakeWorkers
from tests.helpers import PROMPT, ROOT, free_port, wait_until

ray = pytest.importorskip("ray", reason="needs Ray")
pytestmark = pytest.mark.slow

DEMO = ROOT / "pretrained_models" / "Spark-TTS-demo"
CLUSTER = ("import logging, sys, ray\n"
           "ray.init('local', num_cpus=4, resources={'NPU': 2}, include_dashboard=False,\n"
           "         logging_level=logging.ERROR, _temp_dir=sys.argv[1])\n"
           "print(ray.get_runtime_context().gcs_address, flush=True)\n"
           "sys.stdin.read()\n")


class FakeWorker:
    """As ray_workers.Worker, without a model. Its options say what goes wrong: `log`, a file with a
    line "PID DEVICES RECORDINGS" for each worker and for each exchange; `error` of loading; a text
    "die" ends the process."""

    def __init__(self, options, audio_format):
        self.options = options
        self.workers = FakeWorkers(0.02)

    def load(self):
        if self.options.get("die_in_load"):
            os._exit(1)
        return self.options.get("error")

    def exchange(self, items):
        devices = os.environ.get("ASCEND_RT_VISIBLE_DEVICES", "")
        for key, work in items:
            if getattr(work, "text", None) == "die":
                os._exit(1)
            if isinstance(work, Recording) and work.content != PROMPT.read_bytes():
                raise ValueError("the recording has not come")
            self.workers.submit(key, work)
        with open(self.options["log"], "a") as file:
            file.write(f"{os.getpid()} {devices or '-'} {len(self.workers.voices_made)}\n")
        return self.workers.finished()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster with two NPUs; its process, and its address."""
    folder = tmp_path_factory.mktemp("r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")       # else Ray writes a token to the home folder
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "300")     # on a busy machine
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, f"/tmp/r{os.getpid()}"], cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        address = process.stdout.readline().strip()
        assert address
        yield process, address
        process.communicate("")
    shutil.rmtree(f"/tmp/r{os.getpid()}", ignore_errors=True)


@pytest.fixture
def batch(cluster, tmp_path):
    """Run lines on the cluster: batch(lines, count, **options of FakeWorker)."""
    for module in (fake_workers, sys.modules[__name__]):
        ray.cloudpickle.register_pickle_by_value(module)

    def run(lines, count=2, report=None, **options):
        path = write_lines(tmp_path / "lines.jsonl", lines)
        options = {"log": str(tmp_path / "log"), **options}
        with open_input(str(path)) as source, \
                open_output(tmp_path / "out", "wav", {}) as output:
            voices = Voices(VoiceStore(tmp_path / "voices"))
            return BatchRun(
                source, Defaults({"prompt_speech_path": str(PROMPT)}), output, voices,
                lambda: RayWorkers(cluster[1], options, "wav", count, FakeWorker),
                report=report).run()

    yield run
    ray.shutdown()
    for module in (fake_workers, sys.modules[__name__]):
        ray.cloudpickle.unregister_pickle_by_value(module)


def logged(tmp_path):
    """PID, devices and number of recordings of each exchange."""
    return [line.split() for line in (tmp_path / "log").read_text().splitlines()]


def test_two_workers_have_a_device_each_and_make_a_voice_once(batch, tmp_path):
    progress = batch([{"text": f"Line {n}."} for n in range(150)])
    assert (progress.done, progress.failed) == (150, 0)
    devices = {pid: device for pid, device, _ in logged(tmp_path)}
    assert sorted(devices.values()) == ["0", "1"]
    most = {}
    for pid, _, recordings in logged(tmp_path):
        most[pid] = max(most.get(pid, 0), int(recordings))
    assert sorted(most.values()) == [0, 1]
    assert not ray.is_initialized()


def test_lines_of_a_worker_that_was_killed_are_done_by_others(batch, tmp_path):
    killed = []

    def kill_one(progress):
        if progress.done > 30 and not killed:
            killed.append(int(logged(tmp_path)[-1][0]))
            os.kill(killed[0], signal.SIGKILL)

    progress = batch([{"id": str(n), "text": f"Line {n}."} for n in range(200)], report=kill_one)
    assert killed and (progress.done, progress.failed) == (200, 0)
    assert len(list(read_entries(tmp_path / "out"))) == 200
    assert len({pid for pid, _, _ in logged(tmp_path)}) == 3        # the capacity came back


def test_a_line_that_kills_its_workers_fails_in_the_end(batch, tmp_path):
    lines = [{"id": "poison", "text": "die"}]
    progress = batch(lines, count=1)
    assert (progress.done, progress.failed) == (0, 1)
    error = entries(tmp_path / "out")["poison"]["error"]
    assert error["code"] == "worker_died" and "3 times" in error["message"]


def test_what_is_wrong_with_the_model_ends_the_run(batch, tmp_path):
    with pytest.raises(ModelError, match="no model"):
        batch([{"text": "One."}], error=ModelError("There is no model."))
    with pytest.raises(DeviceError, match="Workers die while they load the model"):
        batch([{"text": "One."}], die_in_load=True)
    assert not list(read_entries(tmp_path / "out"))
    with pytest.raises(InputError, match="3 workers need a device each; the cluster has 2 NPU"):
        batch([{"text": "One."}], count=3)
    assert not ray.is_initialized()


def test_a_cluster_that_is_not_there_is_named():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"{address} cannot be reached: Connection refused"):
        RayWorkers(address, {}, "wav")


def test_demo_model_with_a_worker_killed_equals_one_device(cluster, tmp_path):
    lines = [{"id": f"u{n}", "text": f"Number {n} is here.", "prompt_speech_path": str(PROMPT)}
             for n in range(40)]
    write_lines(tmp_path / "lines.jsonl", lines)
    command = [sys.executable, "-m", "cli.batch", "--input", tmp_path / "lines.jsonl",
               "--model_dir", DEMO, "--output"]
    process = subprocess.Popen([*map(str, command), str(tmp_path / "ray"), "--ray", cluster[1]],
                               cwd=ROOT, text=True, stderr=subprocess.PIPE)
    manifest = tmp_path / "ray" / "manifest.jsonl"
    assert wait_until(lambda: manifest.exists() and len(manifest.read_bytes().splitlines()) > 5,
                      seconds=3600)
    workers = [child for child in psutil.Process(cluster[0].pid).children(recursive=True)
               if child.cmdline() and child.cmdline()[0].startswith("ray::Worker")]
    assert len(workers) == 2
    workers[0].kill()
    _, err = process.communicate()
    assert process.returncode == 0 and "A worker died" in err, err
    subprocess.run([*map(str, command), str(tmp_path / "one")], cwd=ROOT, check=True)
    several = entries(tmp_path / "ray")
    assert several == entries(tmp_path / "one") and len(several) == 40
    for entry in several.values():
        content = (tmp_path / "ray" / entry["file"]).read_bytes()
        assert content == (tmp_path / "one" / entry["file"]).read_bytes()
    assert len(list(read_entries(tmp_path / "ray"))) == 40
