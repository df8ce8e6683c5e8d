"""A service that speaks every character as 10 ms of a level of its own, so that what a client hears
can be read; and a client."""

import asyncio
import base64
import json

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sparktts_ms.errors import VoiceError
from sparktts_ms.serving.voices.library import VoiceLibrary

SAMPLE_RATE = 16000
SAMPLES = 160               # of a character
LEVEL = 1 / 256             # of a character's code


class FakeStream:
    """chunks: of how many characters; `seconds_each` passes before each of them."""

    def __init__(self, owner, request, seconds_each, error):
        self.owner = owner
        self.text = request.text
        self.sample_rate = SAMPLE_RATE
        self.seconds = 0.0
        self.seconds_each = seconds_each
        self.error = error
        self.is_complete = False
        self.is_ended = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.end()

    def end(self, error=None):
        self.is_ended = True
        self.owner.running.discard(self)

    async def __aiter__(self):
        if self.error is not None:
            raise self.error
        for begin in range(0, len(self.text), 4):
            await asyncio.sleep(self.seconds_each)
            samples = np.repeat(np.array([ord(c) for c in self.text[begin:begin + 4]]), SAMPLES)
            self.seconds += len(samples) / SAMPLE_RATE
            yield (samples * LEVEL).astype(np.float32)
        self.is_complete = True
        self.owner.running.discard(self)


class FakeSpeech:
    """errors: raised by `submit`, one a call, before it works again. stream_errors: by text."""

    sample_rate = SAMPLE_RATE

    def __init__(self, seconds_each=0.0):
        self.seconds_each = seconds_each
        self.streams = []
        self.running = set()
        self.errors = []
        self.stream_errors = {}
        self.is_draining = False
        self.requests = []

    @property
    def texts(self):
        return [stream.text for stream in self.streams]

    async def submit(self, request, *, api):
        assert api == "elevenlabs"
        if self.errors:
            raise self.errors.pop(0)
        self.requests.append(request)
        stream = FakeStream(self, request, self.seconds_each, self.stream_errors.get(request.text))
        self.streams.append(stream)
        self.running.add(stream)
        return stream

    async def until_draining(self):
        while not self.is_draining:
            await asyncio.sleep(0.01)

    def close(self):
        pass


class FakeVoices(VoiceLibrary):
    """One voice, "female"."""

    def __init__(self, voice):
        super().__init__(None, {})
        self.voice = voice

    async def find(self, name, speech):
        if name != "female":
            raise VoiceError(f"There is no voice named {name!r}.", code="unknown_voice")
        return self.voice


class Client:
    """A connection of the `websockets` library. Messages are kept in `messages`."""

    def __init__(self, url, path="female/multi-stream-input", query="output_format=pcm_16000",
                 **options):
        address = f"{url.replace('http', 'ws')}v1/text-to-speech/{path}?{query}"
        self.socket = connect(address, open_timeout=20, close_timeout=2, **options)
        self.messages = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, **fields):
        self.socket.send(json.dumps(fields))

    def receive(self, timeout=20):
        message = json.loads(self.socket.recv(timeout))
        self.messages.append(message)
        return message

    def until_final(self, context_id=None):
        """All messages until a context is final, or without an id the first that is."""
        received = []
        while True:
            received.append(self.receive())
            same = context_id in (None, received[-1].get("contextId"))
            if received[-1].get("isFinal") and same:
                return received

    def until_closed(self):
        """The messages that are left, and the close frame's code and reason."""
        received = []
        try:
            while True:
                received.append(self.receive())
        except ConnectionClosed as closed:
            return received, closed.rcvd.code, closed.rcvd.reason


def audio_of(messages, context_id=None):
    """The bytes of a context's sound."""
    return b"".join(base64.b64decode(message["audio"]) for message in messages
                    if message.get("audio") and context_id in (None, message.get("contextId")))


def heard(audio):
    """What is said in 16-bit samples at 16 kHz; a pause is "_" for each 10 ms that it lasts."""
    samples = np.frombuffer(audio, "<i2")
    assert len(samples) % SAMPLES == 0
    levels = np.rint(samples[::SAMPLES] / (32768 * LEVEL)).astype(int)
    return "".join(chr(level) if level else "_" for level in levels)
