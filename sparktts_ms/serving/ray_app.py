"""The speech server on a Ray cluster: serve deploy deploy/ray/spark_tts.yaml

Two deployments: `SpeechServer`, the ingress, is the application of `create_app` on a CPU; `Engine`
has one replica a device. Both are set up by the variables of `sparktts_ms.serving.environment` in
the application's `runtime_env`; inside a replica the device is always 0. The protocol KServe V2 is
served over HTTP only.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig, RequestRouterConfig
from ray.serve.handle import DeploymentHandle

from sparktts_ms.errors import InputError, quoted
from sparktts_ms.qwen2.language_model import BATCH_SIZES
from sparktts_ms.serving.app import create_app
from sparktts_ms.serving.distributed.engine import Engine, Load
from sparktts_ms.serving.distributed.ray_metrics import RayMetrics
from sparktts_ms.serving.distributed.remote_speech import RemoteService, RemoteSpeech
from sparktts_ms.serving.environment import load_service, settings_from_environment
from sparktts_ms.serving.server import SpeechServer

NUM_SLOTS = BATCH_SIZES[-1]     # of an engine: sequences that share its decode steps
MAX_ONGOING = NUM_SLOTS + 4     # of an engine: a few more encode recordings, or wait for a slot
MAX_CONNECTIONS = 4096      # of an ingress replica
TARGET_ONGOING = 8.0        # of an engine; more of them start another one
GRACEFUL_SECONDS = 60.0     # for what is in progress when a replica is to end
HEALTH_PERIOD, HEALTH_TIMEOUT = 10.0, 30.0      # seconds
INGRESS_CPUS = 0.5          # not 0: then it could be placed on a head node that is to run nothing
MAX_CPUS = 4                # of an engine, unless the configuration says more
ROUTING = RequestRouterConfig.model_validate(
    {"request_router_class": "sparktts_ms.serving.distributed.router.AffinityRouter"})
ARGUMENTS = ("resources", "min_replicas", "max_replicas")


class Ingress:
    """Every protocol, encoder and voice of the speech server; the engines do the rest."""

    def __init__(self, engines: DeploymentHandle):
        self._engines = engines

    def __serve_build_asgi_app__(self) -> Any:
        """Called by Serve, on the replica's event loop."""
        settings = replace(settings_from_environment(), grpc_port=None)
        server = SpeechServer(settings, RemoteSpeech(settings, RayMetrics()))
        return create_app(server, functools.partial(RemoteService, self._engines))


def build(arguments: Mapping[str, Any]) -> serve.Application:
    """The application, for `serve deploy` and `serve run`.

    arguments: resources: of a replica of `Engine`, such as {"NPU": 1, "CPU": 8} or {"CPU": 4}
    (default: see `default_resources`); min_replicas, max_replicas: of `Engine` (default: 1, and as
    many as the cluster has resources for). Raises InputError.
    """
    unknown = [name for name in arguments if name not in ARGUMENTS]
    if unknown:
        raise InputError(f"args has {quoted(unknown[0])}.", f"It may have {', '.join(ARGUMENTS)}.")
    resources = arguments.get("resources") or default_resources(ray.cluster_resources())
    if not (isinstance(resources, Mapping) and all(map(_is_amount, resources.values()))):
        raise InputError(f"resources is {quoted(resources)}.", 'An example: {"NPU": 1, "CPU": 8}.')
    least = _count(arguments, "min_replicas", 1)
    most = _count(arguments, "max_replicas", max(num_devices(resources), least))
    if least > most:
        raise InputError(f"min_replicas is {least}, more than max_replicas, {most}.")
    return application(resources, least, most)


def application(resources: Mapping[str, float], min_replicas: int, max_replicas: int,
                load: Load = load_service, **engine_options: Any) -> serve.Application:
    """The two deployments. load: returns the service on a replica's device. engine_options: of
    `Engine`'s deployment, which win."""
    settings = settings_from_environment()
    own = {name: amount for name, amount in resources.items() if name != "CPU"}
    options: dict[str, Any] = {
        "ray_actor_options": {"num_cpus": resources.get("CPU", 0), "resources": own},
        "autoscaling_config": AutoscalingConfig(
            min_replicas=min_replicas, max_replicas=max_replicas,
            target_ongoing_requests=TARGET_ONGOING),
        "max_ongoing_requests": MAX_ONGOING,
        "max_queued_requests": settings.max_queue,
        "request_router_config": ROUTING,
        "graceful_shutdown_timeout_s": GRACEFUL_SECONDS,
        "health_check_period_s": HEALTH_PERIOD,
        "health_check_timeout_s": HEALTH_TIMEOUT,
    }
    engines = serve.deployment(name="Engine", **{**options, **engine_options})(Engine)
    ingress = serve.deployment(
        name="SpeechServer", max_ongoing_requests=MAX_CONNECTIONS,
        graceful_shutdown_timeout_s=GRACEFUL_SECONDS, ray_actor_options={"num_cpus": INGRESS_CPUS},
    )(serve.ingress()(Ingress))
    return ingress.bind(engines.bind(load))


def default_resources(cluster: Mapping[str, float]) -> dict[str, float]:
    """Of a replica, by the resources of a cluster: an NPU where there are any, and at most
    MAX_CPUS, so that one is left for the ingress. Ray gives a replica as many threads as CPUs."""
    cpus = cluster.get("CPU", 1.0) - 1
    npus = cluster.get("NPU", 0.0)
    if npus:
        return {"NPU": 1.0, "CPU": float(max(1, min(MAX_CPUS, cpus // npus)))}
    return {"CPU": float(max(1, min(MAX_CPUS, cpus)))}


def num_devices(resources: Mapping[str, float]) -> int:
    """How many replicas of these resources the cluster could hold now."""
    there = ray.cluster_resources()
    return int(min((there.get(name, 0) // amount for name, amount in resources.items()),
                   default=1))


def _is_amount(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6


def _count(arguments: Mapping[str, Any], name: str, default: int) -> int:
    value = arguments.get(name, default)
    if not _is_amount(value) or value != int(value):
        raise InputError(f"{name} is {quoted(value)}; it must be a number of replicas.")
    return int(value)
