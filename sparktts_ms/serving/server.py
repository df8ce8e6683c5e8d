"""What all protocols share."""

from __future__ import annotations

import logging
import time

from sparktts_ms.service import Service
from sparktts_ms.serving.async_service import AsyncService
from sparktts_ms.serving.monitoring.metrics import Metrics
from sparktts_ms.serving.settings import Settings
from sparktts_ms.serving.voices.library import VoiceLibrary
from sparktts_ms.serving.voices.names import read_names
from sparktts_ms.serving.voices.store import VoiceStore

logger = logging.getLogger("sparktts_ms")


class SpeechServer:
    """speech: takes requests. voices: by name. Raises InputError and VoiceError for a file of names
    that makes no sense, OutputError for what can be no folder of voices."""

    def __init__(self, settings: Settings = Settings(),  # noqa: B008
                 speech: AsyncService | None = None):
        self.settings = settings
        self.grpc_port: int | None = None       # while gRPC is served
        self.speech = speech or AsyncService(settings, Metrics())
        self.metrics = self.speech.metrics
        store = None if settings.voices is None else VoiceStore(settings.voices)
        if store is not None:
            store.check()
        names = {} if settings.names is None else read_names(settings.names)
        self.voices = VoiceLibrary(store, names)

    def start(self, service: Service) -> None:
        """Warm up, then take requests from now on. From any thread."""
        start = time.perf_counter()
        self.voices.generate(service)
        service.warm_up()
        logger.info("Warmed up in %.1f s.", time.perf_counter() - start)
        self.speech.start(service)

    def close(self) -> None:
        """End the threads; the service is its owner's to close."""
        self.speech.close()
