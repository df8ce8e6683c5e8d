"""Engines on a Ray cluster, which speak what their process's number is: see fakes.py."""

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty

import httpx
import numpy as np
import pytest
import ray
from ray import serve
from websockets.sync.client import connect

from sparktts_ms.errors import AudioError, InputError, OutputError
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.serving.distributed.engine import recording_id
from sparktts_ms.serving.distributed.remote_speech import EngineError, RemoteJob, RemoteService
from sparktts_ms.serving.ray_app import MAX_ONGOING, build, default_resources
from tests.helpers import ROOT, wait_until
from tests.serving.distributed.conftest import speech
from tests.serving.distributed.fakes import CHUNK, LONG_CHUNKS, NUM_CHUNKS, SAMPLE_RATE, voice


def numbers(sound):
    """Of the processes that spoke, a chunk each."""
    samples = np.frombuffer(sound, "<i2")[::CHUNK]
    return [int(sample) for sample in samples]


def number(pid):
    return pid % 30000


class Reader(threading.Thread):
    """Reads a stream in the background. `sound` so far; `error` if it broke off."""

    def __init__(self, url, text, **fields):
        super().__init__(daemon=True)
        self.url, self.text, self.fields = url, text, fields
        self.sound = b""
        self.status = None
        self.headers = {}
        self.error = None
        self.start()

    def run(self):
        try:
            with speech(self.url, self.text, **self.fields) as response:
                self.status, self.headers = response.status_code, response.headers
                for data in response.iter_raw():
                    self.sound += data
        except httpx.HTTPError as error:
            self.error = error


def kill_and_wait(cluster, name, pid):
    """Kill a replica; returns when another one has its place."""
    count = len(cluster.replicas(name))
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: pid not in cluster.replicas(name).values()
                      and len(cluster.replicas(name)) == count, 60)


def test_each_engine_has_a_device(cluster, engines):
    replicas = cluster.replicas("engines")
    assert len(replicas) == 2
    details = serve.context._get_global_client().get_serve_details()
    engine = details["applications"]["engines"]["deployments"]["Engine"]
    assert engine["required_resources"]["NPU"] == 1
    assert engine["deployment_config"]["max_ongoing_requests"] == MAX_ONGOING


def test_streams_share_the_engines(cluster, engines):
    with ThreadPoolExecutor(16) as pool:
        readers = list(pool.map(lambda _: Reader(engines, "slow speech"), range(16)))
        for reader in readers:
            reader.join()
    spoken = [numbers(reader.sound) for reader in readers]
    assert all(len(of_one) == NUM_CHUNKS and len(set(of_one)) == 1 for of_one in spoken)
    speakers = {of_one[0] for of_one in spoken}
    assert speakers == {number(pid) for pid in cluster.replicas("engines").values()}


def test_samples_arrive_while_they_are_made(engines):
    begin = time.monotonic()
    with speech(engines, "slow speech") as response:
        stream = response.iter_raw()
        next(stream)
        first = time.monotonic() - begin
        for _ in stream:
            pass
    assert first < 0.6 * (time.monotonic() - begin)


def test_a_killed_engine_ends_its_streams_only(cluster, engines):
    readers = [Reader(engines, "slow speech") for _ in range(8)]
    assert wait_until(lambda: all(len(reader.sound) > 2 * CHUNK for reader in readers))
    pids = list(cluster.replicas("engines").values())
    victim, other = pids
    kill_and_wait(cluster, "engines", victim)
    for reader in readers:
        reader.join()
    lost = [reader for reader in readers if numbers(reader.sound)[0] == number(victim)]
    kept = [reader for reader in readers if numbers(reader.sound)[0] == number(other)]
    assert lost and kept and len(lost) + len(kept) == 8
    assert all(isinstance(reader.error, httpx.RemoteProtocolError) for reader in lost)
    assert all(reader.error is None and numbers(reader.sound) == [number(other)] * NUM_CHUNKS
               for reader in kept)
    reader = Reader(engines, "fast speech")
    reader.join()
    assert reader.status == 200 and len(numbers(reader.sound)) == NUM_CHUNKS


def test_event_streams_say_that_the_engine_failed(cluster, engines):
    reader = Reader(engines, "slow speech", stream_format="sse")
    assert wait_until(lambda: reader.sound.count(b"speech.audio.delta") >= 2)
    first = json.loads(reader.sound.split(b"\n\n")[0].removeprefix(b"data: "))
    speaker = numbers(base64.b64decode(first["audio"]))[0]
    pid = next(pid for pid in cluster.replicas("engines").values() if number(pid) == speaker)
    kill_and_wait(cluster, "engines", pid)
    reader.join()
    events = [json.loads(event.removeprefix(b"data: "))
              for event in reader.sound.split(b"\n\n") if event.startswith(b"data: ")]
    assert events[-1]["type"] == "speech.audio.error"
    assert events[-1]["error"]["message"] == (
        "The engine that spoke has failed. Send the request again.")


@pytest.mark.slow
def test_a_request_without_sound_yet_goes_to_another_engine(cluster):
    url = cluster.run("retry", 2, health_check_period_s=1)
    victim, _ = cluster.replicas("retry").values()
    os.kill(victim, signal.SIGKILL)
    readers = [Reader(url, "fast speech") for _ in range(8)]
    for reader in readers:
        reader.join()
    assert [reader.status for reader in readers] == [200] * 8
    assert all(number(victim) not in numbers(reader.sound) for reader in readers)
    serve.delete("retry", _blocking=False)


@pytest.mark.slow
def test_a_stuck_engine_is_replaced(cluster):
    url = cluster.run("stuck", 1, health_check_period_s=1, health_check_timeout_s=2,
                      graceful_shutdown_timeout_s=1)
    pid, = cluster.replicas("stuck").values()
    reader = Reader(url, "stuck speech")
    assert wait_until(lambda: cluster.replicas("stuck")
                      and pid not in cluster.replicas("stuck").values(), 60)
    another = Reader(url, "fast speech")
    another.join()
    assert another.status == 200 and number(pid) not in numbers(another.sound)
    del reader
    serve.delete("stuck", _blocking=False)


@pytest.mark.slow
def test_a_full_queue_gives_429(cluster):
    url = cluster.run("full", 1, max_ongoing_requests=2, max_queued_requests=3)
    readers = [Reader(url, "slow speech") for _ in range(12)]
    for reader in readers:
        reader.join()
    statuses = [reader.status for reader in readers]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 5
    refused = [reader for reader in readers if reader.status == 429]
    assert all(int(reader.headers["retry-after"]) > 0 for reader in refused)
    assert all("busy" in json.loads(reader.sound)["error"]["message"] for reader in refused)
    serve.delete("full", _blocking=False)


@pytest.mark.slow
def test_engines_come_and_go_with_the_load(cluster):
    scaling = {"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 2,
               "upscale_delay_s": 1, "downscale_delay_s": 3, "look_back_period_s": 2,
               "metrics_interval_s": 0.5}
    url = cluster.run("scaled", 1, autoscaling_config=scaling)
    assert len(cluster.replicas("scaled")) == 1
    done = threading.Event()

    def speak():
        while not done.is_set():
            with speech(url, "slow speech") as response:
                assert response.status_code == 200 and len(numbers(response.read())) == NUM_CHUNKS

    with ThreadPoolExecutor(6) as pool:
        work = [pool.submit(speak) for _ in range(6)]
        try:
            grown = wait_until(lambda: len(cluster.replicas("scaled")) == 2, 60)
        finally:
            done.set()
        for one in work:
            one.result()
    assert grown
    assert wait_until(lambda: len(cluster.replicas("scaled")) == 1, 60)
    serve.delete("scaled", _blocking=False)


def test_a_recording_is_encoded_by_one_engine(cluster, engines):
    handle = serve.get_deployment_handle("Engine", "engines")
    recordings = [b"recording %d" % number for number in range(16)]

    def encode(recording):
        engine = handle.options(multiplexed_model_id=recording_id(recording, None))
        voice = engine.encode_voice.remote(recording, None).result()
        return int(voice.global_ids[0])         # of the process that encoded it

    first = [encode(recording) for recording in recordings]
    later = [[encode(recording) for recording in recordings] for _ in range(6)]
    assert all(again == first for again in later)
    assert len(set(first)) == 2                 # both engines have some


def test_errors_of_an_engine_reach_the_caller(engines):
    service = RemoteService(serve.get_deployment_handle("Engine", "engines"))
    with pytest.raises(AudioError, match="the recording is no speech"):
        service._call(service._engines.encode_voice, b"noise", None)
    reader = Reader(engines, "refused text")
    reader.join()
    assert reader.status == 400 and b"This text is refused." in reader.sound


def test_what_nobody_expected_of_an_engine_is_one_line(engines):
    service = RemoteService(serve.get_deployment_handle("Engine", "engines"))
    with pytest.raises(EngineError, match=r"^ValueError: It broke\.$"):
        service._call(service._engines.encode_voice, b"broken", None)
    with pytest.raises(OutputError, match="cannot be kept: No space left on device"):
        service._call(service._engines.encode_voice, b"full disk", None)
    reader = Reader(engines, "broken speech")
    reader.join()
    assert reader.status == 500 and b"its log has the details" in reader.sound


def leave(url):
    """Send a request, and hang up while it waits."""
    body = {"model": "spark-tts", "input": "fast speech", "voice": "alloy"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/v1/audio/speech", json=body, timeout=httpx.Timeout(60, read=1))


@pytest.mark.slow
def test_a_client_that_leaves_the_queue_makes_room(cluster):
    url = cluster.run("left", 1, max_ongoing_requests=2, max_queued_requests=3)
    speakers = [Reader(url, "endless speech") for _ in range(2)]
    assert wait_until(lambda: all(reader.sound for reader in speakers))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: leave(url), range(3)))

    def accepted():
        """Whether three requests may wait: they are not refused at once."""
        try:
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(lambda _: leave(url), range(3)))
        except pytest.fail.Exception:
            return False
        return True

    assert wait_until(accepted, 20)
    logs = Path(ray._private.worker._global_node.get_session_dir_path(), "logs", "serve")
    (log,) = logs.glob("replica_left_SpeechServer_*.log")
    assert "Failed to route request after" not in log.read_text()      # 50 times, without a pause
    serve.delete("left", _blocking=False)


def test_websockets_speak(engines):
    address = engines.replace("http", "ws")
    path = "/v1/text-to-speech/alloy/stream-input?output_format=pcm_16000"
    with connect(address + path, open_timeout=30) as socket:
        for text in (" ", "fast speech ", ""):
            socket.send(json.dumps({"text": text}))
        messages = []
        while not messages or not messages[-1].get("isFinal"):
            messages.append(json.loads(socket.recv(30)))
    sound = b"".join(base64.b64decode(message["audio"]) for message in messages
                     if message.get("audio"))
    assert len(numbers(sound)) == NUM_CHUNKS


def exported():
    """Lines of what Ray exports."""
    port = ray.nodes()[0]["MetricsExportPort"]
    return httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()


def slots_used():
    """Of the engines in the application `engines`, together."""
    lines = [line for line in exported() if line.startswith("ray_spark_tts_num_slots_used{")
             and 'application="engines"' in line]
    return sum(float(line.split()[-1]) for line in lines)


def test_a_client_that_leaves_ends_its_request(engines):
    assert wait_until(lambda: slots_used() == 0)
    with speech(engines, "endless speech") as response:
        stream = response.iter_raw()        # httpx closes the stream when this one goes
        next(stream)
        assert wait_until(lambda: slots_used() == 1)
    assert wait_until(lambda: slots_used() == 0)


@pytest.mark.slow
def test_an_engine_waits_for_a_slow_reader(engines):
    """Speech of 200 s is made in 10 s; of it, about 60 s are sent ahead of a reader that stops."""
    service = RemoteService(serve.get_deployment_handle("Engine", "engines"))
    waits = []

    async def read():
        job = RemoteJob(service, SpeechRequest("long speech", voice(1)), None, lambda: None)
        await job.start()
        await asyncio.sleep(15)
        unread = job._num_unread
        count = 0
        while True:
            try:
                samples = job.read_nowait()
            except Empty:
                waits.append(count)
                await asyncio.sleep(0.01)
                continue
            if samples is None:
                return unread, count
            count += len(samples)

    unread, count = asyncio.run(read())
    assert 60 * SAMPLE_RATE < unread < 100 * SAMPLE_RATE
    assert count == LONG_CHUNKS * CHUNK and waits


def test_metrics_are_exported_by_ray(engines):
    wanted = ("num_requests_running", "num_requests_waiting", "num_slots_used", "ready",
              "request_success_total", "time_to_first_audio_seconds_bucket",
              "audio_seconds_total", "recordings_encoded_total")

    with speech(engines, "fast speech") as response:
        response.read()
    engine = serve.get_deployment_handle("Engine", "engines")
    engine.encode_voice.remote(b"for the metrics", None).result()

    def missing():
        lines = exported()
        return [name for name in wanted
                if not any(line.startswith(f"ray_spark_tts_{name}{{") for line in lines)]

    assert wait_until(lambda: not missing()), missing()
    assert b"Ray exports" in httpx.get(f"{engines}/metrics").content


@pytest.mark.parametrize("arguments, message", [
    ({"replicas": 3}, "args has 'replicas'. It may have resources, min_replicas, max_replicas."),
    ({"resources": "NPU"}, "resources is 'NPU'. An example: {\"NPU\": 1, \"CPU\": 8}."),
    ({"resources": {"NPU": 0}}, "resources is {'NPU': 0}. An example"),
    ({"min_replicas": "many"}, "min_replicas is 'many'; it must be a number of replicas."),
    ({"min_replicas": 3, "max_replicas": 2}, "min_replicas is 3, more than max_replicas, 2."),
])
def test_arguments_are_checked(cluster, arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        build(arguments)


@pytest.mark.parametrize("cluster_resources, expected", [
    ({"CPU": 192.0, "NPU": 8.0}, {"NPU": 1.0, "CPU": 4.0}),
    ({"CPU": 5.0, "NPU": 2.0}, {"NPU": 1.0, "CPU": 2.0}),
    ({"CPU": 2.0}, {"CPU": 1.0}),
    ({"CPU": 64.0}, {"CPU": 4.0}),
])
def test_an_engine_has_an_npu_where_there_are_any(cluster_resources, expected):
    assert default_resources(cluster_resources) == expected


def test_servers_without_ray_do_not_import_it():
    code = ("import sys, cli.serve, cli.inference, sparktts_ms.serving.app, sparktts_ms; "
            "sparktts_ms.SparkTTS; print('ray' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
