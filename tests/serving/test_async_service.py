"""Requests of an event loop to the engine."""

import asyncio
import gc
import threading
import weakref

import numpy as np
import pytest
import soundfile

from sparktts_ms import SpeechRequest
from sparktts_ms.errors import AudioError, InputError, ServiceClosed
from sparktts_ms.qwen2.sampling import Sampling
from sparktts_ms.serving.async_service import MAX_READERS, MAX_UNREAD_SECONDS, AsyncService
from sparktts_ms.serving.monitoring.metrics import Metrics
from sparktts_ms.serving.recordings import encoder
from sparktts_ms.serving.settings import Settings
from sparktts_ms.voice import Voice
from tests.helpers import LONG_TEXT, PROMPT, wait_until

SAMPLING = Sampling(seed=3, max_new_tokens=120)
REQUEST = SpeechRequest("Hello there.", gender="female", sampling=SAMPLING)
LONG = SpeechRequest(LONG_TEXT, gender="female", sampling=SAMPLING)


def make_speech(service, **settings):
    speech = AsyncService(Settings(**settings), Metrics())
    if service is not None:
        speech.start(service)
    return speech


def value(speech, name, **labels):
    return speech.metrics.registry.get_sample_value(f"spark_tts:{name}", labels)


def is_idle(service):
    return wait_until(lambda: not service.jobs and not service.tts.engine.active)


def test_a_stream_gives_the_samples_of_the_library(service):
    speech = make_speech(service)

    async def read():
        async with await speech.submit(REQUEST, api="openai", chunks=None) as stream:
            samples = [samples async for samples in stream]
        return np.concatenate(samples), stream

    samples, stream = asyncio.run(read())
    expected = service.submit(REQUEST).result()
    assert np.array_equal(samples, expected.samples)
    assert stream.usage.output_tokens == len(expected.generated_ids)
    assert stream.usage.input_tokens > 0
    assert stream.seconds == pytest.approx(expected.seconds)
    assert value(speech, "request_success_total", api="openai") == 1
    assert value(speech, "audio_seconds_total", api="openai") == pytest.approx(expected.seconds)
    assert value(speech, "time_to_first_audio_seconds_count", api="openai") == 1
    assert value(speech, "request_queue_time_seconds_count", api="openai") == 1
    assert speech.num_requests == 0


def test_leaving_early_frees_the_slot(service):
    speech = make_speech(service)

    async def leave():
        async with await speech.submit(LONG, api="openai") as stream:
            async for _ in stream:
                assert value(speech, "num_requests_running") == 1
                break

    asyncio.run(leave())
    assert is_idle(service)
    assert value(speech, "request_cancelled_total", api="openai") == 1
    assert speech.num_requests == 0


def test_a_cancelled_task_frees_the_slot_at_any_moment(service):
    speech = make_speech(service)

    async def read():
        async with await speech.submit(LONG, api="openai") as stream:
            async for _ in stream:
                pass

    async def cancel_after(seconds):
        task = asyncio.create_task(read())
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for seconds in (0, 0.001, 0.01, 0.05, 0.3):
        asyncio.run(cancel_after(seconds))
        assert is_idle(service)
        assert speech.num_requests == 0


def test_beyond_the_queue_requests_are_refused(service):
    slots = service.tts.llm.num_slots
    speech = make_speech(service, max_queue=2)

    async def fill():
        streams = [await speech.submit(LONG, api="openai") for _ in range(slots + 2)]
        with pytest.raises(InputError) as caught:
            await speech.submit(REQUEST, api="openai")
        for stream in streams:
            stream.end()
        return caught.value

    assert asyncio.run(fill()).code == "busy"
    assert value(speech, "request_failure_total", api="openai", code="busy") == 1
    assert is_idle(service)


def test_requests_wait_for_the_model():
    speech = make_speech(None)
    with pytest.raises(ServiceClosed) as caught:
        asyncio.run(speech.submit(REQUEST, api="openai"))
    assert caught.value.code == "loading"
    assert value(speech, "ready") == 0


@pytest.mark.parametrize("seconds, told", [(60, False), (0, True)])
def test_draining_finishes_or_tells(service, seconds, told):
    speech = make_speech(service)
    request = REQUEST if not told else LONG
    received = []

    async def read():
        async with await speech.submit(request, api="openai") as stream:
            draining = asyncio.get_running_loop().run_in_executor(None, speech.drain, seconds)
            while speech.state != "draining":
                await asyncio.sleep(0.01)
            with pytest.raises(ServiceClosed) as caught:
                await speech.submit(REQUEST, api="openai")
            assert caught.value.code == "draining"
            try:
                async for samples in stream:
                    received.append(samples)
            finally:
                stream.end()
                await draining

    if told:
        with pytest.raises(ServiceClosed):
            asyncio.run(read())
    else:
        asyncio.run(read())
        assert sum(map(len, received)) > 0
    assert speech.num_requests == 0
    assert is_idle(service)


def test_too_long_a_text_is_refused(service):
    speech = make_speech(service)
    request = SpeechRequest("a" * 20_001, gender="female")
    with pytest.raises(InputError, match="20,001 characters; at most 20,000"):
        asyncio.run(speech.submit(request, api="openai"))


def test_recordings_as_bytes_and_as_samples_give_the_same_voice(service, tmp_path):
    speech = make_speech(service)
    samples, rate = soundfile.read(PROMPT, dtype="float32")
    assert rate == 16000

    async def encode():
        return (await speech.encode_voice(PROMPT.read_bytes()),
                await speech.encode_voice(samples))

    by_bytes, by_samples = asyncio.run(encode())
    assert np.array_equal(by_bytes.global_ids, service.encode_voice(PROMPT).global_ids)
    assert np.array_equal(by_samples.global_ids, by_bytes.global_ids)


@pytest.mark.parametrize("method", ["tokenize", "encode_voice"])
def test_what_fails_holds_no_memory(service, method):
    """Until the garbage collector runs: it counts objects, not that a recording is large."""
    speech = make_speech(service)
    kept = []

    async def fail():
        samples = np.zeros(48000, np.float32)           # silent
        kept.append(weakref.ref(samples))
        with pytest.raises(AudioError, match="silent"):
            await getattr(speech, method)(samples)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(fail())
        assert wait_until(lambda: kept[0]() is None, 2)
    finally:
        gc.enable()


def test_voices_are_remembered_by_recording_and_transcript(service, monkeypatch):
    monkeypatch.setattr(encoder, "MAX_VOICES", 2)
    speech = make_speech(service)
    audio = PROMPT.read_bytes()
    longer = audio + bytes(2)
    read = []
    monkeypatch.setattr(service, "encode_voice", lambda path, text: read.append(text) or object())

    async def encode(*requests):
        return [await speech.encode_voice(*request) for request in requests]

    first, again, other = asyncio.run(encode((audio,), (audio,), (audio, "Said.")))
    assert first is again and other is not first and read == [None, "Said."]
    asyncio.run(encode((longer,), (audio, "Said."), (audio,)))
    assert read == [None, "Said.", None, None]         # the oldest had been forgotten


def test_a_slow_reader_holds_nobody_and_little_memory(service):
    speech = make_speech(service)
    request = SpeechRequest(LONG_TEXT, gender="female", sampling=Sampling(seed=3))

    async def read_slowly():
        async with await speech.submit(request, api="openai") as slow:
            async for _ in slow:
                break
            while service.tts.engine.active:            # it has enough to read
                await asyncio.sleep(0.05)
            unread = slow.job.seconds
            async with await speech.submit(REQUEST, api="openai") as other:
                assert sum([len(samples) async for samples in other]) > 0
            assert slow.job.seconds == unread and not slow.job.chunks
            async for _ in slow:                        # it goes on where somebody reads
                if slow.seconds > unread + 1:
                    break
        return unread

    unread = asyncio.run(read_slowly())
    assert MAX_UNREAD_SECONDS < unread < MAX_UNREAD_SECONDS + 5
    assert is_idle(service)


def test_many_recordings_do_not_delay_requests_in_other_voices(service, monkeypatch):
    speech = make_speech(service)
    go_on = threading.Event()
    reading = []

    def encode_voice(path, transcript=None):
        reading.append(path)
        go_on.wait(60)
        return Voice(np.zeros(32, np.int32))

    monkeypatch.setattr(service, "encode_voice", encode_voice)

    async def scenario():
        recordings = [asyncio.ensure_future(speech.encode_voice(bytes([n]))) for n in range(40)]
        async with await speech.submit(REQUEST, api="openai") as stream:
            num_chunks = [len(samples) async for samples in stream]
        assert num_chunks and len(reading) <= MAX_READERS and speech.num_requests == 40
        go_on.set()
        await asyncio.gather(*recordings)

    asyncio.run(scenario())
    assert len(reading) == 40 and speech.num_requests == 0
