"""The protocols of the speech server beside the page, behind the page's guards."""

import base64
import json

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.helpers import PROMPT

SPEECH = {"input": "Hello.", "voice": "alloy", "response_format": "pcm", "seed": 1}
CLIENT = httpx.Client(timeout=120)


def upload_voice(server, **options):
    with PROMPT.open("rb") as file:
        return CLIENT.post(server.url + "v1/audio/voices", files={"audio_sample": file},
                           data={"name": "Anna", "consent": "yes"}, **options)


def test_a_page_is_also_a_server(server):
    assert CLIENT.get(server.url + "health").text == "OK"
    assert CLIENT.get(server.url + "health/ready").status_code == 200
    assert "spark_tts:ready 1.0" in CLIENT.get(server.url + "metrics").text
    response = CLIENT.post(server.url + "v1/audio/speech", json=SPEECH)
    assert response.status_code == 200 and len(response.content) > 0
    assert response.headers["x-request-id"]
    assert CLIENT.get(server.url + "v2/models/spark_tts").json()["name"] == "spark_tts"
    assert CLIENT.post(server.url + "v1/audio/speech", json={}).json()["error"]["param"] == "input"
    assert "error" in CLIENT.get(server.url + "v2/models/none").json()


def test_errors_have_the_form_of_their_protocol(server, monkeypatch):
    for path, status in (("v1/nothing", 404), ("v1/audio/speech", 405), ("v1/models/none", 404)):
        response = CLIENT.get(server.url + path)
        assert response.status_code == status
        assert response.json()["error"]["type"] == "invalid_request_error"
    monkeypatch.setattr(server.speech_server.voices, "find", None)
    response = CLIENT.post(server.url + "v1/audio/speech", json=SPEECH)
    assert response.status_code == 500 and response.json()["error"]["type"] == "server_error"


def test_text_in_pieces_beside_the_page(server):
    address = server.url.replace("http", "ws") + "v1/text-to-speech/alloy/multi-stream-input"
    with connect(address + "?output_format=pcm_16000") as socket:
        socket.send(json.dumps({"text": "Hello there. ", "context_id": "a"}))
        socket.send(json.dumps({"context_id": "a", "flush": True}))
        message = json.loads(socket.recv(60))
        assert message["contextId"] == "a" and base64.b64decode(message["audio"])


def test_saved_voices_are_those_of_the_page(server):
    assert upload_voice(server).status_code == 200
    try:
        assert "Anna" in server.shared_store.names()
        speech = {**SPEECH, "voice": "Anna"}
        assert CLIENT.post(server.url + "v1/audio/speech", json=speech).status_code == 200
    finally:
        assert CLIENT.delete(server.url + "v1/audio/voices/Anna").status_code == 200
    assert "Anna" not in server.shared_store.names()


def test_visitors_who_may_not_change_shared_voices_cannot_do_it_this_way(make_server, tmp_path):
    server = make_server(voices=tmp_path / "voices", manage_voices=False)
    assert upload_voice(server).status_code == 404
    assert CLIENT.delete(server.url + "v1/audio/voices/Anna").status_code == 404
    assert CLIENT.get(server.url + "v1/audio/voices").status_code == 200
    assert not (tmp_path / "voices").exists()


def test_keys_hosts_and_sites_are_checked(make_server):
    server = make_server(api_keys=["secret"])
    url = server.url + "v1/audio/speech"
    assert CLIENT.post(url, json=SPEECH).status_code == 401
    key = {"Authorization": "Bearer secret"}
    assert CLIENT.post(url, json=SPEECH, headers=key).status_code == 200
    other_site = {**key, "Origin": "https://evil.example"}
    assert CLIENT.post(url, json=SPEECH, headers=other_site).status_code == 403
    assert CLIENT.post(url, json=SPEECH, headers={**key, "Host": "evil.example"}).status_code == 403
    address = server.url.replace("http", "ws") + "v1/text-to-speech/alloy/multi-stream-input"
    headers = {"xi-api-key": "secret"}
    with (pytest.raises((InvalidStatus, ConnectionClosed)),
          connect(address, origin="https://evil.example", additional_headers=headers) as socket):
        socket.recv(10)
