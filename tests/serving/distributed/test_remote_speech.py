"""The ingress's side, with engines that need no cluster."""

import asyncio
import threading

import numpy as np
import pytest
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import RequestCancelledError

from sparktts_ms.errors import InputError, ServiceClosed
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.serving.async_service import MAX_READERS
from sparktts_ms.serving.distributed.messages import Progress
from sparktts_ms.serving.distributed.remote_speech import RemoteJob, RemoteSpeech
from sparktts_ms.serving.monitoring.metrics import Metrics
from sparktts_ms.serving.settings import Settings
from tests.serving.distributed.fakes import SAMPLE_RATE, voice

REQUEST = SpeechRequest("Hello.", voice(1))


class Queued:
    """A call that waits for an engine: as Serve's, it says itself that it was cancelled."""

    def __init__(self):
        self._cancelled = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._cancelled:
                raise RequestCancelledError("1") from None
            raise

    def cancel(self):
        self._cancelled = True


class Engines:
    """What RemoteSpeech asks; response() is what a call of `speak` returns."""

    sample_rate = SAMPLE_RATE
    num_slots = 16
    stuck_seconds = 0.0

    def __init__(self, response):
        self.calls = 0
        self._response = response

    def speak(self, request, chunks, request_id):
        self.calls += 1
        return self._response()


def test_a_call_that_was_cancelled_is_not_sent_again():
    """Else it would keep its place in Serve's queue, and an engine would speak to nobody."""
    engines = Engines(Queued)

    async def leave():
        speech = RemoteSpeech(Settings(), Metrics())
        speech.start(engines)
        request = asyncio.create_task(speech.submit(REQUEST, api="openai"))
        while not engines.calls:
            await asyncio.sleep(0)
        (stream,) = speech.streams
        assert speech._count(started=False) == 1        # it waits
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        for _ in range(20):
            await asyncio.sleep(0)
        assert engines.calls == 1 and stream.job.done
        assert (speech.num_requests, speech._count(started=False)) == (0, 0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others

    asyncio.run(leave())


def test_a_call_whose_engine_dies_twice_fails():
    async def dies():
        raise ActorDiedError
        yield Progress(None, False, (0, 0))

    engines = Engines(dies)

    async def speak():
        await RemoteJob(engines, REQUEST, None, lambda: None).start()

    with pytest.raises(ServiceClosed, match="has failed"):
        asyncio.run(speak())
    assert engines.calls == 2


class Waiting(Engines):
    """An engine whose `tokenize` waits for `free`."""

    def __init__(self):
        super().__init__(Queued)
        self.free = threading.Event()

    def tokenize(self, samples):
        self.free.wait()
        return len(samples)


def test_calls_that_wait_for_a_thread_are_limited():
    engines = Waiting()

    async def call():
        speech = RemoteSpeech(Settings(max_queue=3), Metrics())
        speech.start(engines)
        calls = [asyncio.create_task(speech.tokenize(np.zeros(number)))
                 for number in range(MAX_READERS + 3)]
        await asyncio.sleep(0)
        with pytest.raises(InputError) as refused:
            await speech.encode_voice(b"recording")
        assert refused.value.code == "busy"
        with speech.in_progress():              # as a request of KServe, whose rows are streams
            assert speech.num_requests == MAX_READERS + 4
        engines.free.set()
        assert await asyncio.gather(*calls) == list(range(MAX_READERS + 3))
        assert await speech.tokenize(np.zeros(5)) == 5
        assert speech.num_requests == 0
        speech.close()

    asyncio.run(call())
