"""Clients of a soak test notice what a server does wrong, and take what it may do."""

import asyncio
import json
import random

import httpx
import numpy as np
import pytest

from tests.benchmarks.fake_server import FakeServer, delta, event
from tools.server_soak import garbage, speech_clients, voice_clients
from tools.server_soak.audio import ExpectedLengths
from tools.server_soak.context import Context, perform
from tools.server_soak.disk import SmallDisk
from tools.server_soak.ledger import Ledger

EVENTS = {"content-type": "text/event-stream"}
DONE = event(type="speech.audio.done", usage={})


def tone(seconds, rate=24_000):
    samples = 8000 * np.sin(np.arange(round(seconds * rate)) / 10)
    return samples.astype("<i2").tobytes()


def outcomes(action, answer, outage=False, requests=1):
    """What an action makes of a server's answers, as its ledger has it."""
    if not callable(answer):
        response = answer

        def answer(body):
            return response

    async def run():
        server = FakeServer(answer)
        async with httpx.AsyncClient(transport=server.transport, base_url="http://server") as http:
            context = Context("http://server", "server:1", "key", http, Ledger(),
                              ExpectedLengths({}), None)
            if outage:
                context.outages.begin()
            for seed in range(requests):
                await perform(context, "client", action, random.Random(seed))
            return context.ledger

    ledger = asyncio.run(run())
    assert sum(ledger.outcomes.values()) == requests
    failed = {kind for (_, kind) in ledger.outcomes} - {
        "ok", "refused", "left", "told", "busy", "draining", "interrupted"}
    assert bool(ledger.failure_count) == bool(failed), ledger.failures
    return {kind: count for (_, kind), count in ledger.outcomes.items()}


async def speak_pcm(context, generator):
    return await speech_clients.speak(context, generator, "pcm")


def spoken(body, seconds=None, **headers):
    """A right answer: as long as the text asks for, at the rate that was asked for."""
    seconds = seconds or 0.06 * len(body["input"])
    content = tone(seconds, body.get("sample_rate", 24_000))
    return 200, {"content-type": "audio/pcm", **headers}, [(0, content[:1000]), (0, content[1000:])]


def test_right_speech():
    assert outcomes(speak_pcm, spoken, requests=20) == {"ok": 20}


def test_speech_that_is_shorter_the_second_time():
    lengths = {}

    def answer(body):
        lengths[body["input"]] = lengths.get(body["input"], 0.06 * len(body["input"])) - 0.01
        return spoken(body, lengths[body["input"]])

    assert outcomes(speak_pcm, answer, requests=100)["wrong_audio"] > 10


@pytest.mark.parametrize("answer, kind", [
    ((200, {"content-type": "audio/pcm"}, []), "wrong_audio"),
    ((200, {"content-type": "audio/pcm"}, [(0, bytes(60_000))]), "wrong_audio"),
    ((200, {"content-type": "text/html"}, [(0, tone(3))]), "wrong_audio"),
    ((200, {"content-type": "audio/pcm"}, [(0, tone(3)[:-1])]), "wrong_audio"),
    ((500, {}, [(0, b"{}")]), "server_error"), ((404, {}, [(0, b"{}")]), "unexpected"),
    ((429, {}, [(0, b"{}")]), "unexpected"), ((503, {}, [(0, b"{}")]), "unexpected"),
    ((200, {"content-type": "audio/pcm"}, [(0, httpx.RemoteProtocolError("cut"))]), "lost"),
    ((200, {"content-type": "audio/pcm"}, [(0, RuntimeError("bug"))]), "unexpected")])
def test_what_a_server_does_wrong(answer, kind):
    assert outcomes(speak_pcm, answer) == {kind: 1}


def test_a_busy_server():
    assert outcomes(speak_pcm, (429, {"Retry-After": "3"}, [])) == {"busy": 1}


@pytest.mark.parametrize("answer, kind", [
    ((503, {}, []), "draining"),
    ((200, {"content-type": "audio/pcm"}, [(0, httpx.ReadError("reset"))]), "interrupted"),
    ((200, {"content-type": "audio/pcm"}, [(0, tone(0.01))]), "wrong_audio")])
def test_while_a_server_ends(answer, kind):
    # Speech that breaks off must not look as if it were complete, not even then.
    assert outcomes(speak_pcm, answer, outage=True) == {kind: 1}


def in_events(*parts):
    return 200, EVENTS, [(0, part) for part in parts]


def test_events(monkeypatch):
    monkeypatch.setattr(speech_clients, "FORMATS", ("pcm",))
    action = speech_clients.speak_in_events
    error = event(type="speech.audio.error", error={"message": "The server stops."})

    def right(body):
        return in_events(delta(tone(0.06 * len(body["input"]))), DONE)

    assert outcomes(action, right, requests=5) == {"ok": 5}
    assert outcomes(action, in_events(delta(tone(3)))) == {"lost": 1}
    assert outcomes(action, in_events(delta(tone(3)), error)) == {"lost": 1}
    assert outcomes(action, in_events(delta(tone(3)), error), outage=True) == {"told": 1}
    assert outcomes(action, in_events(DONE)) == {"wrong_audio": 1}


def test_leavers():
    assert outcomes(speech_clients.leave, spoken, requests=5) == {"left": 5}
    assert outcomes(speech_clients.leave, (500, {}, [])) == {"server_error": 1}


def refusal(status, message="The text is empty."):
    return status, {}, [(0, json.dumps({"error": {"message": message}}).encode())]


@pytest.mark.parametrize("answer, kind", [
    (refusal(400), "refused"), (refusal(500), "server_error"), (refusal(200), "unexpected"),
    (refusal(422), "unexpected"), (refusal(400, "two\nlines of text"), "unexpected"),
    (refusal(400, "x" * 5000), "unexpected"), (refusal(400, ""), "unexpected"),
    ((400, {}, [(0, b"Bad Request")]), "unexpected"), ((200, {}, [(0, tone(1))]), "unexpected")])
def test_garbage_must_be_refused_in_one_line(answer, kind):
    assert outcomes(garbage.wrong_fields, answer) == {kind: 1}


def test_fields_that_are_wrong_differ_from_good_ones():
    for wrong in garbage.WRONG_FIELDS:
        assert any(garbage.WELL.get(name) != value for name, value in wrong.items())


class VoiceServer:
    """Keeps voices; `lose` forgets them, `keep_deleted` does not delete."""

    def __init__(self, lose=False, keep_deleted=False, save_status=200):
        self.voices = {}
        self.lose, self.keep_deleted, self.save_status = lose, keep_deleted, save_status

    def transport(self):
        return httpx.MockTransport(self.answer)

    def answer(self, request):
        path = request.url.path
        if path == "/v1/audio/speech":
            body = json.loads(request.content)
            if body["voice"] not in self.voices:
                return httpx.Response(400, json={"error": {"message": "unknown voice"}})
            return httpx.Response(200, content=tone(1.2))
        if request.method == "DELETE":
            if not self.keep_deleted:
                self.voices.pop(path.rpartition("/")[2])
            return httpx.Response(200, json={})
        if request.method == "GET":
            return httpx.Response(200, json={"voices": [
                {"id": name, "name": name} for name in self.voices]})
        name = request.content.split(b'name="name"\r\n\r\n')[1].split(b"\r\n")[0].decode()
        if self.save_status != 200:
            return httpx.Response(self.save_status, json={"error": {"message": "No space left."}})
        if not self.lose:
            self.voices[name] = True
        return httpx.Response(200, json={"id": name})


def of_voices(server, action=voice_clients.add_and_delete, full=False):
    async def run():
        async with httpx.AsyncClient(transport=server.transport(), base_url="http://x") as http:
            disk = SmallDisk.__new__(SmallDisk)
            disk.full = full
            context = Context("http://x", "x:1", "key", http, Ledger(), ExpectedLengths({}), disk)
            await perform(context, "client", action, random.Random(1))
            return context.ledger

    ledger = asyncio.run(run())
    [(_, kind)] = ledger.outcomes
    return kind


def test_voices_that_are_saved_and_deleted():
    server = VoiceServer()
    assert of_voices(server) == "ok" and not server.voices
    assert of_voices(VoiceServer(lose=True)) == "lost"
    assert of_voices(VoiceServer(keep_deleted=True)) == "unexpected"
    assert of_voices(VoiceServer(save_status=507)) == "server_error"


def test_voices_on_a_full_disk():
    assert of_voices(VoiceServer(save_status=507), full=True) == "refused"
    assert of_voices(VoiceServer(), full=True) == "unexpected"


def test_the_kept_voice():
    server = VoiceServer()
    assert of_voices(server, voice_clients.use_kept) == "lost"
    server.voices[voice_clients.KEPT] = True
    assert of_voices(server, voice_clients.use_kept) == "ok"
