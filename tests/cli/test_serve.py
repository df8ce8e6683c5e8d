"""python -m cli.serve: arguments, and a server in a process of its own."""

import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("prometheus_client", reason="the server needs requirements-serve.txt")

import httpx

from cli import serve
from tests.helpers import ROOT, free_port, wait_until


@pytest.mark.parametrize("arguments, message", [
    (["--port", "eighty"], "is no port"),
    (["--max_queue", "-1"], "is no number of requests"),
    (["--drain_seconds", "soon"], "is no number of seconds"),
    (["--api_key", "a b"], "a key has visible ASCII characters"),
    (["--allow_remote_audio", "https://example.org/"], "is no host name"),
])
def test_wrong_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        serve.main(arguments)
    error = capsys.readouterr().err
    assert caught.value.code == 2
    assert message in error and error.count("\n") == 1


def test_what_would_fail_later_is_found_before_the_model_is_loaded(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert serve.main(["--port", str(port), "--grpc_port", "0"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"cannot listen on 127.0.0.1:{port}" in error and "--port" in error
    (tmp_path / "file").write_text("")
    assert serve.main(["--port", "0", "--grpc_port", "0",
                       "--voices", str(tmp_path / "file")]) == 2
    assert "can be no folder of voices" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_status_0(tiny_model, tmp_path, number):
    port = free_port()
    command = [sys.executable, "-m", "cli.serve", "--model_dir", str(tiny_model), "--port",
               str(port), "--grpc_port", "0", "--device_target", "CPU", "--mode", "pynative",
               "--voices", str(tmp_path / "voices")]
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(command, cwd=ROOT, stdout=output,
                                                   stderr=output) as process:
        def is_ready():
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health/ready").is_success
            except httpx.HTTPError:
                return process.poll() is not None

        try:
            assert wait_until(is_ready, 300) and process.poll() is None, log.read_text()
            process.send_signal(number)
            assert process.wait(60) == 0, log.read_text()
        finally:
            process.kill()
    lines = log.read_text().splitlines()
    assert f"Model: {tiny_model}" in lines and f"Ready: http://127.0.0.1:{port}/" in lines
    assert not any("Traceback" in line for line in lines)
