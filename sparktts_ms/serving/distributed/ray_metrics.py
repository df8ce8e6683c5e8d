"""The metrics of a replica, exported by Ray: ray_spark_tts_num_requests_running and so on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ray.serve import metrics as ray_metrics

from sparktts_ms.service import Service
from sparktts_ms.serving.monitoring.metrics import LABELS, TEXT, Metrics

PREFIX = "spark_tts_"       # Ray allows no colons
GAUGE_SECONDS = 2.0         # between two values of a gauge


class RayMetrics(Metrics):
    """Of the ingress: those of `Metrics`, with the replica's labels of Ray besides."""

    def __init__(self) -> None:
        self._values: list[tuple[Any, Callable[[], float]]] = []
        super().__init__()
        keep_set(self._values)

    def observe(self, gauge: Any, value: Callable[[], float]) -> None:
        """Let a gauge be whatever `value` returns, every GAUGE_SECONDS."""
        self._values.append((gauge, value))

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Nothing: Ray exports the values of all replicas on each node."""
        return b"# Ray exports the metrics of this server.\n", TEXT

    def _gauge(self, name: str, text: str) -> Any:
        return ray_metrics.Gauge(PREFIX + name, text)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Any:
        return _Labelled(ray_metrics.Counter(PREFIX + name, text, cast(Any, labels)), labels)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Any:
        return _Labelled(ray_metrics.Histogram(PREFIX + name, text, list(buckets), LABELS), LABELS)


class EngineMetrics:
    """Of an engine: slots in use, and recordings that were encoded."""

    def __init__(self, service: Service):
        slots = ray_metrics.Gauge(f"{PREFIX}num_slots_used", "Slots of the KV cache in use.")
        self._encoded = ray_metrics.Counter(
            f"{PREFIX}recordings_encoded", "Recordings that were not in the engine's cache.")
        keep_set([(slots, lambda: service.num_slots_used)])

    def note_encoded(self) -> None:
        """A recording has been encoded."""
        self._encoded.inc()


def keep_set(values: Sequence[tuple[Any, Callable[[], float]]]) -> None:
    """Set each gauge to its value, every GAUGE_SECONDS, in a thread of its own."""
    def keep() -> None:
        while True:
            for gauge, value in list(values):
                gauge.set(float(value()))
            time.sleep(GAUGE_SECONDS)

    threading.Thread(target=keep, name="gauges", daemon=True).start()


class _Labelled:
    """A counter or histogram of Ray with the interface of prometheus_client."""

    def __init__(self, metric: Any, names: tuple[str, ...],
                 tags: Mapping[str, str] | None = None):
        self._metric = metric
        self._names = names
        self._tags = dict(tags or {})

    def labels(self, *values: str) -> _Labelled:
        return _Labelled(self._metric, self._names, dict(zip(self._names, values, strict=True)))

    def inc(self, value: float = 1) -> None:
        if value > 0:                       # Ray refuses 0
            self._metric.inc(value, self._tags)

    def observe(self, value: float) -> None:
        self._metric.observe(value, self._tags)
