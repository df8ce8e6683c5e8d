"""An engine without a cluster."""

import asyncio
import contextlib
import gc

import pytest

from sparktts_ms.errors import AudioError
from sparktts_ms.serving.distributed import engine as engine_module
from sparktts_ms.serving.distributed.engine import Engine
from tests.helpers import wait_until
from tests.serving.distributed.fakes import FakeService


class Recording(bytes):
    """Bytes that say when they are gone."""

    gone = False

    def __del__(self):
        Recording.gone = True


@pytest.fixture
def engine(monkeypatch):
    """Its service is in `_service`; its metrics are counted only."""
    class NoMetrics:
        def __init__(self, service):
            self.encoded = 0

        def note_encoded(self):
            self.encoded += 1

    monkeypatch.setattr(engine_module, "EngineMetrics", NoMetrics)
    return Engine(FakeService)


def test_a_recording_is_encoded_once_for_all_who_ask(engine):
    async def ask():
        return await asyncio.gather(*(engine.encode_voice(b"speech", None) for _ in range(3)))

    voices = asyncio.run(ask())
    assert voices[0] is voices[1] is voices[2] and engine._metrics.encoded == 1


def test_a_recording_that_is_no_speech_is_not_kept(engine):
    """Its error has a traceback, and that has the recording, of up to 20 MB."""
    async def ask():
        recording = Recording(b"noise")
        with contextlib.suppress(AudioError):
            await engine.encode_voice(recording, None)
            pytest.fail("It is no speech.")
        del recording
        await asyncio.sleep(0)
        assert wait_until(lambda: gc.collect() >= 0 and Recording.gone)     # the thread has it, too
        with pytest.raises(AudioError):
            await engine.encode_voice(b"noise", None)
        assert engine._metrics.encoded == 2

    asyncio.run(ask())
