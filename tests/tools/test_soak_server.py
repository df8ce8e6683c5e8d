"""The soak test of a server: it passes a good one, and finds each fault of a bad one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tools import soak_server
from tools.server_soak import disk, speech_clients
from tools.soak_server import ACTIONS, argument_parser, main, soak

STAND_IN = Path(__file__).parent / "server_soak" / "stand_in.py"
CLIENTS = ("openai pcm", "leaver", "voice upload", "kept voice")


def tested(tmp_path, monkeypatch, fault="", minutes=0.08):
    """The ledger and the verdict of a soak test of the stand-in."""
    actions = {name: ACTIONS[name] for name in CLIENTS}
    monkeypatch.setattr(soak_server, "ACTIONS", actions)
    monkeypatch.setattr(disk, "_own_mounts", lambda: False)         # of the tests' own process
    monkeypatch.setattr(soak_server, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(speech_clients, "VOICES", ("alloy",))       # so that requests repeat soon
    args = argument_parser().parse_args(
        ["--minutes", str(minutes), "--clients", "3", "--pause", "0.05",
         "--max_growth", "2"])        # the little memory there is has not settled yet

    def command(port, grpc_port, voices):
        return [sys.executable, str(STAND_IN), str(port), str(voices), fault]

    result = asyncio.run(soak(args, tmp_path, command))
    assert result[2].process.poll() is not None
    return result


def test_a_good_server_passes(tmp_path, monkeypatch):
    found, verdict, server = tested(tmp_path, monkeypatch)
    assert verdict.problems == (), found.failures
    assert len(server.starts) == 3 and len(found.idle) == 2 and len(found.slot_freed) == 10
    assert {name for name, _ in found.outcomes} == set(CLIENTS)
    assert found.outcomes["openai pcm", "ok"] > 10
    assert found.outcomes["voice upload", "refused"] >= 3           # by a full disk
    assert found.outcomes["kept voice", "ok"] >= 1
    assert [event for event in found.events if "no file can be written" in event]
    assert found.points[-1].usage.memory > 10 and found.points[-1].life == 3


@pytest.mark.slow
@pytest.mark.parametrize("fault, problem", [
    ("shorter", "requests failed"), ("slots", "running"), ("files", "files"),
    ("threads", "threads"), ("memory", "memory grew"), ("temp", "requests failed"),
    ("traceback", "errors in the"), ("status", "requests failed")])
def test_each_fault_is_found(tmp_path, monkeypatch, fault, problem):
    monkeypatch.setattr(soak_server.Soak, "see_slots_freed", lambda self: asyncio.sleep(0))
    monkeypatch.setattr(soak_server, "QUIET_SECONDS", 0)
    found, verdict, _ = tested(tmp_path, monkeypatch, fault, minutes=0.1)
    assert any(problem in line for line in verdict.problems), (verdict, found.failures)


def test_a_signal_ends_the_test_and_its_server(tmp_path, monkeypatch):
    async def run_stages(self):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(3600)

    monkeypatch.setattr(soak_server.Soak, "run_stages", run_stages)
    found, verdict, _ = tested(tmp_path, monkeypatch)
    assert any("ended by a signal" in failure for failure in found.failures)
    assert verdict.problems


def test_a_server_that_does_not_start(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_own_mounts", lambda: False)
    args = argument_parser().parse_args(["--minutes", "0.01"])

    def command(port, grpc_port, voices):
        return [sys.executable, "-c", "print('no model'); raise SystemExit(2)"]

    found, verdict, _ = asyncio.run(soak(args, tmp_path, command))
    [failure] = found.failures
    assert verdict.problems and "status 2" in failure and "no model" in failure


def test_clients_can_be_chosen(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "telephone"])
    assert "openai mp3" in capsys.readouterr().err


@pytest.mark.slow
def test_the_server_for_a_short_time(tmp_path):
    """The real server with the demonstration model; a process of its own, for it mounts a disk."""
    output = tmp_path / "figures.json"
    command = [sys.executable, "-m", "tools.soak_server", "--minutes", "1.5", "--keep",
               str(tmp_path / "soak"), "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(output.read_text())
    assert report["passed"] and report["requests"] > 50
    assert report["clients"]["openai mp3"]["ok"] > 0
