"""Requests to a speech server for tools/fuzz.py, answered in this process by the whole application,
but for the model: a text of any length is half a second of silence.

An input is a request: a line with the path, lines of headers, an empty line, the body. The body of
a WebSocket is its messages, a line each. An input of gRPC is a ModelInferRequest.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import struct
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np

SECONDS = 15.0
ROOT = Path(__file__).resolve().parent.parent
SPEECH = {"model": "tts-1", "input": "Hello, it costs $5.", "voice": "alloy", "seed": 3,
          "response_format": "wav", "speed": 1.5, "stream_format": "audio"}
FORM = (b'--xyz\r\nContent-Disposition: form-data; name="name"\r\n\r\nAnna\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="consent"\r\n\r\nyes\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="audio_sample"; filename="a.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\n%s\r\n--xyz--\r\n")
MESSAGES = [
    {"text": " ", "context_id": "a", "voice_settings": {"speed": 1.2}},
    {"text": "Hello there, it costs 3.", "context_id": "a"},
    {"text": "14 dollars. ", "context_id": "a", "flush": True},
    {"text": "Second one. ", "context_id": "b"},
    {"context_id": "a", "close_context": True}, {"text": "", "context_id": "b"},
    {"close_socket": True}]


class FakeJob:
    """Half a second of silence."""

    cancelled = False
    done = True
    usage = (10, 25)

    def __init__(self) -> None:
        self.start_time = time.perf_counter()
        self.parts: list[np.ndarray | None] = [np.zeros(4000, np.float32)] * 2

    def read_nowait(self) -> np.ndarray | None:
        if not self.parts:
            return None
        return self.parts.pop()

    def cancel(self) -> None:
        self.cancelled = True


class FakeService:
    """What the server asks of a service. Recordings are read, and not encoded."""

    sample_rate = 16000
    num_slots = 16
    num_slots_used = 0
    stuck_seconds = 0.0
    languages = ("en",)

    def __init__(self) -> None:
        from sparktts_ms.config_files import read_config

        self.codec_config = read_config(ROOT / "pretrained_models" / "Spark-TTS-demo").bicodec

    def submit(self, request: Any, **_: Any) -> FakeJob:
        if not request.text.strip():
            from sparktts_ms.errors import InputError

            raise InputError("There is no text to speak.", code="no_text")
        return FakeJob()

    def encode_voice(self, path: Path, transcript: str | None) -> Any:
        from sparktts_ms.audio.recording import read_recording

        read_recording(path)
        return self.voice(transcript)

    def generate_voices(self, descriptions: list[Any]) -> list[Any]:
        return [self.voice(None) for _ in descriptions]

    def tokenize(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(32, np.int32), np.zeros(len(samples) // 320, np.int32)

    def decode(self, global_ids: np.ndarray, semantic_ids: np.ndarray) -> Any:
        return iter([np.zeros(320 * len(semantic_ids), np.float32)])

    def warm_up(self) -> None:
        pass

    def take_turn(self) -> None:
        pass

    @staticmethod
    def voice(transcript: str | None) -> Any:
        from sparktts_ms.voice import Voice

        if transcript is None:
            return Voice(np.zeros(32, np.int32))
        return Voice(np.zeros(32, np.int32), np.zeros(50, np.int32), transcript)


class Server:
    """An application and its loop, for all inputs of a process."""

    def __init__(self) -> None:
        from sparktts_ms.serving import app
        from sparktts_ms.serving.kserve.grpc import InferenceServicer
        from sparktts_ms.serving.kserve.inference import Inference
        from sparktts_ms.serving.server import SpeechServer
        from sparktts_ms.serving.settings import Settings

        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.voices = Path(self.folder.name) / "voices"
        self.server = SpeechServer(Settings(voices=self.voices))
        self.server.start(FakeService())        # type: ignore[arg-type]
        self.app = app.create_app(self.server)
        self.servicer = InferenceServicer(Inference(self.server))

    def run(self, work: Any) -> Any:
        """The result of a coroutine. Raises AssertionError if it leaves a request behind."""
        result = self.loop.run_until_complete(asyncio.wait_for(work, SECONDS))
        end = time.monotonic() + SECONDS
        while self.server.speech.num_requests and time.monotonic() < end:
            self.loop.run_until_complete(asyncio.sleep(0.01))
        assert not self.server.speech.num_requests, "a request was left behind"
        for path in self.voices.rglob("*"):
            assert path.name == ".lock" or path.suffix == ".json" or path.is_dir(), path
            if path.suffix == ".json":
                path.unlink()
        return result


@functools.cache
def server() -> Server:
    return Server()


def split_request(content: bytes, path: str) -> tuple[str, list[tuple[bytes, bytes]], bytes]:
    """Path, headers and body; what is damaged beyond HTTP is left out."""
    head, _, body = content.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    target = first.decode("latin-1")
    headers = [(b"host", b"localhost")]
    for line in lines[:50]:
        name, colon, value = line.partition(b": ")
        if colon and name.replace(b"-", b"").isalpha():
            headers.append((name.lower(), value[:8000].strip()))
    return target if target.startswith("/") else path, headers, body


def scope_of(kind: str, target: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {"type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "POST", "scheme": "http" if kind == "http" else "ws", "path": unquote(path),
            "raw_path": path.encode("latin-1"), "root_path": "",
            "query_string": query.encode("latin-1"), "headers": headers, "subprotocols": [],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {}}


async def answer(kind: str, scope: dict[str, Any], received: Iterable[dict[str, Any]],
                 gone: dict[str, Any]) -> list[dict[str, Any]]:
    """What the application sends. After what it receives, the client waits a while and leaves."""
    sent: list[dict[str, Any]] = []
    waiting = iter(received)
    quiet = asyncio.Event()

    async def receive() -> dict[str, Any]:
        for message in waiting:
            return message
        if kind == "http":
            await quiet.wait()
        else:
            await asyncio.sleep(0.02)
        return gone

    async def send(message: Any) -> None:
        sent.append(message)

    await server().app(scope, receive, send)        # type: ignore[arg-type]
    return sent


def check_error(content: bytes) -> None:
    """An error is one clear line of JSON."""
    error = json.loads(content)
    while isinstance(error, dict):
        error = next((error[name] for name in ("error", "detail", "message") if name in error), "")
    assert isinstance(error, str) and error and error.isprintable() and len(error) < 1000, error


def call_http(content: bytes, path: str) -> str:
    """POST a request; returns the status. Raises AssertionError for an answer that is none, or
    status 500."""
    target, headers, body = split_request(content, path)
    received = [{"type": "http.request", "body": body[:len(body) // 2], "more_body": True},
                {"type": "http.request", "body": body[len(body) // 2:], "more_body": False}]
    sent = server().run(answer("http", scope_of("http", target, headers), received,
                               {"type": "http.disconnect"}))
    assert sent and sent[0]["type"] == "http.response.start", sent[:1]
    status = sent[0]["status"]
    answered = b"".join(message.get("body", b"") for message in sent[1:])
    assert status < 500, (status, answered[:200])
    assert not sent[-1].get("more_body"), "the response is broken off"
    if status >= 400 and status not in (404, 405):
        check_error(answered)
    return str(status)


def call_socket(content: bytes, path: str) -> str:
    """Send messages to a WebSocket; returns the code with which it was closed, if it was. Raises
    AssertionError if it fails."""
    target, headers, body = split_request(content, path)
    received: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    for line in body.split(b"\n")[:50]:
        try:
            received.append({"type": "websocket.receive", "text": line.decode()})
        except UnicodeDecodeError:
            received.append({"type": "websocket.receive", "bytes": line})
    sent = server().run(answer("websocket", scope_of("websocket", target, headers), received,
                               {"type": "websocket.disconnect", "code": 1000}))
    for message in sent:
        assert message.get("code") != 1011, message
        assert "internal_server_error" not in message.get("text", ""), message
        if "text" in message:
            message["text"].encode()
            json.loads(message["text"])
    return str(sent[-1].get("code", "")) if sent else ""


def call_grpc(content: bytes) -> str:
    """ModelInfer; returns the status. Raises AssertionError if it fails as none of the caller's
    errors."""
    import grpc

    class Aborted(Exception):
        pass

    status = "OK"

    async def abort(code: Any, message: str) -> None:
        nonlocal status
        status = code.name
        assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), message
        assert message and message.isprintable() and len(message) < 1000, message
        raise Aborted

    async def receive() -> bytes:
        return content

    context = SimpleNamespace(abort=abort, read=receive, invocation_metadata=lambda: (),
                              set_trailing_metadata=lambda metadata: None)

    async def call() -> None:
        with contextlib.suppress(Aborted):
            await server().servicer.ModelInfer(None, context)

    server().run(call())
    return status


def _recording() -> bytes:
    return (ROOT / "tests" / "golden" / "tiny" / "wavs" / "p16k_mono_3s.wav").read_bytes()[:40_000]


def _request(path: str, body: Any, **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [path, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\n".join(lines).encode() + b"\n\n" + content


def speech_requests() -> list[bytes]:
    import base64

    recorded = {"ref_audio": base64.b64encode(_recording()).decode(), "ref_text": "What it says."}
    bodies = [SPEECH, {**SPEECH, "voice": {"id": "female"}, "stream_format": "sse"},
              {**SPEECH, **recorded}, {"input": "Hi.", "gender": "female", "pitch": 200.0}]
    return [_request("/v1/audio/speech", body) for body in bodies]


def voice_forms() -> list[bytes]:
    kind = "multipart/form-data; boundary=xyz"
    consent = (FORM % _recording()).replace(b"audio_sample", b"recording").replace(
        b"consent", b"language")
    return [_request("/v1/audio/voices", FORM % _recording(), Content_Type=kind),
            _request("/v1/audio/voice_consents", consent, Content_Type=kind)]


def elevenlabs_requests() -> list[bytes]:
    body = {"text": "Hello, it costs $5.", "model_id": "x", "seed": 3,
            "voice_settings": {"stability": 0.5, "speed": 1.1}, "output_format": "pcm_24000",
            "apply_text_normalization": "auto"}
    paths = ("", "/stream?output_format=mp3_44100_128", "/with-timestamps",
             "/stream/with-timestamps")
    return [_request(f"/v1/text-to-speech/alloy{path}", body) for path in paths]


def sockets() -> list[bytes]:
    lines = "\n".join(map(json.dumps, MESSAGES)).encode()
    single = b'{"text": " "}\n{"text": "Hello there. "}\n{"text": ""}'
    path = "/v1/text-to-speech/alloy/"
    return [_request(f"{path}multi-stream-input?output_format=pcm_24000&auto_mode=true", lines),
            _request(f"{path}multi-stream-input", lines),
            _request(f"{path}stream-input?inactivity_timeout=5&seed=3", single)]


def _tensors() -> list[tuple[str, str, list[int], Any, bytes]]:
    """Name, data type, shape, data as JSON and as bytes."""
    samples = np.sin(np.arange(1600) / 5).astype("<f4")
    return [("reference_wav", "FP32", [1, 1600], [samples.tolist()], samples.tobytes()),
            ("reference_wav_len", "INT32", [1, 1], [[1600]], struct.pack("<i", 1600)),
            ("reference_text", "BYTES", [1, 1], ["Hi."], struct.pack("<I", 3) + b"Hi."),
            ("target_text", "BYTES", [1, 1], ["Hello."], struct.pack("<I", 6) + b"Hello.")]


def kserve_requests() -> list[bytes]:
    path = "/v2/models/spark_tts/infer"
    parts: list[dict[str, Any]] = [{"name": name, "datatype": kind, "shape": shape}
                                   for name, kind, shape, _, _ in _tensors()]
    listed = [{**part, "data": data} for part, (_, _, _, data, _) in
              zip(parts, _tensors(), strict=True)]
    binary = [{**part, "parameters": {"binary_data_size": len(content)}}
              for part, (*_, content) in zip(parts, _tensors(), strict=True)]
    header = json.dumps({"id": "7", "inputs": binary, "parameters": {"seed": 1, "top_p": 0.9},
                         "outputs": [{"name": "waveform", "parameters": {"binary_data": True}}],
                         }).encode()
    voiced = {"inputs": listed[3:], "parameters": {"voice": "alloy", "temperature": 0.8}}
    content = header + b"".join(tensor[4] for tensor in _tensors())
    ids = {"inputs": [{"name": "global_tokens", "datatype": "INT32", "shape": [1, 32],
                       "data": [0] * 32},
                      {"name": "semantic_tokens", "datatype": "INT32", "shape": [1, 5],
                       "data": [[1, 2, 3, 4, 5]]}]}
    return [_request(path, {"inputs": listed}), _request(path, voiced),
            _request(path, content, Inference_Header_Content_Length=str(len(header))),
            _request("/v2/models/audio_tokenizer/infer", {"inputs": listed[:2]}),
            _request("/v2/models/vocoder/versions/1/infer", ids)]


def grpc_requests() -> list[bytes]:
    from tritonclient.grpc import service_pb2

    contents = []
    for names in (slice(0, 4), slice(3, 4)):
        request = service_pb2.ModelInferRequest(model_name="spark_tts", id="7")
        for name, kind, shape, _, content in _tensors()[names]:
            request.inputs.add(name=name, datatype=kind, shape=shape)
            request.raw_input_contents.append(content)
        request.parameters["seed"].int64_param = 1
        request.parameters["temperature"].double_param = 0.5
        if names.start:
            request.parameters["voice"].string_param = "alloy"
        contents.append(request.SerializeToString())
    return contents


def _from_file(call: Callable[..., str], *arguments: str) -> Callable[[Path], str]:
    return lambda path: call(path.read_bytes(), *arguments)


TARGETS: dict[str, tuple[Callable[[], list[bytes]], Callable[[Path], str], str]] = {
    "openai-speech": (speech_requests, _from_file(call_http, "/v1/audio/speech"), "http"),
    "openai-voices": (voice_forms, _from_file(call_http, "/v1/audio/voices"), "http"),
    "elevenlabs": (elevenlabs_requests, _from_file(call_http, "/v1/text-to-speech/alloy"), "http"),
    "elevenlabs-socket": (sockets, _from_file(
        call_socket, "/v1/text-to-speech/alloy/multi-stream-input"), "ws"),
    "kserve": (kserve_requests, _from_file(call_http, "/v2/models/spark_tts/infer"), "http"),
    "kserve-grpc": (grpc_requests, _from_file(call_grpc), "grpc"),
}
