"""Sizes of bodies, and how slowly they may arrive."""

import asyncio
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sparktts_ms.serving.middleware.body import BodyLimit, BodyTimeLimit, TotalBodyLimit


async def read(request):
    return PlainTextResponse(str(len(await request.body())))


async def swallow(request):
    """What a form parser may do: any error of reading becomes its own response."""
    try:
        await request.body()
    except Exception:
        return PlainTextResponse("bad form", 400)
    return PlainTextResponse("read")


def application():
    routes = [Route("/" + f.__name__, f, methods=["POST"]) for f in (read, swallow)]
    return Starlette(routes=[*routes, Route("/upload", read, methods=["POST"])])


def pieces(num_bytes, size=100):
    for start in range(0, num_bytes, size):
        yield b"x" * min(size, num_bytes - start)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    "path, num_bytes, status",
    [("/read", 1000, 200), ("/read", 1001, 413), ("/swallow", 1001, 413), ("/upload", 1001, 200),
     ("/upload", 5000, 200), ("/upload", 5001, 413), ("/read", 0, 200)],
)
def test_limits_by_path(path, num_bytes, status, declared):
    client = TestClient(BodyLimit(application(), 1000, {"/upload": 5000}))
    body = b"x" * num_bytes if declared else pieces(num_bytes)
    response = client.post(path, content=body)
    assert response.status_code == status
    assert status == 200 or "at most" in response.json()["error"]


@pytest.mark.parametrize("path, status", [
    ("/models/a/infer", 404), ("/models", 413), ("/models/small", 413)])
def test_limits_of_all_paths_below_one(path, status):
    """404: the application has been reached."""
    limits = {"/models/": 5000, "/models/small": 100}
    response = TestClient(BodyLimit(application(), 1000, limits)).post(path, content=bytes(2000))
    assert response.status_code == status


def test_a_body_is_refused_before_it_is_read():
    received = []

    async def receive():
        received.append(1)
        return {"type": "http.request", "body": b"x" * 400, "more_body": True}

    responses = run(BodyLimit(application(), 1000), receive)
    assert responses[0]["status"] == 413 and len(received) == 3
    received.clear()
    headers = [(b"content-length", b"1001")]
    assert run(BodyLimit(application(), 1000), receive, headers)[0]["status"] == 413
    assert not received


def run(app, receive, headers=()):
    """The messages that an application sends."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/read", "headers": list(headers),
             "query_string": b"", "http_version": "1.1", "root_path": ""}
    asyncio.run(app(scope, receive, send))
    return sent


def receiver(*messages):
    """Receives these bodies, each after its seconds; then nothing more."""
    waiting = list(messages)

    async def receive():
        if not waiting:
            await asyncio.Event().wait()
        seconds, body, more = waiting.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": body, "more_body": more}

    return receive


def test_bodies_that_stop_arriving_are_refused():
    app = BodyTimeLimit(application(), seconds=0.05, min_rate=1000)
    assert run(app, receiver((0, b"x", True)))[0]["status"] == 408
    assert run(app, receiver((0, b"x", True), (0, b"y", False)))[0]["status"] == 200


def test_slow_bodies_have_the_time_that_their_size_allows():
    app = BodyTimeLimit(application(), seconds=0.8, min_rate=1000)
    slow = [(0.2, b"x" * 900, True)] * 6 + [(0, b"", False)]           # 1.2 s for 5400 bytes
    assert run(app, receiver(*slow))[0]["status"] == 200
    trickle = [(0.2, b"x", True)] * 6 + [(0, b"", False)]
    assert run(app, receiver(*trickle))[0]["status"] == 408


def test_responses_may_take_their_time():
    async def slow(scope, receive, send):
        await receive()
        start = time.monotonic()
        waiting = asyncio.ensure_future(receive())          # for a disconnection
        await asyncio.sleep(0.2)
        assert not waiting.done() and time.monotonic() - start >= 0.2
        waiting.cancel()
        await PlainTextResponse("late")(scope, receive, send)

    assert run(BodyTimeLimit(slow, 0.05), receiver((0, b"", False)))[0]["status"] == 200


class Arriving:
    """A request whose body arrives in pieces of 100 bytes, when `piece` is called."""

    def __init__(self, app, path="/read"):
        self.sent = []
        self.queue = asyncio.Queue()
        scope = {"type": "http", "path": path, "method": "POST", "headers": [], "query_string": b""}
        self.task = asyncio.ensure_future(app(scope, self.queue.get, self.send))
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def send(self, message):
        self.sent.append(message)

    async def piece(self, last=False):
        await self.queue.put({"type": "http.request", "body": bytes(100), "more_body": not last})
        await asyncio.sleep(0.01)

    @property
    def status(self):
        return self.sent[0]["status"] if self.sent else None


def test_all_large_bodies_together_have_a_limit():
    async def scenario():
        limit = TotalBodyLimit(application(), max_bytes=300, free_bytes=100, retry_after=7)
        first, second = Arriving(limit), Arriving(limit)
        for _ in range(3):
            await first.piece()         # 200 bytes that count
        await second.piece()
        await second.piece()            # 100
        assert (first.status, second.status) == (None, None)
        await second.piece()
        await second.task
        assert second.status == 429 and (b"retry-after", b"7") in second.sent[0]["headers"]
        small = Arriving(limit)
        await small.piece(last=True)    # does not count
        third = Arriving(limit)
        await third.piece()
        await third.piece()             # takes what the second one had
        assert (small.status, third.status) == (200, None)
        first.task.cancel()
        await asyncio.wait([first.task])
        await third.piece()
        await third.piece(last=True)
        await third.task
        assert third.status == 200 and limit.num_bytes == 0

    asyncio.run(scenario())


def test_a_body_counts_until_its_response_begins():
    async def answer_slowly(request):
        await request.body()
        return StreamingResponse(endless(), 200)

    async def endless():
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def scenario():
        app = Starlette(routes=[Route("/read", answer_slowly, methods=["POST"])])
        limit = TotalBodyLimit(app, max_bytes=300, free_bytes=0)
        request = Arriving(limit)
        await request.piece()
        assert limit.num_bytes == 100
        await request.piece(last=True)
        assert request.status == 200 and limit.num_bytes == 0 and not request.task.done()
        request.task.cancel()
        await asyncio.wait([request.task])
        broken = Arriving(limit)
        await broken.piece()
        await broken.queue.put({"type": "http.disconnect"})
        await asyncio.wait([broken.task])
        assert limit.num_bytes == 0

    asyncio.run(scenario())
