"""The limit of requests in progress."""

import asyncio

from starlette.responses import PlainTextResponse

from sparktts_ms.serving.middleware.concurrency import ConcurrencyLimit


def test_requests_beyond_the_limit_get_429_at_once_and_room_is_given_back():
    async def check():
        release = asyncio.Event()

        async def app(scope, receive, send):
            await release.wait()
            if scope["path"] == "/tts" and scope["query_string"] == b"fail":
                raise ValueError
            await PlainTextResponse("done")(scope, receive, send)

        limit = ConcurrencyLimit(app, ["/tts", "/api"], 2, retry_after=7)

        async def request(path, query=b""):
            sent = []

            async def send(message):
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": path, "headers": [],
                     "query_string": query}
            await limit(scope, None, send)
            return sent[0]

        waiting = [request("/tts", b"fail"), request("/api")]
        first = [asyncio.create_task(coroutine) for coroutine in waiting]
        await asyncio.sleep(0)
        refused = await request("/tts")                 # while the others wait
        assert refused["status"] == 429 and (b"retry-after", b"7") in refused["headers"]
        other = asyncio.create_task(request("/page"))
        release.set()
        results = await asyncio.gather(*first, other, return_exceptions=True)
        assert isinstance(results[0], ValueError)
        assert [result["status"] for result in results[1:]] == [200, 200]
        assert (await request("/tts"))["status"] == 200

    asyncio.run(check())
