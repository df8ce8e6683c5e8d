"""The server's command line: what is refused before the model is loaded, and signals."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

pytest.importorskip("gradio", reason="the page needs requirements-web.txt")

import httpx

from cli import server_arguments, webui
from tests.helpers import LONG_TEXT, PROMPT, ROOT, free_port, wait_until


@pytest.mark.parametrize(
    "flags",
    [["--server_port", "70000"], ["--server_port", "-1"], ["--server_port", "x"],
     ["--cors_origin", "http://["], ["--cors_origin", "http://a:b"],
     ["--cors_origin", "http://a:99999"], ["--cors_origin", "example.org"],
     ["--cors_origin", "https://example.org/path"], ["--cors_origin", "null"],
     ["--cors_origin", "x" * 5000], ["--allowed_hosts", "a/b"], ["--allowed_hosts", "a:80"],
     ["--allowed_hosts", "https://a"], ["--root_path", "tts"], ["--root_path", "ftp://a"],
     ["--root_path", "https://"], ["--root_path", "/a b"], ["--api_key", ""],
     ["--api_key", "é"], ["--api_key", "a b"], ["--api_key", "a\nb"]],
)
def test_values_out_of_range_are_one_line(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        webui.main(flags)
    output = capsys.readouterr()
    assert caught.value.code == 2 and output.err.count("\n") == 1 and not output.out
    assert flags[0] in output.err and len(output.err) < 300


@pytest.mark.parametrize(
    "flags",
    [["--server_port", "0", "--cors_origin", "*"], ["--cors_origin", "https://example.org"],
     ["--cors_origin", "http://[::1]:80", "--cors_origin", "https://b.example"],
     ["--allow_origin", "https://example.org"],
     ["--allowed_hosts", "a.example", "*.b.example", "[::1]", "*"],
     ["--root_path", "/tts/"], ["--root_path", "https://example.org/tts"], ["--root_path", ""]],
)
def test_values_in_range_are_taken(flags):
    args = webui.build_parser().parse_args(flags)
    assert args.root_path in ("", "/tts", "https://example.org/tts")


@pytest.mark.parametrize(
    "flags, message",
    [(["--server_name", "192.0.2.1"], "cannot listen"),
     (["--server_name", "nowhere.invalid"], "cannot listen"),
     (["--voices", str(PROMPT)], "no folder of voices"),
     (["--voices", "x" * 300], "no folder of voices")],
)
def test_what_would_fail_later_fails_before_the_model_is_loaded(flags, message, capsys):
    assert webui.main(["--server_port", str(free_port()), "--model_dir", "missing", *flags]) == 2
    output = capsys.readouterr()
    assert message in output.err and output.err.count("\n") == 1


def test_keys_come_from_the_environment_too(monkeypatch, capsys):
    monkeypatch.setenv(server_arguments.KEYS_VARIABLE, "one, two,")
    assert server_arguments.environment_keys() == ["one", "two"]
    monkeypatch.setenv(server_arguments.KEYS_VARIABLE, "a b")
    assert webui.main(["--model_dir", "missing"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {server_arguments.KEYS_VARIABLE}: a key has")


@contextmanager
def running_server(model, folder, *command):
    """A server in a process of its own, whose temporary folder is `folder`; and its address."""
    port = free_port()
    command = [*command, sys.executable, "-m", "cli.webui", "--model_dir", str(model),
               "--server_port", str(port), "--device_target", "CPU", "--mode", "pynative",
               "--voices", str(folder.parent / "voices")]
    env = {**os.environ, "TMPDIR": str(folder)}
    log = folder.parent / "log"
    with log.open("w") as output, subprocess.Popen(command, cwd=ROOT, env=env, stdout=output,
                                                   stderr=output) as process:
        url = f"http://127.0.0.1:{port}/"

        def responds():
            try:
                return httpx.get(url + "config").is_success
            except httpx.HTTPError:
                return process.poll() is not None

        try:
            assert wait_until(responds, 300) and process.poll() is None, log.read_text()
            yield process, url
        finally:
            process.kill()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def workspaces(folder):
    return list(folder.glob("spark-tts-*"))


@pytest.mark.slow
def test_a_restart_removes_what_a_killed_server_left(tiny_model, folder):
    with running_server(tiny_model, folder) as (process, url):
        with PROMPT.open("rb") as file:
            [path] = httpx.post(url + "gradio_api/upload", files={"files": file}).json()
        process.kill()
        process.wait()
        assert os.path.exists(path)
    with running_server(tiny_model, folder):
        [workspace] = workspaces(folder)
        assert not os.path.exists(path) and str(workspace) not in path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_and_further_ones_are_ignored(tiny_model, folder, number):
    with running_server(tiny_model, folder) as (process, url):
        request = subprocess.Popen(["curl", "-s", "-d", f"text={LONG_TEXT}", url + "tts"],
                                   stdout=subprocess.DEVNULL)
        assert workspaces(folder)
        process.send_signal(number)
        for again in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            wait_until(lambda: process.poll() is not None, 0.3)
            process.send_signal(again)
        assert process.wait(60) == 130
        request.wait()
    assert not workspaces(folder)
    log = (folder.parent / "log").read_text()
    assert "Traceback" not in log and log.endswith("The server has stopped.\n")


@pytest.mark.slow
def test_nohup_survives_the_end_of_its_terminal(tiny_model, folder):
    with running_server(tiny_model, folder, "nohup") as (process, url):
        process.send_signal(signal.SIGHUP)
        assert not wait_until(lambda: process.poll() is not None, 1)
        assert httpx.get(url + "config").is_success
