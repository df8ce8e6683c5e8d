"""python -m cli.serve: arguments, and a server in a process of its own."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

pytest.importorskip("prometheus_client", reason="the server needs requirements-serve.txt")

import httpx

from cli import serve
from tests.helpers import LONG_TEXT, ROOT, free_port, wait_until

DEMO = ROOT / "pretrained_models" / "Spark-TTS-demo"


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


@contextmanager
def running_server(model, folder, *arguments):
    """A server in a process of its own that is ready: its process, address and log."""
    port = free_port()
    command = [sys.executable, "-m", "cli.serve", "--model_dir", str(model), "--port", str(port),
               "--grpc_port", "0", "--device_target", "CPU", "--mode", "pynative",
               "--voices", str(folder / "voices"), *arguments]
    log = folder / "log"
    url = f"http://127.0.0.1:{port}/"
    with log.open("w") as output, subprocess.Popen(command, cwd=ROOT, stdout=output,
                                                   stderr=output) as process:
        def is_ready():
            try:
                return httpx.get(url + "health/ready").is_success
            except httpx.HTTPError:
                return process.poll() is not None

        try:
            assert wait_until(is_ready, 300) and process.poll() is None, log.read_text()
            yield process, url, log
        finally:
            process.kill()


@pytest.mark.slow
def test_ctrl_c_ends_the_server_with_status_0(tiny_model, tmp_path):
    with running_server(tiny_model, tmp_path) as (process, url, log):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    lines = log.read_text().splitlines()
    assert f"Model: {tiny_model}" in lines and f"Ready: {url}" in lines
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("seconds, text, last", [
    ("60", "Thank you. The garden is beautiful today.", "speech.audio.done"),
    pytest.param("0.5", LONG_TEXT, "speech.audio.error", marks=pytest.mark.slow),
])
def test_sigterm_lets_requests_finish_or_tells_them(tmp_path, seconds, text, last):
    body = {"input": text, "voice": "alloy", "response_format": "pcm", "stream_format": "sse",
            "seed": 1}
    with (running_server(DEMO, tmp_path, "--drain_seconds", seconds) as (process, url, log),
          httpx.stream("POST", url + "v1/audio/speech", json=body, timeout=120) as response):
        events = (json.loads(line.removeprefix("data: ")) for line in response.iter_lines()
                  if line.startswith("data: "))
        assert next(events)["type"] == "speech.audio.delta"
        process.send_signal(signal.SIGTERM)
        if seconds == "60":         # it answers until the end
            assert wait_until(lambda: httpx.get(url + "health/ready").status_code == 503)
            refused = httpx.post(url + "v1/audio/speech", json=body)
            assert refused.status_code == 503 and "shutting down" in refused.text
            assert refused.headers["retry-after"]
        with suppress(httpx.RemoteProtocolError):       # broken off after an error
            for event in events:
                last_type = event["type"]
        assert last_type == last
        assert process.wait(60) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
