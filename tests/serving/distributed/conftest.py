"""A Ray cluster on this machine, with NPUs that are only numbers."""

import os

import pytest

pytest.importorskip("ray", reason="needs the extra `ray`")

import httpx
import ray
from ray import serve

from sparktts_ms.serving.ray_app import application
from tests.helpers import ROOT, free_port
from tests.serving.distributed.fakes import FakeService

NUM_NPUS = 8
READ_SECONDS = 120


class Cluster:
    """url: of Serve's HTTP proxy."""

    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        ray.init(address="local", num_cpus=16, resources={"NPU": NUM_NPUS}, log_to_driver=False,
                 include_dashboard=False, logging_level="ERROR", _temp_dir=folder,
                 object_store_memory=200 << 20)
        serve.start(http_options={"host": "127.0.0.1", "port": port})

    def run(self, name, replicas, most=None, load=FakeService, **options):
        """Start an application at /name; returns its address."""
        app = application({"NPU": 1}, replicas, most or replicas, load, **options)
        serve.run(app, name=name, route_prefix=f"/{name}")
        return f"{self.url}/{name}"

    def replicas(self, name, deployment="Engine"):
        """Process ids of the replicas that run, by id."""
        details = serve.context._get_global_client().get_serve_details()
        found = details["applications"][name]["deployments"][deployment]["replicas"]
        return {replica["replica_id"]: replica["pid"] for replica in found
                if replica["state"] == "RUNNING"}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_AUTH_MODE", "disabled")       # else Ray writes a token to the home folder
        # Ray's sockets need a short path.
        yield Cluster(str(tmp_path_factory.getbasetemp()))
        serve.shutdown()
        ray.shutdown()


@pytest.fixture(scope="session")
def engines(cluster):
    """An application with two engines."""
    return cluster.run("engines", 2, health_check_period_s=1, health_check_timeout_s=3)


def speech(url, text, **fields):
    """Stream raw samples of a text; yields the response."""
    body = {"model": "spark-tts", "input": text, "voice": "alloy", "response_format": "pcm",
            "sample_rate": 16000, **fields}
    return httpx.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=READ_SECONDS)
