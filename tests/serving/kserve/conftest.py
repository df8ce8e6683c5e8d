"""A server with gRPC on the tiny model, and the tensors of requests as clients make them."""

import contextlib

import pytest

pytest.importorskip("tritonclient", reason="the server needs requirements-serve.txt")
pytest.importorskip("geventhttpclient", reason="tritonclient.http is in requirements-dev.txt")

import tritonclient.grpc
import tritonclient.http

from tests.serving.conftest import running


@pytest.fixture(scope="session")
def kserve(service):
    with running(service, grpc_port=0) as server:
        yield server


@pytest.fixture
def make_kserve(service):
    """Makes further servers, for one test, with these settings."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(service, grpc_port=0, **settings))


@pytest.fixture
def grpc_client(kserve):
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{kserve.grpc_port}") as client:
        yield client


@pytest.fixture
def http_client(kserve):
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{kserve.http.port}") as client:
        yield client
