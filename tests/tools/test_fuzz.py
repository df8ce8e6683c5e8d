"""The fuzz command: it finds what is wrong, keeps the input, and repeats it by its seed."""

import pytest

from tools import fuzz, fuzz_server
from tools.fuzz import TARGETS, main, make_input
from tools.fuzz_server import FakeService


@pytest.mark.parametrize("target", ["voice", "text"])
def test_a_few_inputs(target, tmp_path, capsys):
    arguments = ["--target", target, "--minutes", "0.001", "--seed", "1", "--keep", str(tmp_path)]
    assert main(arguments) == 0, capsys.readouterr().out
    assert "from --seed 1, 0 failures" in capsys.readouterr().out


def test_inputs_follow_from_their_seed():
    assert make_input("voice", 3) == make_input("voice", 3)
    assert len({make_input("voice", seed) for seed in range(20)}) > 15


def test_failures_are_kept_and_named(tmp_path, capsys, monkeypatch):
    def follow(child, queue, seed, deadline):
        return [(7, "No answer within 20 s.")], seed + 10

    monkeypatch.setattr(fuzz, "follow", follow)
    arguments = ["--target", "voice", "--minutes", "0.0001", "--seed", "1", "--keep", str(tmp_path)]
    assert main(arguments) == 1
    assert "--seed 7" in capsys.readouterr().out
    kept = tmp_path / "voice-7.json"
    assert kept.read_bytes() == make_input("voice", 7)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_corpus(target):
    assert all(TARGETS[target][0]())


@pytest.mark.parametrize("target", fuzz_server.TARGETS)
def test_the_server_answers_requests_that_are_not_damaged(target, tmp_path):
    """Else damaged ones would test little."""
    corpus, read, _ = fuzz_server.TARGETS[target]
    for content in corpus():
        (tmp_path / "input").write_bytes(content)
        assert read(tmp_path / "input") in ("200", "1000", "OK")


@pytest.mark.parametrize("target", ["openai-speech", "elevenlabs"])
def test_a_failing_server_is_found(target, tmp_path, monkeypatch):
    monkeypatch.setattr(FakeService, "submit", lambda self, request, **options: 1 / 0)
    corpus, read, _ = fuzz_server.TARGETS[target]
    (tmp_path / "input").write_bytes(corpus()[0])
    with pytest.raises(AssertionError, match="500"):
        read(tmp_path / "input")
