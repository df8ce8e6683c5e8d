"""Two engines with the demonstration model, as `serve deploy` starts them, under mixed load."""

import base64
import functools
import os
import random
import signal
import threading
import time

import httpx
import numpy as np
import pytest
from ray import serve

from sparktts_ms import Chunks, Service, SparkTTS, SpeechRequest
from sparktts_ms.qwen2.sampling import Sampling
from tests.helpers import PROMPT, ROOT, wait_until
from tests.serving.distributed.conftest import speech

pytestmark = pytest.mark.slow

MODEL = ROOT / "pretrained_models" / "Spark-TTS-demo"
TEXT = "Welcome to the wonderful garden."
LONG = "The garden is open until the evening, and everybody may come. " * 12


def load():
    """The service of a replica."""
    return Service(SparkTTS.from_pretrained(MODEL, device_target="CPU"))


@pytest.fixture(scope="module")
def demo(cluster):
    yield cluster.run("demo", 2, load=load, health_check_period_s=1)
    serve.delete("demo", _blocking=False)


@pytest.fixture(scope="module")
def recording():
    return base64.b64encode(PROMPT.read_bytes()).decode()


def fetch(url, text, **fields):
    """The samples [N] of a text."""
    with speech(url, text, **fields) as response:
        sound = response.read()
        assert response.status_code == 200, sound
    return np.frombuffer(sound, "<i2")


def test_an_engine_speaks_as_the_library(demo, recording):
    with load() as service:
        voice = service.encode_voice(PROMPT)
        request = SpeechRequest(TEXT, voice, sampling=Sampling(seed=7))
        expected = np.concatenate(list(service.submit(request, chunks=Chunks())))
    samples = fetch(demo, TEXT, ref_audio=recording, seed=7)
    assert len(samples) == len(expected)
    assert np.max(np.abs(samples - expected * 32767)) <= 1


def test_mixed_load_and_a_killed_engine(cluster, demo, recording):
    """Short and long texts, cloned voices, events and leavers; one of the engines is killed."""
    requests = [
        functools.partial(fetch, demo, TEXT, voice="alloy"),
        functools.partial(fetch, demo, TEXT, ref_audio=recording),
        functools.partial(fetch, demo, LONG, voice="echo"),
        functools.partial(leave, demo),
    ]
    outcomes = []

    def speak(number):
        choose = random.Random(number)
        for _ in range(4):
            try:
                choose.choice(requests)()
                outcomes.append("ok")
            except httpx.RemoteProtocolError:
                outcomes.append("broken off")

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(outcomes) >= 4, 120)
    victim = next(iter(cluster.replicas("demo").values()))
    os.kill(victim, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(outcomes) == 32
    assert outcomes.count("broken off") <= 8        # at most one of each client
    assert wait_until(lambda: len(cluster.replicas("demo")) == 2, 120)
    assert len(fetch(demo, TEXT, voice="alloy")) > 8000


def leave(url):
    """Leave after the first bytes."""
    with speech(url, LONG, voice="onyx", response_format="mp3", sample_rate=None) as response:
        stream = response.iter_raw()
        next(stream)
        time.sleep(0.2)
