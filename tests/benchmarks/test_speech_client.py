"""One request: what is sent, when its sound counts as heard, and which errors are told apart."""

import asyncio
import json

import httpx
import pytest

from benchmarks.speech_client import Target, request_speech
from tests.benchmarks.fake_server import FakeServer, delta, event, speech, wav_header
from tests.benchmarks.virtual_time import run

SECOND = b"\1\0" * 24_000       # of pcm at 24 kHz


def request(server, text="Hello.", due=None, **fields):
    target = Target("http://server:8000", **fields)

    async def send():
        async with target.client(server.transport) as client:
            return await request_speech(client, target, text, due)

    return run(send())


def test_the_times_of_a_streamed_response():
    server = speech([(0.5, SECOND), (0.25, SECOND), (2.25, SECOND)])
    result = request(server, "Hello there.")
    assert (result.error, result.characters, result.audio_s) == (None, 12, 3.0)
    assert (result.first_audio_s, result.end_to_end_s) == (0.5, 3.0)
    assert (result.underruns, result.gaps_s) == (1, 0.5)            # 2 s from 0.5 on, next at 3.0
    assert result.real_time_factor == 1.0 and result.playback_s == 4.0


def test_latency_counts_from_when_the_request_was_due():
    result = request(speech([(1.0, SECOND)]), due=-2.0)
    assert (result.first_audio_s, result.end_to_end_s) == (3.0, 3.0)


@pytest.mark.parametrize("url", ["http://server:8000", "http://server:8000/", "http://server:8000/v1",
                                 "http://server:8000/v1/", "http://server:8000/v1/audio/speech"])
def test_the_address_may_be_any_part_of_the_endpoint(url):
    assert Target(url).endpoint == "http://server:8000/v1/audio/speech"


def test_the_request_is_that_of_openai_with_further_fields():
    server = speech([(0, SECOND)])
    request(server, api_key="secret", voice="nova", model="m", stream_format="audio",
            extra={"seed": 3})
    assert server.bodies == [{"model": "m", "voice": "nova", "input": "Hello.", "seed": 3,
                              "response_format": "pcm", "stream_format": "audio"}]
    assert server.requests[0].headers["authorization"] == "Bearer secret"


def test_no_key_is_sent_unless_given():
    server = speech([(0, SECOND)])
    request(server)
    assert "authorization" not in server.requests[0].headers
    assert "stream_format" not in server.bodies[0]


@pytest.mark.parametrize("headers, rate", [
    ({}, 24_000), ({"X-Sample-Rate": "16000"}, 16_000),
    ({"Content-Type": "audio/pcm;rate=48000;channels=1"}, 48_000),
    ({"Content-Type": 'audio/L16; rate="8000"'}, 8000),
    ({"X-Sample-Rate": "16000", "Content-Type": "audio/pcm;rate=48000"}, 16_000),
    ({"X-Sample-Rate": "many"}, 24_000), ({"X-Sample-Rate": "9" * 5000}, 24_000),
    ({"X-Sample-Rate": "0"}, 24_000)])
def test_the_rate_of_pcm_is_what_the_response_states(headers, rate):
    result = request(speech([(0, bytes(48_000))], headers=headers))
    assert result.audio_s == 24_000 / rate


def test_another_rate_where_the_response_states_none():
    assert request(speech([(0, bytes(32_000))]), sample_rate=16_000).audio_s == 1.0


@pytest.mark.parametrize("cut", [1, 11, 12, 20, 30, 36, 47, 51, 52, 53, 60])
def test_the_header_of_a_wav_file_is_not_sound(cut):
    more = b"LIST\x05\x00\x00\x00abcde\x00"          # of an odd length, so one byte of padding
    content = wav_header(16_000, more=more) + bytes(32_000)
    server = speech([(1, content[:cut]), (1, content[cut:])])
    result = request(server, response_format="wav")
    assert (result.error, result.audio_s, result.end_to_end_s) == (None, 1.0, 2.0)
    header = len(content) - 32_000
    assert result.first_audio_s == (1.0 if cut > header else 2.0)


@pytest.mark.parametrize("content", [
    b"ID3\4" + bytes(100), wav_header(16_000, channels=2) + bytes(8), wav_header(16_000, kind=3),
    wav_header(16_000, bits=24), wav_header(0), b"RIFF\0\0\0\0WAVE" + bytes(5000)])
def test_what_is_not_pcm_is_an_error(content):
    result = request(speech([(0, content)]), response_format="wav")
    assert result.error == "not_pcm" and result.audio_s is None


def test_events_are_decoded_and_comments_skipped():
    parts = [(1, b": keep-alive\n\n"), (1, delta(SECOND)),
             (0.5, b"event: x\n" + delta(SECOND)[:20]), (0.5, delta(SECOND)[20:]),
             (1, event(type="speech.audio.done", usage={"output_tokens": 3})),
             (0, b"data: [DONE]\n\n")]
    server = speech(parts, headers={"Content-Type": "text/event-stream; charset=utf-8"})
    result = request(server, stream_format="sse")
    assert (result.error, result.audio_s) == (None, 2.0)
    assert (result.first_audio_s, result.end_to_end_s, result.underruns) == (2.0, 4.0, 0)


def test_events_may_name_their_sound_delta():
    content = event(type="speech.audio.delta", delta="AAAAAA==")
    server = speech([(0, content)], headers={"Content-Type": "text/event-stream"})
    assert request(server).audio_s == 2 / 24_000


@pytest.mark.parametrize("content", [
    event(type="speech.audio.error", error={"message": "out of luck"}),
    event(error={"message": "out of luck"}), event(type="error", message="out of luck")])
def test_an_error_in_the_stream_of_events(content):
    server = speech([(0, delta(SECOND)), (0, content)],
                    headers={"Content-Type": "text/event-stream"})
    result = request(server)
    assert (result.error, result.message) == ("server", "out of luck")


@pytest.mark.parametrize("content", [b"data: {\n\n", b"data: []\n\n", b"data: 3\n\n",
                                     b'data: {"audio": "*"}\n\n', b'data: {"audio": [1]}\n\n'])
def test_events_that_are_not_of_speech(content):
    server = speech([(0, content)], headers={"Content-Type": "text/event-stream"})
    assert request(server).error == "server"


@pytest.mark.parametrize("body, message", [
    ({"error": {"message": "The queue is full.", "code": "busy"}}, "The queue is full."),
    ({"error": "The queue is full."}, "The queue is full."),
    ({"detail": "Not\nFound"}, "Not Found"), ({"message": "no"}, "no"), ([1], "[1]")])
def test_a_refusal_is_counted_by_its_status(body, message):
    server = speech([(0, json.dumps(body).encode())], status=429)
    result = request(server)
    assert (result.error, result.message) == ("http_429", message)


@pytest.mark.parametrize("parts, kind", [
    ([], "no_audio"), ([(0, bytes(3))], "half_sample"),
    ([(0, bytes(2)), (0, httpx.RemoteProtocolError("cut off"))], "disconnected"),
    ([(0, httpx.ReadError(""))], "disconnected"),
    ([(0, httpx.ConnectError("refused"))], "connection"),
    ([(0, bytes(2)), (100, bytes(2))], "timeout")])
def test_kinds_of_errors(parts, kind):
    result = request(speech(parts), timeout=50)
    assert result.error == kind and result.message
    assert result.first_audio_s is None and result.end_to_end_s <= 50


def test_a_long_message_is_cut():
    assert len(request(speech([(0, b"x" * 5000)], status=500)).message) == 200


def test_requests_do_not_wait_for_each_other():
    server = FakeServer(lambda body: (200, {}, [(2, SECOND)]))
    target = Target("http://server:8000")

    async def send():
        async with target.client(server.transport) as client:
            return await asyncio.gather(*(request_speech(client, target, "a") for _ in range(200)))

    assert {result.end_to_end_s for result in run(send())} == {2.0}
    assert server.most_running == 200
