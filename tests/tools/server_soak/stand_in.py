"""A speech server without a model, for tests of the soak test: python stand_in.py PORT VOICES FAULT

FAULT: "" or what it does wrong.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

PORT, VOICES, FAULT = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
state = {"running": 0, "requests": 0}
kept = []


def error(status, message):
    return JSONResponse({"error": {"message": message}}, status)


def saved():
    return {path.stem: path for path in VOICES.glob("*.voice")}


async def speech(request):
    body = json.loads(await request.body())
    if body["voice"] not in {*saved(), "alloy", "nova", "female", "male"}:
        return error(400, "There is no such voice.")
    state["requests"] += 1
    misbehave()
    rate = body.get("sample_rate", 24_000)
    length = 0.06 * len(body["input"])
    if FAULT == "shorter":
        length -= 0.0005 * state["requests"]
    samples = 8000 * np.sin(np.arange(round(length * rate)) / 10)
    parts = np.array_split(samples.astype("<i2"), 1 + len(body["input"]) // 20)

    async def content():
        state["running"] += 1
        try:
            for part in parts:
                await asyncio.sleep(0.01)
                yield part.tobytes()
        finally:
            if FAULT != "slots":
                state["running"] -= 1

    return StreamingResponse(content(), media_type="audio/pcm",
                             headers={"X-Sample-Rate": str(rate)})


def misbehave():
    if FAULT == "files":
        kept.append(os.dup(0))
    elif FAULT == "threads":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    elif FAULT == "memory":
        kept.append(np.ones(1 << 20))
    elif FAULT == "temp":
        (Path(os.environ["TMPDIR"]) / str(state["requests"])).touch()
    elif FAULT == "traceback":
        print("Traceback (most recent call last):", flush=True)


async def voices(request):
    if request.method == "GET":
        return JSONResponse({"voices": [{"id": name, "name": name} for name in saved()]})
    if request.method == "DELETE":
        saved()[request.path_params["name"]].unlink()
        return JSONResponse({})
    form = await request.form()
    path = VOICES / f"{form['name']}.voice"
    try:
        path.write_bytes(await form["audio_sample"].read())
    except OSError:
        path.unlink(missing_ok=True)
        return error(507, "The disk is full.")
    return JSONResponse({"id": form["name"]})


async def metrics(request):
    return PlainTextResponse(f"# HELP x y\nspark_tts:num_requests_running {state['running']}\n"
                             "spark_tts:num_requests_waiting 0.0\n")


async def ready(request):
    return PlainTextResponse("OK")


app = Starlette(routes=[
    Route("/v1/audio/speech", speech, methods=["POST"]),
    Route("/v1/audio/voices", voices, methods=["GET", "POST"]),
    Route("/v1/audio/voices/{name}", voices, methods=["DELETE"]),
    Route("/metrics", metrics), Route("/health/ready", ready)])

signal.signal(signal.SIGTERM, lambda *_: None)      # uvicorn raises it again when it has ended
uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="warning", access_log=False)).run()
if FAULT == "status":
    sys.exit(3)
