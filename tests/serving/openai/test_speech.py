"""POST /v1/audio/speech: sound in every format while it is made, and one clear error otherwise."""

import asyncio
import base64
import io
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import httpx
import numpy as np
import pytest

from sparktts_ms import Chunks, Sampling, SpeechRequest
from sparktts_ms.audio.wav import encode_wav
from sparktts_ms.errors import InputError, NoSpeech, ServiceClosed
from sparktts_ms.serving.openai import response as response_module
from sparktts_ms.serving.speech_stream import Usage
from sparktts_ms.serving.voices.built_in import BUILT_IN_VOICES
from tests.helpers import LONG_TEXT, PROMPT, wait_until
from tests.serving.openai.conftest import error_of

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def events_of(content):
    """The events of a text/event-stream; comments are left out."""
    events = []
    for block in content.decode().split("\n\n"):
        if block and not block.startswith(":"):
            assert block.startswith("data: ") and "\n" not in block
            events.append(json.loads(block.removeprefix("data: ")))
    return events


def decoded_seconds(content):
    """Of a sound file."""
    with av.open(io.BytesIO(content)) as file:
        frames = list(file.decode(audio=0))
    return sum(frame.samples for frame in frames) / frames[0].sample_rate


def base64_of(samples, rate=16000):
    return base64.b64encode(encode_wav(np.asarray(samples, np.float32), rate)).decode()


@pytest.mark.parametrize("response_format", MEDIA_TYPES)
def test_every_format_is_one_complete_file(api, response_format):
    response = api.speak(response_format=response_format, seed=1)
    assert response.status_code == 200
    assert response.headers["content-type"] == MEDIA_TYPES[response_format]
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["x-request-id"]
    rate = int(response.headers["x-sample-rate"])
    pcm = api.speak(response_format="pcm", sample_rate=rate, seed=1).content
    if response_format == "pcm":
        assert response.content == pcm
    else:
        assert decoded_seconds(response.content) == pytest.approx(len(pcm) / 2 / rate, abs=0.2)


def test_mp3_is_what_clients_get_that_name_no_format(api):
    assert api.speak().headers["content-type"] == "audio/mpeg"


def test_pcm_has_24_khz_unless_a_rate_is_given(api):
    usual = api.speak(response_format="pcm", seed=2)
    own = api.speak(response_format="pcm", seed=2, sample_rate=16000)
    assert (usual.headers["x-sample-rate"], own.headers["x-sample-rate"]) == ("24000", "16000")
    assert len(usual.content) * 2 == len(own.content) * 3


def test_samples_are_those_of_the_library(api, service):
    """At the model's own rate, bit for bit."""
    voice = service.generate_voices([BUILT_IN_VOICES["nova"]])[0]
    request = SpeechRequest("Hello there.", voice, sampling=Sampling(0.7, 20, 0.9, seed=5))
    samples = np.concatenate(list(service.submit(request, chunks=Chunks())))
    response = api.speak("Hello there.", voice={"id": "nova"}, temperature=0.7, top_k=20.0,
                             top_p=0.9, seed=5, response_format="pcm", sample_rate=16000)
    assert response.content == encode_wav(samples, 16000)[44:]


def test_requests_at_the_same_time_do_not_change_each_other(api):
    """Their ids, that is: the sizes of chunks follow the load, and samples where these join."""
    def speak(seed):
        response = api.speak(seed=seed, response_format="pcm", stream_format="sse")
        *deltas, done = events_of(response.content)
        sounds = [base64.b64decode(event["audio"]) for event in deltas]
        return sum(map(len, sounds)), done["usage"]

    alone = [speak(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(speak, range(3))) == alone


def test_speed_changes_the_tempo(api):
    normal = api.speak(response_format="pcm", seed=3)
    twice = api.speak(response_format="pcm", seed=3, speed=2)
    assert len(twice.content) == pytest.approx(len(normal.content) / 2, rel=0.05)


def test_a_generated_voice_takes_gender_pitch_and_speed(api, service):
    request = SpeechRequest("Hello.", None, "male", 120.0, "high", Sampling(seed=4))
    samples = np.concatenate(list(service.submit(request, chunks=Chunks())))
    response = api.speak(gender="male", pitch=120, speed="high", seed=4,
                             response_format="pcm", sample_rate=16000)
    assert response.content == encode_wav(samples, 16000)[44:]


@pytest.mark.parametrize("transcript", [None, "A reference."])
def test_a_recording_gives_the_voice(api, service, transcript):
    voice = service.encode_voice(PROMPT, transcript)
    request = SpeechRequest("Hello.", voice, sampling=Sampling(seed=6))
    samples = np.concatenate(list(service.submit(request, chunks=Chunks())))
    encoded = base64.b64encode(PROMPT.read_bytes()).decode()
    for value in (encoded, f"data:audio/wav;base64,{encoded}"):
        response = api.speak(ref_audio=value, ref_text=transcript, seed=6,
                                 response_format="pcm", sample_rate=16000)
        assert response.content == encode_wav(samples, 16000)[44:]


def test_what_is_null_or_unknown_is_ignored(api):
    fields = dict.fromkeys(("instructions", "speed", "seed", "ref_audio", "sample_rate"))
    response = api.speak(**fields, stream=True, retry_badcase=[{"a": {}}], stream_format=None)
    assert response.status_code == 200
    body = {"input": "Hello.", "voice": "alloy", "instructions": "Speak like a pirate."}
    assert api.client.post("v1/audio/speech", json=body).status_code == 200


def test_sound_arrives_before_the_speech_is_complete(api, service):
    with api.stream(LONG_TEXT, response_format="pcm") as response:
        assert response.status_code == 200
        sound = response.iter_raw()             # kept: its end would close the connection
        next(sound)
        assert not api.is_idle and not service.jobs[0].done
    assert wait_until(lambda: api.is_idle)


def test_a_client_that_leaves_frees_its_slot(api):
    cancelled = api.server.metrics.cancelled.labels("openai")
    before = cancelled._value.get()
    with api.stream(LONG_TEXT) as response:
        sound = response.iter_raw()
        next(sound)
        assert not api.is_idle
    assert wait_until(lambda: api.is_idle)
    assert cancelled._value.get() == before + 1


def test_a_client_that_leaves_before_the_first_sound_frees_its_slot(api):
    submit, seen = api.server.speech.submit, threading.Event()

    async def watched(*arguments, **options):
        stream = await submit(*arguments, **options)
        seen.set()
        return stream

    body = json.dumps({"input": LONG_TEXT, "voice": "alloy"}).encode()
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.server.speech, "submit", watched)
        with socket.create_connection(("127.0.0.1", api.server.http.port)) as connection:
            connection.sendall(head.encode() + b"\r\n" + body)
            assert seen.wait(30)
    assert wait_until(lambda: api.is_idle)


def test_events_hold_the_same_sound(api):
    pcm = api.speak(seed=8, response_format="pcm")
    response = api.speak(seed=8, response_format="pcm", stream_format="sse")
    assert response.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events_of(response.content)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    sound = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert sound == pcm.content
    usage = done["usage"]
    assert done["type"] == "speech.audio.done" and usage["input_tokens"] > 5
    assert usage["output_tokens"] >= len(sound) // 2 / 24000 * 50
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


class ScriptedStream:
    """Stands for a SpeechStream: yields samples, waits for seconds, and raises errors."""

    request_id = "req-1"
    usage = Usage(3, 4)

    def __init__(self, *steps):
        self.steps = steps

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def __aiter__(self):
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step


@pytest.fixture
def script(api, monkeypatch):
    """Makes the next requests do what a script says."""
    def use(*steps):
        async def submit(*_, **__):
            if isinstance(steps[0], Exception):
                raise steps[0]
            return ScriptedStream(*steps)

        monkeypatch.setattr(api.server.speech, "submit", submit)

    return use


SECOND = np.full(16000, 0.1, np.float32)


@pytest.mark.parametrize(("error", "status"), [
    (NoSpeech("The model ended before it spoke.", "Try another seed."), 400),
    (InputError("The server is busy.", code="busy"), 429),
    (ServiceClosed("The server is shutting down.", code="draining"), 503),
    (RuntimeError("/secret/path"), 500),
])
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
@pytest.mark.parametrize("submitted", [False, True])
def test_an_error_before_the_first_sound_has_its_status(api, script, error, status,
                                                        stream_format, submitted):
    script(*([0.0] if submitted else []), error)
    response = api.speak(stream_format=stream_format)
    assert ("retry-after" in response.headers) == (status in (429, 503))
    answer = error_of(response, status)
    assert "secret" not in str(answer)
    if status == 429:
        assert answer["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("response_format", MEDIA_TYPES)
def test_an_error_after_the_first_sound_breaks_the_response_off(api, script, response_format):
    script(SECOND, SECOND, NoSpeech("It fell silent."))
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), \
            api.stream(response_format=response_format) as response:
        assert response.status_code == 200
        for part in response.iter_raw():
            received += part
    assert received


def test_an_error_among_events_is_one(api, script):
    script(SECOND, ServiceClosed("The server is shutting down.", code="draining"))
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), \
            api.stream(response_format="pcm", stream_format="sse") as response:
        for part in response.iter_raw():
            received += part
    delta, error = events_of(received)
    assert len(base64.b64decode(delta["audio"])) > 40000
    assert error["type"] == "speech.audio.error"
    assert error["error"]["message"] == "The server is shutting down."


def test_events_are_kept_alive(api, script, monkeypatch):
    monkeypatch.setattr(response_module, "KEEP_ALIVE_SECONDS", 0.1)
    script(0.5, SECOND, 0.5, NoSpeech("It fell silent."))
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), \
            api.stream(response_format="pcm", stream_format="sse") as response:
        for part in response.iter_raw():
            received += part
    before, after = received.split(b"data: ", 1)
    assert before.count(b": keep-alive\n\n") >= 2 and after.count(b": keep-alive\n\n") >= 2
    assert [event["type"] for event in events_of(received)] == [
        "speech.audio.delta", "speech.audio.error"]


NOT_JSON = [
    b"",
    b"input=Hello",
    b"{",
    b"[1, 2]",
    b'"text"',
    b"null",
    b"\xff\xfe\x00",
    b'{"input": "Hello.", "voice": "alloy", "seed": NaN}',
    b'{"input": "Hello.", "voice": "alloy", "seed": Infinity}',
    b'{"input": "Hello.", "voice": "alloy", "seed": ' + b"9" * 5000 + b"}",
    b'{"input": "Hello.", "voice": "alloy", "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    b'{"input": "Hello.", "voice": "alloy", "x": [' + b"{}," * 200_000 + b"{}]}",
    b'{"input": "Hello.", "voice": "alloy", "x": {"a": 1, "a": 2}}',
]


@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
def test_a_body_that_is_no_json_object_is_refused(api, content):
    error = error_of(api.client.post("v1/audio/speech", content=content))
    assert error["code"] == "invalid_json"
    assert api.is_idle


WRONG_FIELDS = [
    ("input", None, "no_text"),
    ("input", "", "no_text"),
    ("input", " \n\t ", "no_text"),
    ("input", 7, None),
    ("input", ["Hello."], None),
    ("input", "a" * 20_001, "string_above_max_length"),
    ("input", "half \ud83d a pair", "not_unicode"),
    ("model", "whisper-1", "model_not_found"),
    ("model", 4, None),
    ("voice", None, "no_voice"),
    ("voice", "", "unknown_voice"),
    ("voice", "af_heart", "unknown_voice"),
    ("voice", "en-US-AvaNeural", "unknown_voice"),
    ("voice", "../../etc/passwd", "unknown_voice"),
    ("voice", "/etc/passwd\0", "unknown_voice"),
    ("voice", "x" * 100_000, "unknown_voice"),
    ("voice", "\ud800", "not_unicode"),
    ("voice", {"id": "nobody"}, "unknown_voice"),
    ("voice", {"id": 3}, None),
    ("voice", {"name": "alloy"}, None),
    ("voice", ["alloy"], None),
    ("voice", 11, None),
    ("response_format", "ogg", None),
    ("response_format", 3, None),
    ("stream_format", "websocket", None),
    ("speed", 0.2, None),
    ("speed", 4.1, None),
    ("speed", 10**400, None),
    ("speed", "fast", None),
    ("speed", True, None),
    ("speed", [1], None),
    ("sample_rate", 7999, None),
    ("sample_rate", 96000, None),
    ("sample_rate", 16000.5, None),
    ("sample_rate", "16000", None),
    ("seed", -1, None),
    ("seed", 1 << 63, None),
    ("seed", 1.5, None),
    ("seed", "7", None),
    ("temperature", -0.1, None),
    ("temperature", 1e300, None),
    ("top_k", -1, None),
    ("top_k", True, None),
    ("top_p", 0, None),
    ("top_p", 1.1, None),
    ("pitch", "loud", None),
    ("pitch", 20, None),
    ("pitch", 120, "number_needs_gender"),
    ("gender", "robot", None),
    ("gender", 1, None),
    ("instructions", 5, None),
    ("ref_audio", 5, None),
    ("ref_audio", "", "bad_base64"),
    ("ref_audio", "not base64!", "bad_base64"),
    ("ref_audio", "data:audio/wav,abc", "bad_base64"),
    ("ref_audio", "data:audio/wav;base64", "bad_base64"),
    ("ref_audio", base64.b64encode(b"no sound at all " * 100).decode(), "not_audio"),
    ("ref_audio", base64_of(np.zeros(48000)), "silent_recording"),
    ("ref_audio", base64_of(np.sin(np.arange(200))), "short_recording"),
    ("ref_audio", "http://127.0.0.1:1/a.wav", "remote_audio"),
    ("ref_audio", "http://169.254.169.254/latest/meta-data", "remote_audio"),
    ("ref_audio", "https://example.org/a.wav", "remote_audio"),
    ("ref_audio", "file:///etc/passwd", "remote_audio"),
    ("ref_audio", "ftp://example.org/a.wav", "remote_audio"),
    ("ref_text", "Without its recording.", None),
]


@pytest.mark.parametrize(("name", "value", "code"), WRONG_FIELDS, ids=range(len(WRONG_FIELDS)))
def test_a_wrong_field_is_named(api, name, value, code):
    body = json.dumps({"input": "Hello.", "voice": "alloy", name: value})
    error = error_of(api.client.post("v1/audio/speech", content=body))
    assert error["param"] == name and name in error["message"]
    assert error["code"] == code
    assert api.is_idle


def test_an_unknown_voice_is_told_of_others(api):
    message = error_of(api.speak(voice="af_heart"))["message"]
    assert "'af_heart'" in message and "alloy" in message


def test_a_key_given_twice_is_named(api):
    content = b'{"input": "Hello.", "voice": "alloy", "input": "Bye."}'
    assert error_of(api.client.post("v1/audio/speech", content=content))["param"] == "input"


@pytest.mark.parametrize("name", ["\\ud800", "\\n", "x" * 100_000])
def test_any_key_given_twice_is_named_in_one_line(api, name):
    content = f'{{"input": "Hello.", "voice": "alloy", "{name}": 1, "{name}": 2}}'.encode()
    param = error_of(api.client.post("v1/audio/speech", content=content))["param"]
    assert param.isprintable() and len(param) < 300


def test_both_a_recording_and_a_gender_are_too_much(api):
    error = error_of(api.speak(gender="male", ref_audio=base64_of(np.ones(16000))))
    assert (error["param"], error["code"]) == ("gender", "voice_and_gender")


def test_a_broken_recording_is_refused_or_read_as_far_as_it_goes(api):
    content = PROMPT.read_bytes()
    for broken in (content[:20], content[:44], b"RIFF" + bytes(100), content[100:]):
        error = error_of(api.speak(ref_audio=base64.b64encode(broken).decode()))
        assert error["param"] == "ref_audio" and "/tmp" not in error["message"]


def test_a_recording_that_is_too_large_is_413(api):
    large = base64.b64encode(bytes((1 << 20) + 1)).decode()
    assert error_of(api.speak(ref_audio=large), 413)["code"] == "too_large"
    huge = base64.b64encode(bytes(3 << 20)).decode()
    error_of(api.speak(ref_audio=huge), 413)


def test_a_recording_is_fetched_from_an_allowed_host(api, make_api):
    """The host is allowed by its address, as private networks' are refused otherwise."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = PROMPT.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{files.server_address[1]}"
        allowing = make_api(remote_audio_hosts=[host])
        fields = {"ref_audio": f"http://{host}/a.wav", "seed": 1, "response_format": "pcm"}
        encoded = base64.b64encode(PROMPT.read_bytes()).decode()
        expected = api.speak(**{**fields, "ref_audio": encoded}).content
        assert allowing.speak(**fields).content == expected
        assert error_of(api.speak(**fields))["code"] == "remote_audio"
        files.shutdown()


def test_a_full_queue_is_429(api, monkeypatch):
    speech = api.server.speech
    monkeypatch.setattr(speech, "num_requests", 10_000)
    response = api.speak()
    error_of(response, 429)
    assert int(response.headers["retry-after"]) > 0


def test_a_wrong_key_is_401(make_api):
    server = make_api(api_keys=["secret"])
    assert error_of(server.speak(), 401)["code"] == "invalid_api_key"
    server.client.headers["Authorization"] = "Bearer wrong"
    error_of(server.speak(), 401)
    server.client.headers["Authorization"] = "Bearer secret"
    assert server.speak().status_code == 200


def test_a_path_or_method_that_does_not_exist_has_an_error_in_the_same_form(api):
    for path in ("v1/readyz", "v1/test", "v1/audio", "v1/audio/transcriptions"):
        error_of(api.client.get(path), 404)
    error_of(api.client.get("v1/audio/speech"), 405)
    assert api.client.get("v1/").status_code == 200


def test_a_body_that_is_too_large_is_413(api):
    error_of(api.client.post("v1/audio/speech", content=bytes(20 << 20)), 413)
