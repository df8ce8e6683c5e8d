"""Speech over HTTP, the list of voices, and a text in pieces, on a model of random weights."""

import base64
import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.helpers import wait_until
from tests.serving.elevenlabs.fakes import Client, audio_of, heard

pytestmark = pytest.mark.usefixtures("short_speech")

RATE = 16000


def call(url, path, body=None, headers=None):
    """Status, headers and body of a response; `body` is sent as JSON unless it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def is_idle(service):
    return wait_until(lambda: not service.jobs and not service.tts.engine.active)


def test_pieces_on_a_model(server, service):
    with Client(server.http.url, query="output_format=pcm_16000&seed=5") as client:
        for piece in ("Hello the", "re, my dear friends. It costs 3.", "14 dollars."):
            client.send(text=piece, context_id="a")
        client.send(context_id="a", flush=True)
        client.send(context_id="a", close_context=True)
        messages = client.until_final()
    assert len(audio_of(messages)) > RATE / 2
    chars = "".join("".join(message["alignment"]["chars"]) for message in messages
                    if message.get("alignment"))
    assert chars == "Hello there, my dear friends. It costs 3.14 dollars. "
    assert is_idle(service)


def test_closing_a_context_frees_its_slots(server, service):
    with Client(server.http.url) as client:
        client.send(text="Hello there, my dear friends. " * 20, context_id="a", flush=True)
        client.receive()
        client.send(context_id="a", close_context=True)
        client.until_final()
        assert wait_until(lambda: not service.tts.engine.active, 1)


@pytest.mark.parametrize("path", ["female", "female/stream"])
def test_speech(fake_server, path):
    status, headers, body = call(
        fake_server.http.url, f"v1/text-to-speech/{path}?output_format=pcm_16000",
        {"text": "Hello there.", "model_id": "any", "voice_settings": {"stability": 0.3},
         "seed": 3})
    assert status == 200 and headers["Content-Type"] == "audio/pcm"
    assert heard(body) == "Hello there."
    assert fake_server.speech.requests[0].sampling.seed == 3


def test_speech_is_mp3_by_default(server):
    status, headers, body = call(server.http.url, "v1/text-to-speech/male", {"text": "Hello."})
    assert status == 200 and headers["Content-Type"] == "audio/mpeg"
    assert body[0] == 0xff and len(body) > 1000


def test_timestamps(fake_server):
    path = "v1/text-to-speech/female/{}with-timestamps?output_format=pcm_16000"
    _, _, whole = call(fake_server.http.url, path.format(""), {"text": "Hello there."})
    _, _, lines = call(fake_server.http.url, path.format("stream/"), {"text": "Hello there."})
    parts = [json.loads(line) for line in lines.splitlines()]
    whole = json.loads(whole)
    assert "".join(heard(base64.b64decode(part["audio_base64"])) for part in parts) == (
        heard(base64.b64decode(whole["audio_base64"]))) == "Hello there."
    assert parts[-1]["alignment"] == whole["alignment"]
    assert "".join(whole["alignment"]["characters"]) == "Hello there. "
    ends = whole["alignment"]["character_end_times_seconds"]
    assert ends[-1] == pytest.approx(0.12) and np.all(np.diff(ends) >= 0)


@pytest.mark.parametrize("path", ["", "/stream", "/with-timestamps", "/stream/with-timestamps"])
@pytest.mark.parametrize("seconds_each, seconds", [
    (30.0, 0.5),            # before there is any sound
    (0.02, 1.0)])           # in the middle
def test_a_client_that_leaves_ends_its_speech(make_fake_server, path, seconds_each, seconds):
    server = make_fake_server(seconds_each)
    body = json.dumps({"text": "Hello there. " * 1000}).encode()
    address = urlsplit(server.http.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"POST /v1/text-to-speech/female{path} HTTP/1.1\r\nHost: localhost\r\n"
                           f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert wait_until(lambda: server.speech.running)
        time.sleep(seconds)
        assert server.speech.running
    assert wait_until(lambda: not server.speech.running, 1)
    assert not server.speech.streams[0].is_complete


@pytest.mark.parametrize("body, status, code", [
    (b"{", 400, "invalid_parameters"), (b"[1]", 400, "invalid_parameters"),
    ({}, 400, "invalid_parameters"), ({"text": 1}, 400, "invalid_parameters"),
    ({"text": " "}, 400, "text_empty"), ({"text": "a", "voice_settings": 1}, 400,
                                         "invalid_parameters"),
    ({"text": "a", "voice_settings": {"speed": 9}}, 400, "invalid_voice_settings"),
    (b'{"text": "a", "voice_settings": {"speed": 1' + b"0" * 400 + b"}}", 400,
     "invalid_voice_settings"),
    ({"text": "a", "output_format": 5}, 400, "invalid_output_format"),
    ({"text": "a", "output_format": ["pcm_16000"]}, 400, "invalid_output_format"),
    ({"text": "a", "seed": "x"}, 400, "invalid_parameters"),
    ({"text": "a", "seed": 1.5}, 400, "invalid_parameters"),
    ({"text": "word " * 5000}, 400, "text_too_long")])
def test_bad_requests(server, body, status, code):
    found, _, answer = call(server.http.url, "v1/text-to-speech/female", body)
    detail = json.loads(answer)["detail"]
    assert (found, detail["code"], detail["status"]) == (status, code, code)
    assert detail["message"].isprintable() and len(detail["message"]) < 300


@pytest.mark.parametrize("path, status, code", [
    ("v1/text-to-speech/nobody", 404, "voice_not_found"),
    ("v1/text-to-speech/female?output_format=midi", 400, "invalid_output_format"),
    ("v1/text-to-speech/..%2f..%2fetc%2fpasswd", 404, "invalid_request"),
    ("v1/text-to-speech/%00", 404, "voice_not_found")])
def test_bad_addresses(server, path, status, code):
    found, _, answer = call(server.http.url, path, {"text": "Hello."})
    assert (found, json.loads(answer)["detail"]["code"]) == (status, code)


def test_a_body_that_is_too_large(fake_server):
    """Refused by its header, before the body has been sent."""
    connection = http.client.HTTPConnection("127.0.0.1", fake_server.http.port)
    connection.putrequest("POST", "/v1/text-to-speech/female")
    connection.putheader("Content-Length", str(2 << 20))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["detail"]["code"] == "request_too_large"
    connection.close()


def test_a_key_is_needed(make_fake_server):
    url = make_fake_server(api_keys=["SECRET"]).http.url
    path = "v1/text-to-speech/female?output_format=pcm_16000"
    status, _, body = call(url, path, {"text": "Hello."})
    assert (status, json.loads(body)["detail"]["code"]) == (401, "invalid_api_key")
    status, _, body = call(url, path, {"text": "Hello."}, {"xi-api-key": "SECRET"})
    assert status == 200 and heard(body) == "Hello."
    assert call(url, "v1/voices")[0] == 401


def test_voices(server):
    url = server.http.url
    voices = json.loads(call(url, "v1/voices")[2])["voices"]
    assert {"female", "male", "alloy"} <= {voice["voice_id"] for voice in voices}
    assert all(voice["name"] and voice["category"] for voice in voices)
    found = json.loads(call(url, "v2/voices?search=FEM")[2])
    assert [voice["voice_id"] for voice in found["voices"]] == ["female"]
    assert found["total_count"] == 1 and found["has_more"] is False
    assert json.loads(call(url, "v1/voices/female")[2])["voice_id"] == "female"
    status, _, body = call(url, "v1/voices/nobody")
    assert (status, json.loads(body)["detail"]["code"]) == (404, "voice_not_found")
