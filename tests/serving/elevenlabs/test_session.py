"""The WebSocket protocols as a client sees them."""

import asyncio
import json
import socket
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from sparktts_ms.errors import InputError, NoSpeech, ServiceClosed
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.serving.elevenlabs import session
from sparktts_ms.voice import Voice
from tests.helpers import wait_until
from tests.serving.elevenlabs.fakes import Client, FakeSpeech, audio_of, heard

TEXT = "Hello there, Dr. Smith. It costs 3.14 dollars, or 1,000 yen."


def speak(client, text, context_id="a"):
    """Send a text at once and end its context; returns its messages."""
    client.send(text=text, context_id=context_id)
    client.send(context_id=context_id, flush=True)
    client.send(context_id=context_id, close_context=True)
    return client.until_final(context_id)


def test_a_text_is_audible_and_final(client):
    messages = speak(client, "Hello there.")
    assert heard(audio_of(messages)) == "Hello there."
    assert messages[-1] == {"isFinal": True, "contextId": "a"}
    assert all(message["contextId"] == "a" for message in messages)


def test_pieces_are_heard_as_the_text(client):
    client.send(text=" ", context_id="a", voice_settings={"stability": 0.5})
    for character in TEXT:
        client.send(text=character, context_id="a")
    client.send(context_id="a", flush=True)
    client.send(context_id="a", close_context=True)
    audio = heard(audio_of(client.until_final()))
    assert audio.replace("_", "").replace(" ", "") == TEXT.replace(" ", "")


def test_clauses_are_heard_before_the_text_is_complete(client, fake_server):
    client.send(text="Hello there, my ", context_id="a")
    assert heard(audio_of([client.receive()])) == "Hell"
    assert fake_server.speech.texts == ["Hello there,"]


def test_pauses_between_clauses(client, fake_server):
    for count, text in enumerate(("Hello there, y", "ou. ", "Bye.\n")):
        client.send(text=text, context_id="a")
        assert wait_until(lambda count=count: len(fake_server.speech.texts) > count)
    client.send(text="Next", context_id="a", flush=True)
    client.send(context_id="a", close_context=True)
    audio = heard(audio_of(client.until_final()))
    assert audio == ("Hello there," + 15 * "_" + "you." + 30 * "_" + "Bye." + 60 * "_" + "Next")


def test_alignment_is_the_text_and_spans_the_sound(client):
    client.send(text="Hello there, my dear friends. ", context_id="a")
    client.send(text="Bye.", context_id="a", flush=True)
    client.send(context_id="a", close_context=True)
    messages = client.until_final()
    alignments = [message["alignment"] for message in messages if message.get("alignment")]
    assert "".join("".join(each["chars"]) for each in alignments) == (
        "Hello there, my dear friends. Bye. ")
    span = sum(each["charStartTimesMs"][-1] + each["charDurationsMs"][-1] for each in alignments)
    assert span == pytest.approx(1000 * len(audio_of(messages)) / 2 / 16000, abs=5)
    assert all(each == message["normalizedAlignment"] for message in messages
               if (each := message.get("alignment")))


def test_contexts_are_spoken_side_by_side(make_fake_server):
    server = make_fake_server(seconds_each=0.02)
    with Client(server.http.url) as client:
        for name in "ab":
            client.send(text=f"This is context {name} which speaks.", context_id=name, flush=True)
            client.send(context_id=name, close_context=True)
        messages = client.until_final("a")
        while not any(m.get("isFinal") and m["contextId"] == "b" for m in client.messages):
            messages.append(client.receive())
    for name in "ab":
        assert heard(audio_of(messages, name)) == f"This is context {name} which speaks."
    order = [message["contextId"] for message in messages if message.get("audio")]
    assert order != sorted(order) and order != sorted(order, reverse=True)


@pytest.mark.parametrize("query", ["output_format=ulaw_8000", "output_format=mp3_44100_128",
                                   "output_format=pcm_24000", "output_format=opus_48000_64", ""])
def test_formats(fake_server, query):
    with Client(fake_server.http.url, query=query) as client:
        assert len(audio_of(speak(client, "Hello there."))) > 500


def test_flush_says_everything_to_the_last_sample(fake_server):
    with Client(fake_server.http.url, query="output_format=pcm_24000") as client:
        client.send(text="Hello there", context_id="a", flush=True)
        seconds = 0.0
        while seconds < len("Hello there") * 0.01:
            seconds += len(audio_of([client.receive()])) / 2 / 24000
        assert seconds == pytest.approx(len("Hello there") * 0.01)


def test_speed_of_the_voice_settings(client):
    client.send(text=" ", context_id="a", voice_settings={"speed": 1.25})
    audio = audio_of(speak(client, "Hello there. " * 20))
    other = audio_of(speak(client, "Hello there. " * 20, "b"))
    assert len(audio) == pytest.approx(len(other) / 1.25, rel=0.05)


def test_seed_voice_and_normalization_reach_the_request(fake_server):
    query = "output_format=pcm_16000&seed=7&apply_text_normalization=off&language_code=en"
    with Client(fake_server.http.url, query=query) as client:
        speak(client, "Hello there.")
    request = fake_server.speech.requests[0]
    assert request.sampling.seed == 7 and not request.normalize
    assert request.voice is fake_server.voices.voice


def test_little_is_ahead_of_a_slow_engine(make_fake_server):
    server = make_fake_server(seconds_each=0.05)
    with Client(server.http.url) as client:
        for number in range(30):
            client.send(text=f"This is the sentence number {number} of all. ", context_id="a")
        client.receive()
        assert len(server.speech.running) <= 2


def test_close_stops_at_once(make_fake_server):
    server = make_fake_server(seconds_each=0.05)
    with Client(server.http.url) as client:
        client.send(text="This is a long sentence that goes on. And another one. x",
                    context_id="a")
        client.receive()
        start = time.monotonic()
        client.send(context_id="a", close_context=True)
        messages = client.until_final()
        assert time.monotonic() - start < 1
        assert len([message for message in messages if message.get("audio")]) <= 2
        assert wait_until(lambda: not server.speech.running)
        client.send(text="Next.", context_id="b", flush=True)
        client.send(context_id="b", close_context=True)
        later = client.until_final("b")
        assert {message["contextId"] for message in later} == {"b"}
        assert not server.speech.streams[0].is_complete


def test_second_close_interrupts_a_turn_that_has_ended(make_fake_server):
    server = make_fake_server(seconds_each=0.05)
    with Client(server.http.url) as client:
        client.send(text="This is a long sentence that goes on.", context_id="a")
        client.send(context_id="a", flush=True)
        client.send(context_id="a", close_context=True)
        client.receive()
        client.send(context_id="a", close_context=True)
        assert len(heard(audio_of(client.until_final()))) < 30
        assert wait_until(lambda: not server.speech.running)


def test_text_and_close_in_one_message(client):
    client.send(text="Hello there.", context_id="a", close_context=True)
    assert client.receive() == {"isFinal": True, "contextId": "a"}


def test_keep_alive_without_a_context(client):
    client.send(text="")
    client.send(text="", context_id="zzz")
    assert heard(audio_of(speak(client, "Hello."))) == "Hello."


def test_close_socket(client, fake_server):
    client.send(text="Hello there.", context_id="a", flush=True)
    client.send(close_socket=True)
    messages, code, _ = client.until_closed()
    assert heard(audio_of(messages)) == "Hello there."
    assert messages[-1] == {"isFinal": True, "contextId": "a"}
    assert code == 1000


def test_single_context(fake_server):
    with Client(fake_server.http.url, "female/stream-input") as client:
        client.send(text=" ", try_trigger_generation=True, voice_settings=None)
        for word in TEXT.split():
            client.send(text=word + " ", try_trigger_generation=True)
        client.send(text="")
        messages, code, _ = client.until_closed()
    assert code == 1000
    assert heard(audio_of(messages)).replace("_", "").replace(" ", "") == TEXT.replace(" ", "")
    assert messages[-1] == {"audio": None, "isFinal": True}
    assert not any("contextId" in message for message in messages)


def test_a_client_that_leaves_is_forgotten(make_fake_server):
    server = make_fake_server(seconds_each=0.05)
    client = Client(server.http.url)
    client.send(text="This is a long sentence that goes on. And another one. x", context_id="a")
    client.receive()
    client.socket.socket.shutdown(socket.SHUT_RDWR)
    assert wait_until(lambda: not server.speech.running, 1)
    assert all(stream.is_ended for stream in server.speech.streams)


def test_a_client_that_does_not_read_holds_little(fake_server):
    query = "output_format=pcm_48000"           # 350 KB for each of 60 requests
    with Client(fake_server.http.url, query=query, max_queue=1) as client:
        text = " ".join(f"This is the sentence number {number} of all." for number in range(450))
        client.send(text=text, context_id="a", flush=True)
        assert wait_until(lambda: len(fake_server.speech.texts) > 1)
        time.sleep(0.5)
        assert len(fake_server.speech.texts) < 45       # what the sockets hold, and two
    assert wait_until(lambda: not fake_server.speech.running)


def test_a_client_that_never_reads_is_disconnected(make_fake_server, monkeypatch):
    monkeypatch.setattr(session, "SEND_SECONDS", 0.3)
    server = make_fake_server()
    client = Client(server.http.url, query="output_format=pcm_48000", max_queue=1)
    text = " ".join(f"This is the sentence number {number} of all." for number in range(300))
    client.send(text=text, context_id="a", flush=True)
    assert wait_until(lambda: server.speech.texts and not server.speech.running, 20)
    with pytest.raises(ConnectionClosed):
        while True:
            client.receive()


def test_inactive_context_and_connection(fake_server):
    query = "output_format=pcm_16000&inactivity_timeout=1"
    with Client(fake_server.http.url, query=query) as client:
        client.send(text="and then", context_id="a")
        messages = client.until_final()
        assert heard(audio_of(messages)) == "and then"
        messages, code, reason = client.until_closed()
        assert [message["error"] for message in messages] == ["input_timeout_exceeded"]
        assert messages[0]["message"].startswith("No text has come for 1 seconds.")
        assert code == 1008 and reason.startswith("No text has come")


@pytest.mark.parametrize("data, error", [
    ("hello", "invalid_message"), (b"\xff\xfe\0", "invalid_message"), ("[]", "invalid_message"),
    ('{"text": 7}', "invalid_message"), ('{"text": "a", "context_id": {}}', "invalid_message"),
    ('{"text": "a", "voice_settings": {"speed": 100}}', "invalid_voice_settings"),
    (json.dumps({"text": "word " * 5000, "context_id": "a"}), "text_too_long")])
def test_bad_messages_end_the_connection(client, fake_server, data, error):
    client.send(text="Hello there, my ", context_id="z")
    client.socket.send(data)
    messages, code, reason = client.until_closed()
    assert messages[-1]["error"] == error and messages[-1]["code"] == code == 1008
    assert messages[-1]["message"].startswith(reason[:100])
    assert wait_until(lambda: not fake_server.speech.running)


def test_too_large_a_message(client):
    client.send(text="a" * (2 << 20), context_id="a")
    assert client.until_closed()[1] == 1009


def test_too_many_contexts(client):
    for number in range(16):
        client.send(text=" ", context_id=str(number))
    client.send(text=" ", context_id="one more")
    messages, code, _ = client.until_closed()
    assert messages[-1]["error"] == "max_active_conversations" and code == 1008


@pytest.mark.parametrize("path, query, error", [
    ("nobody/multi-stream-input", "", "voice_not_found"),
    ("..%5c..%5cetc/stream-input", "", "voice_not_found"),
    ("female/multi-stream-input", "output_format=midi", "invalid_output_format"),
    ("female/multi-stream-input", "inactivity_timeout=soon", "invalid_parameters"),
    ("female/multi-stream-input", "auto_mode=maybe", "invalid_parameters"),
    ("female/multi-stream-input", "seed=-1", "invalid_parameters")])
def test_bad_addresses(fake_server, path, query, error):
    with Client(fake_server.http.url, path, query) as client:
        client.send(text=" ", context_id="a")
        messages, code, _ = client.until_closed()
    assert [message["error"] for message in messages] == [error]
    assert code == 1008


def test_bad_address_of_a_client_that_waits(fake_server, monkeypatch):
    monkeypatch.setattr(session, "FIRST_SECONDS", 0.2)
    with Client(fake_server.http.url, "nobody/multi-stream-input") as client:
        messages, code, _ = client.until_closed()
    assert [message["error"] for message in messages] == ["voice_not_found"] and code == 1008


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.text(max_size=30), st.binary(max_size=30), st.fixed_dictionaries(
    {}, optional={"text": st.sampled_from(["", " ", "Hi. ", "\ud83d", "a" * 300]) | st.integers(),
                  "context_id": st.sampled_from(["a", "b", ""]) | st.none(),
                  "flush": st.booleans(), "close_context": st.booleans(),
                  "close_socket": st.just(False)}).map(json.dumps)), max_size=12))
def test_garbage_leaves_nothing_behind(fake_server, messages):
    with Client(fake_server.http.url) as client:
        try:
            for message in messages:
                client.socket.send(message)
            client.send(close_socket=True)
        except ConnectionClosed:
            pass
        received, code, _ = client.until_closed()
        assert code in (1000, 1008)
        assert code == 1000 or received[-1]["error"]
    assert wait_until(lambda: not fake_server.speech.running)


@pytest.mark.parametrize("how", ["header", "bearer", "query", "message", "authorization"])
def test_keys(make_fake_server, how):
    server = make_fake_server(api_keys=["SECRET"])
    headers = {"header": {"xi-api-key": "SECRET"}, "bearer": {"Authorization": "Bearer SECRET"}}
    query = "output_format=pcm_16000" + ("&authorization=Bearer%20SECRET" if how == "query" else "")
    with Client(server.http.url, query=query,
                additional_headers=headers.get(how, {})) as client:
        first = {"message": {"xi_api_key": "SECRET"},
                 "authorization": {"authorization": "Bearer SECRET"}}.get(how, {})
        client.send(text=" ", context_id="a", **first)
        assert heard(audio_of(speak(client, "Hello."))) == "Hello."


@pytest.mark.parametrize("headers, first", [({}, {}), ({"xi-api-key": "WRONG"}, {}),
                                            ({}, {"xi_api_key": "WRONG"})])
def test_wrong_keys(make_fake_server, headers, first):
    server = make_fake_server(api_keys=["SECRET"])
    with Client(server.http.url, additional_headers=headers) as client:
        client.send(text="Hello there. x", context_id="a", **first)
        messages, code, _ = client.until_closed()
    assert [message["error"] for message in messages] == ["invalid_api_key"]
    assert code == 1008
    assert server.speech.texts == []


def test_no_key_in_time(make_fake_server, monkeypatch):
    monkeypatch.setattr(session, "KEY_SECONDS", 0.1)
    server = make_fake_server(api_keys=["SECRET"])
    with Client(server.http.url) as client:
        messages, _, _ = client.until_closed()
    assert [message["error"] for message in messages] == ["invalid_api_key"]


def test_busy_server_is_asked_again(client, fake_server):
    fake_server.speech.errors = [InputError("Busy.", code="busy")] * 2
    assert heard(audio_of(speak(client, "Hello."))) == "Hello."


def test_server_that_stays_busy(client, fake_server, monkeypatch):
    monkeypatch.setattr(session, "BUSY_SECONDS", 0.0)
    fake_server.speech.errors = [InputError("Busy.", code="busy")]
    messages = speak(client, "Hello.")
    assert [message.get("error") for message in messages] == ["system_busy", None]
    assert messages[0]["code"] == 1013
    assert heard(audio_of(speak(client, "Hello.", "b"))) == "Hello."


def test_a_clause_without_speech_is_left_out(client, fake_server):
    fake_server.speech.stream_errors = {"Hello there,": NoSpeech("Nothing.", code="no_speech")}
    client.send(text="Hello there, my ", context_id="a")
    client.send(text="friend.", context_id="a", flush=True)
    client.send(context_id="a", close_context=True)
    assert heard(audio_of(client.until_final())) == "my friend."


def test_a_text_without_speech_is_an_error(client, fake_server):
    fake_server.speech.stream_errors = {"Hello.": NoSpeech("Nothing.", code="no_speech")}
    messages = speak(client, "Hello.")
    assert [message.get("error") for message in messages] == ["no_speech", None]


def test_an_unexpected_error_tells_nothing_of_the_server(client, fake_server):
    fake_server.speech.stream_errors = {"Hello.": ValueError("/home/me")}
    messages = speak(client, "Hello.")
    assert messages[0]["error"] == "internal_server_error" and messages[0]["code"] == 1011
    assert "/home/me" not in json.dumps(messages)
    assert heard(audio_of(speak(client, "Hi there.", "b"))) == "Hi there."


def test_marks_alone_are_final_without_sound(client):
    assert speak(client, "... 👍") == [{"isFinal": True, "contextId": "a"}]


def test_draining_server_finishes_what_runs(make_fake_server):
    server = make_fake_server(seconds_each=0.02)
    with Client(server.http.url) as client, Client(server.http.url) as idle:
        client.send(text="This is a sentence that goes on.", context_id="a", flush=True)
        client.receive()
        server.speech.errors = [ServiceClosed("Stopping.", code="draining")] * 9
        server.speech.is_draining = True
        messages, code, reason = client.until_closed()
        assert heard(audio_of(client.messages)) == "This is a sentence that goes on."
        assert messages[-1] == {"isFinal": True, "contextId": "a"}
        assert code == 1012 and reason == "The server is shutting down."
        assert idle.until_closed()[1] == 1012


def test_draining_server_tells_what_it_does_not_speak(make_fake_server):
    server = make_fake_server(seconds_each=0.02)
    with Client(server.http.url) as client:
        client.send(text="This is a sentence that goes on. ", context_id="a")
        client.send(text="And one", context_id="a")
        client.receive()
        server.speech.errors = [ServiceClosed("Stopping.", code="draining")] * 9
        server.speech.is_draining = True
        messages, code, _ = client.until_closed()
    assert [message["error"] for message in messages if "error" in message] == ["draining"]
    assert code == 1012


def test_samples_are_exact(client):
    samples = np.frombuffer(audio_of(speak(client, "Hi.")), "<i2")
    assert samples.tolist() == np.repeat([ord(c) * 128 for c in "Hi."], 160).tolist()


def test_speech_that_starts_while_its_client_leaves_is_ended():
    """The speaker is cancelled when its clause has been submitted, before it takes the stream."""
    speech = FakeSpeech(seconds_each=30.0)
    request = SpeechRequest("Hello.", Voice(np.zeros(32, np.int32)))

    async def submitted():
        await asyncio.sleep(0)
        return await speech.submit(request, api="elevenlabs")

    async def leave():
        submit = asyncio.create_task(submitted())
        speaker = asyncio.create_task(session._started(submit))
        await asyncio.sleep(0)                  # both have begun
        await asyncio.sleep(0)                  # the stream is there
        assert submit.done() and not speaker.done()
        speaker.cancel()
        await asyncio.wait([speaker])
        await asyncio.sleep(0)
        return speaker.cancelled()

    assert asyncio.run(leave())
    assert speech.streams[0].is_ended
