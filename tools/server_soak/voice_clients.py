"""Clients that upload a voice, speak with it and delete it; one voice stays for the whole test."""

from __future__ import annotations

import functools
import io
import random
import uuid
from pathlib import Path

import numpy as np
import soundfile

from tools.server_soak.audio import check_speech, decode
from tools.server_soak.context import Action, Context, check_status
from tools.server_soak.ledger import Failed
from tools.server_soak.process import ROOT

PATH = "/v1/audio/voices"
RECORDING = ROOT / "examples" / "sparktts" / "prompt.wav"
KEPT = "soak-kept"
TEXT = "Your table is ready now."


@functools.lru_cache(1)
def recording(path: Path = RECORDING) -> tuple[np.ndarray, int]:
    return soundfile.read(path, dtype="float32")


def sample(seconds: float, response_format: str = "WAV") -> bytes:
    """The beginning of the recording as a file."""
    samples, rate = recording()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples[:int(seconds * rate)], rate, format=response_format)
    return buffer.getvalue()


async def names(context: Context) -> set[str]:
    """Of all voices that the server lists."""
    response = await context.http.get(PATH)
    check_status(response)
    return {voice["name"] for voice in response.json()["voices"]}


async def upload(context: Context, name: str, content: bytes) -> str:
    """The id of the new voice."""
    response = await context.http.post(
        PATH, data={"name": name, "consent": "The speaker agrees."},
        files={"audio_sample": ("sample.wav", content, "audio/wav")})
    check_status(response)
    return response.json()["id"]


async def keep_a_voice(context: Context) -> None:
    """Save the voice that must outlive every restart."""
    await upload(context, KEPT, sample(4))


async def speak(context: Context, voice: str) -> int:
    """The status of a short request; speech that comes is checked."""
    response = await context.http.post("/v1/audio/speech", json={
        "model": "tts-1", "input": TEXT, "voice": voice, "response_format": "pcm", "seed": 1})
    if response.status_code == 200:
        check_speech(decode(response.content, "pcm", 24_000), TEXT)
    elif response.status_code in (429, 503) or response.status_code >= 500:
        check_status(response)
    return response.status_code


async def add_and_delete(context: Context, generator: random.Random) -> str:
    name = f"soak-{uuid.uuid4().hex[:12]}"
    full = context.disk.full
    content = sample(generator.uniform(2, 6), generator.choice(("WAV", "FLAC", "OGG")))
    if full:
        return await upload_to_full_disk(context, name, content)
    try:
        voice = await upload(context, name, content)
    except Failed:
        if context.disk.full:               # it filled up meanwhile
            return "refused"
        raise
    if name not in await names(context):
        raise Failed("lost", f"{name} was saved but is not listed")
    status = await speak(context, voice)
    if status != 200:
        raise Failed("unexpected", f"{status} for a voice that was just saved")
    response = await context.http.delete(f"{PATH}/{voice}")
    check_status(response)
    if name in await names(context):
        raise Failed("unexpected", f"{name} was deleted but is listed")
    status = await speak(context, voice)
    if status not in (400, 404):
        raise Failed("unexpected", f"{status} for a deleted voice")
    return "ok"


async def upload_to_full_disk(context: Context, name: str, content: bytes) -> str:
    """An upload that cannot be saved must be refused in words, and leave nothing."""
    response = await context.http.post(
        PATH, data={"name": name, "consent": "The speaker agrees."},
        files={"audio_sample": ("sample.wav", content, "audio/wav")})
    if not context.disk.full:
        return "ok" if response.status_code == 200 else "refused"
    if response.status_code == 200:
        raise Failed("unexpected", "a voice was saved on a full disk")
    message = response.json()["error"]["message"]
    if not message or "\n" in message or "Internal" in message:
        raise Failed("unexpected", f"full disk: {response.status_code}: {message!r}")
    if name in await names(context):
        raise Failed("unexpected", f"{name} was refused but is listed")
    return "refused"


async def use_kept(context: Context, generator: random.Random) -> str:
    """The kept voice is always there."""
    if KEPT not in await names(context):
        raise Failed("lost", "the kept voice is not listed")
    status = await speak(context, KEPT)
    if status != 200:
        raise Failed("lost", f"{status} for the kept voice")
    return "ok"


ACTIONS: dict[str, tuple[float, Action]] = {
    "voice upload": (1.5, add_and_delete),
    "kept voice": (1.0, use_kept),
}
