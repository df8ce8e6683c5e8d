"""The RayService of deploy/kubernetes on a Ray cluster of this machine, started by the command
lines that KubeRay makes of it: a head and one worker that claims to have an NPU."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.deploy import manifests
from tests.helpers import ROOT, free_port, wait_until

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(not shutil.which("bash"), reason="needs bash, as KubeRay does")]

TOKEN = "0123456789abcdef" * 4
KEY = "a key"                       # of the pods' Secret
START_SECONDS = 300.0


class Cluster:
    """A head and a worker, each a process group."""

    def __init__(self, folder: Path):
        self.service, self.config, self.group = manifests.ray("ray-ascend")
        variables = {each["name"]: each.get("value")
                     for each in self.group["template"]["spec"]["containers"][0]["env"]}
        self._environment = {
            **os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S":
                variables["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]}
        assert "SPARKTTS_API_KEY" in variables
        self.ports = {name: free_port() for name in (
            "gcs", "dashboard", "client", "http", "head", "worker", "head metrics", "metrics")}
        head = self.service["spec"]["rayClusterConfig"]["headGroupSpec"]["rayStartParams"]
        self.head = self._start(folder, "--head", {
            **head, "port": self.ports["gcs"], "dashboard-port": self.ports["dashboard"],
            "ray-client-server-port": self.ports["client"], "temp-dir": folder / "ray",
            "dashboard-agent-listen-port": self.ports["head"],
            "metrics-export-port": self.ports["head metrics"], "dashboard-host": "127.0.0.1"})
        self.worker = None
        self._folder = folder

    def start_worker(self) -> None:
        self.worker = self._start(self._folder, "", {
            **self.group["rayStartParams"], "address": f"127.0.0.1:{self.ports['gcs']}",
            "num-cpus": 16, "dashboard-agent-listen-port": self.ports["worker"],
            "metrics-export-port": self.ports["metrics"]}, SPARKTTS_API_KEY=KEY)

    def _start(self, folder, kind, parameters, **variables) -> subprocess.Popen:
        flags = " ".join(f"--{name}={value}" for name, value in parameters.items())
        command = f"ulimit -n $(ulimit -n); ray start {kind} --block {flags}"
        with open(folder / f"{kind or 'worker'}.log", "w") as log:
            return subprocess.Popen(
                ["bash", "-c", "--", f"{command} --object-store-memory=100000000"], stdout=log,
                stderr=subprocess.STDOUT, env={**self._environment, **variables},
                start_new_session=True)

    def probe(self, name: str, port: str) -> bool:
        """Whether a probe of a pod's template would pass: asked without Ray's token."""
        kind, _, probe = name.partition(" ")
        template = manifests.ray_templates(self.service)[("head", "worker").index(kind)]
        path = template["spec"]["containers"][0][probe]["httpGet"]["path"]
        return ask(f"http://127.0.0.1:{self.ports[port]}{path}") is not None

    def dashboard(self, path: str, body: object = None) -> dict | None:
        answer = ask(f"http://127.0.0.1:{self.ports['dashboard']}{path}", body,
                     method="PUT" if body else "GET", headers={"Authorization": f"Bearer {TOKEN}"})
        return json.loads(answer or "null")

    def stop(self) -> None:
        for process in (self.worker, self.head):
            if process is not None:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                process.wait()


def ask(address, body=None, method=None, headers=None):
    """The text of an answer; None if it is an error, or none."""
    request = urllib.request.Request(
        address, None if body is None else json.dumps(body).encode(), method=method,
        headers={"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.read().decode(errors="replace")
    except OSError:
        return None


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))      # sockets need short paths
    cluster = Cluster(folder)
    try:
        assert wait_until(lambda: cluster.probe("head livenessProbe", "head"), START_SECONDS)
        cluster.start_worker()
        assert wait_until(lambda: cluster.probe("worker livenessProbe", "worker"), START_SECONDS)
        config = cluster.config
        # Both nodes are this machine, so there is room for one proxy.
        config["proxy_location"] = "HeadOnly"
        config["http_options"] = {"host": "127.0.0.1", "port": cluster.ports["http"]}
        config["applications"][0]["runtime_env"]["env_vars"] = {
            "SPARKTTS_MODEL_DIR": str(ROOT / "pretrained_models" / "Spark-TTS-demo"),
            "SPARKTTS_VOICES": str(folder / "voices")}
        cluster.dashboard("/api/serve/applications/", config)
        wait_until(lambda: application(cluster)["status"] in ("RUNNING", "DEPLOY_FAILED"),
                   START_SECONDS)
        assert application(cluster)["status"] == "RUNNING", application(cluster)["message"]
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def application(cluster):
    applications = (cluster.dashboard("/api/serve/applications/") or {}).get("applications", {})
    return applications.get("spark-tts", {"status": "NOT_STARTED", "message": ""})


class Request(threading.Thread):
    """Speech whose bytes are read as they come."""

    def __init__(self, cluster, text):
        super().__init__(daemon=True)
        self.started, self.size, self.error = threading.Event(), 0, None
        self._request = urllib.request.Request(
            f"http://127.0.0.1:{cluster.ports['http']}/v1/audio/speech",
            json.dumps({"input": text, "voice": "nova", "response_format": "pcm"}).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"})
        self.start()

    def run(self):
        try:
            with urllib.request.urlopen(self._request, timeout=300) as answer:
                while part := answer.read(4096):
                    self.size += len(part)
                    self.started.set()
        except OSError as error:
            self.error = error
        self.started.set()


def test_the_engine_has_the_npu_and_the_head_has_no_replica(cluster):
    nodes = {}
    for name, deployment in application(cluster)["deployments"].items():
        nodes[name] = {replica["node_id"] for replica in deployment["replicas"]}
    assert nodes.keys() == {"Engine", "SpeechServer"}
    assert len(set.union(*nodes.values())) == 1
    assert cluster.probe("worker readinessProbe", "http")


def test_the_key_of_the_pods_is_asked_for(cluster):
    address = f"http://127.0.0.1:{cluster.ports['http']}/v1/models"
    assert ask(address) is None
    assert ask(address, headers={"Authorization": f"Bearer {KEY}"}) is not None


def test_the_dashboard_finds_rays_metrics(cluster):
    request = Request(cluster, "A short sentence.")
    request.join()
    assert request.error is None and request.size > 24000
    wanted = {name for panel in manifests.dashboard()["panels"] for target in panel["targets"]
              for name in manifests.check_query(target["expr"])}
    wanted -= {"spark_tts:request_failure_total", "spark_tts:request_cancelled_total"}   # none yet

    def missing():
        text = ask(f"http://127.0.0.1:{cluster.ports['metrics']}/metrics") or ""
        names = {line.partition("{")[0] for line in text.splitlines()}
        return wanted - {manifests.relabel(name) for name in names}

    wait_until(lambda: not missing(), 60)       # Ray exports at intervals
    assert not missing()


def test_a_pod_that_ends_finishes_its_streams(cluster):
    request = Request(cluster, "This sentence takes its time, and the pod is to end. " * 6)
    assert request.started.wait(300)
    os.kill(cluster.worker.pid, signal.SIGTERM)         # the process that KubeRay's command became
    request.join()
    assert request.error is None
    assert request.size > 2 * 24000 * 10        # more than 10 s of speech
    grace = cluster.group["template"]["spec"]["terminationGracePeriodSeconds"]
    cluster.worker.wait(grace)
