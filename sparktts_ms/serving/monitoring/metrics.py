"""Prometheus metrics, in vLLM's style of names: spark_tts:num_requests_running and so on."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

PREFIX = "spark_tts:"
SECONDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1200)
FACTORS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1, 1.2, 1.5, 2, 3, 5, 10)
LABELS = ("api",)           # openai, elevenlabs, kserve

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.running = self._gauge("num_requests_running", "Requests that share decode steps.")
        self.waiting = self._gauge("num_requests_waiting", "Requests that wait for a slot.")
        self.slots = self._gauge("num_slots_used", "Slots of the KV cache in use.")
        self.ready = self._gauge("ready", "1 if requests are taken.")
        self.success = self._counter("request_success", "Requests answered completely.", LABELS)
        self.failure = self._counter("request_failure", "Requests that failed, by error code.",
                                     (*LABELS, "code"))
        self.cancelled = self._counter("request_cancelled", "Requests whose client left.", LABELS)
        self.first_audio = self._histogram("time_to_first_audio_seconds", "From the request's text "
                                           "to its first samples.", SECONDS)
        self.latency = self._histogram("e2e_request_latency_seconds", "From the request's text to "
                                       "its last samples.", SECONDS)
        self.queue_time = self._histogram("request_queue_time_seconds", "Until the request has a "
                                          "slot.", SECONDS)
        self.rtf = self._histogram("real_time_factor", "Seconds of work for a second of speech, of "
                                   "a request.", FACTORS)
        self.audio_seconds = self._counter("audio_seconds", "Seconds of speech made.", LABELS)
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts.", LABELS)
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated.", LABELS)

    def observe(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Let a gauge be whatever `value` returns when it is asked."""
        gauge.set_function(value)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All values as text, and its content type: OpenMetrics for who accepts it."""
        if "application/openmetrics-text" in accept:
            return generate_openmetrics(self.registry), OPENMETRICS
        return generate_latest(self.registry), TEXT

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(PREFIX + name, text, registry=self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(PREFIX + name, text, LABELS, buckets=buckets, registry=self.registry)
