"""The benchmark of speech servers: in which order it asks, what it computes, what it prints."""

import asyncio
import itertools
import json
import threading

import pytest
import uvicorn

from benchmarks import serving
from benchmarks.serving import Plan, ServerUnusable, argument_parser, main, measure, read_arguments
from benchmarks.serving_report import Load, Measurement, table
from benchmarks.serving_texts import LONG_TEXTS, SENTENCES
from benchmarks.speech_client import Result, Target
from tests.benchmarks.fake_server import FakeServer, speech
from tests.benchmarks.virtual_time import run
from tests.helpers import free_port, wait_until

SECOND = b"\1\0" * 24_000
TARGET = Target("http://server:8000")


def measured(server, *loads, **plan):
    plan = {"texts": ("a", "bb", "ccc"), "warm_up": 0, **plan}
    measurements = [Measurement(load) for load in loads]
    run(measure(TARGET, Plan(tuple(loads), **plan), measurements, transport=server.transport))
    return measurements


def test_streams_ask_one_text_after_another():
    server = speech([(1, SECOND)])
    one, four = measured(server, Load(streams=1), Load(streams=4), rounds=2, requests=3)
    # The first request is a trial. Then in turns: 3 s alone, 3 s with four streams, and once more.
    assert server.times == [0, 1, 2, 3, *[4] * 4, *[5] * 4, *[6] * 4, 7, 8, 9,
                            *[10] * 4, *[11] * 4, *[12] * 4]
    assert server.most_running == 4
    texts = [body["input"] for body in server.bodies]
    assert texts[1:4] == ["a", "bb", "ccc"] and texts[16:19] == ["bb", "ccc", "a"]
    assert sorted(texts[4:8]) == ["a", "a", "bb", "ccc"]
    assert (one.wall_s, one.audio_s, four.wall_s, four.audio_s) == (6, 6, 6, 24)
    assert one.figures()["real_time_factor"] == 1 and four.figures()["real_time_factor"] == 0.25
    assert four.figures()["audio_seconds_per_second"] == 4
    assert four.figures()["real_time_factor_of_rounds"] == [0.25, 0.25]


def test_all_streams_warm_up_at_once():
    server = speech([(1, SECOND)])
    measured(server, Load(streams=2), Load(streams=3), rounds=1, requests=1, warm_up=2)
    assert server.times == [0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6]


def test_paced_streams_listen_before_they_ask_again():
    server = speech([(1, SECOND), (0.5, SECOND * 2)])        # plays from 1 to 4
    measured(server, Load(streams=1), rounds=1, requests=3, paced=True)
    assert server.times == [0, 1.5, 5.5, 9.5]
    silent = speech([(1, SECOND), (3, SECOND)])              # plays from 1 to 2 and from 4 to 5
    measured(silent, Load(streams=1), rounds=1, requests=2, paced=True)
    assert silent.times == [0, 4, 9]


def test_arrivals_do_not_wait_for_each_other():
    server = speech([(500, SECOND)])
    [measurement] = measured(server, Load(rate=2.0), rounds=1, requests=400)
    arrivals = server.times[1:]
    assert server.most_running == 400
    waits = [after - before for before, after in itertools.pairwise(arrivals)]
    # Exponential with mean 0.5 and the same deviation: 400 of them are within five deviations.
    assert sum(waits) / 399 == pytest.approx(0.5, abs=5 * 0.5 / 20)
    assert sum(wait < 0.5 * 0.6931 for wait in waits) / 399 == pytest.approx(0.5, abs=0.125)
    latencies = [result.first_audio_s for result in measurement.results]
    assert latencies == pytest.approx([500] * 400)


def test_arrivals_follow_from_the_seed():
    times = []
    for seed in (1, 1, 2):
        server = speech([(1, SECOND)])
        measured(server, Load(rate=2.0), rounds=2, requests=5, seed=seed)
        times.append(server.times)
    assert times[0] == times[1] != times[2]


def test_a_server_that_refuses_the_first_request_is_not_measured():
    server = speech([(0, b'{"error": {"message": "Wrong key."}}')], status=401)
    with pytest.raises(ServerUnusable, match=r"/v1/audio/speech .*http_401.*Wrong key\.$"):
        measured(server, Load(streams=4))
    assert len(server.requests) == 1


def test_errors_are_counted_and_do_not_stop_the_others():
    def answer(body):
        if body["input"] == "bb":
            return 429, {}, [(0, b'{"error": {"message": "Full."}}')]
        return 200, {}, [(1, SECOND)]

    [measurement] = measured(FakeServer(answer), Load(streams=3), rounds=2, requests=2)
    figures = measurement.figures()
    assert (figures["requests"], figures["succeeded"]) == (12, 8)
    assert figures["errors"] == {"http_429": 4} and figures["error_messages"] == {
        "http_429": "Full."}
    assert figures["audio_s"] == 8
    assert "4 http_429" in table([measurement])


def results(*first_audio):
    return [Result(5, 2 * first, first, 4.0, 1, 0.25) for first in first_audio]


def test_figures_of_known_results():
    measurement = Measurement(Load(streams=2))
    measurement.add(results(*range(1, 101)), 200.0, 0.5)
    measurement.add([Result(5, 1.0, error="timeout", message="No end.")], 56.0, 0.25)
    figures = measurement.figures()
    assert figures["first_audio_p50_s"] == 50.5                 # between the 50th and the 51st
    assert figures["first_audio_p95_s"] == pytest.approx(95.05)
    assert figures["end_to_end_p50_s"] == 101
    assert figures["request_real_time_factor_p50"] == 101 / 4
    assert (figures["wall_s"], figures["audio_s"]) == (256, 400)
    assert figures["real_time_factor"] == 0.64
    assert figures["audio_seconds_per_second"] == 1.5625
    assert (figures["underruns"], figures["underrun_s"]) == (100, 25)
    assert figures["requests_with_underruns"] == 100
    assert figures["client_cpu_s"] == 0.75 and figures["errors"] == {"timeout": 1}


def test_figures_without_any_success():
    measurement = Measurement(Load(rate=2.5))
    measurement.add([Result(5, 1.0, error="timeout")] * 3, 3.0, 0.0)
    figures = measurement.figures()
    for name in ("first_audio_p50_s", "end_to_end_p95_s", "real_time_factor"):
        assert figures[name] is None
    json.dumps(figures, allow_nan=False)
    assert "2.5 arrivals a second" in table([measurement])


def test_the_columns_of_the_table_are_aligned():
    measurements = [Measurement(Load(streams=streams)) for streams in (1, 16)]
    for measurement in measurements:
        measurement.add(results(0.123456, 100), 3.0, 0.0)
    lines = table(measurements).splitlines()
    assert len(lines) == 3
    for heading in ("requests", "first audio", "errors"):
        column = lines[0].index(heading)
        assert all(line[column - 1] == " " and line[column] != " " for line in lines)


@pytest.mark.parametrize("arguments", [
    ["--url", "ftp://host"], ["--url", "localhost:8000"], ["--streams", "0"], ["--rounds", "-1"],
    ["--rate", "0"], ["--extra_body", "[]"], ["--extra_body", "{"], ["--texts", "/missing.txt"],
    ["--warm_up", "-1"], ["--response_format", "mp3"]])
def test_arguments_that_make_no_sense(arguments, capsys):
    with pytest.raises(SystemExit):
        main(["--url", "http://localhost:1", *arguments])
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_texts_of_a_file(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("one\n\n  two  \n", encoding="utf-8")
    arguments = ["--url", "http://host", "--texts", str(path), "--rate", "3"]
    _, plan = read_arguments(argument_parser().parse_args(arguments))
    assert plan.texts == ("one", "two") and plan.loads == (Load(rate=3.0),) and plan.requests == 32


def test_the_texts_have_different_lengths():
    lengths = [len(text) for text in SENTENCES]
    assert min(lengths) < 20 and max(lengths) > 140 and len(set(lengths)) == len(lengths)
    assert all(1000 < len(text) < 4096 for text in LONG_TEXTS) and len(set(LONG_TEXTS)) > 2


async def application(scope, receive, send):
    """Answers the endpoint in three parts, and "/other" never."""
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    assert json.loads(body)["seed"] == 5
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"x-sample-rate", b"16000")]})
    for _ in range(3):
        await send({"type": "http.response.body", "body": bytes(16_000), "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def url():
    config = uvicorn.Config(application, port=free_port(), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{config.port}/v1"
    server.should_exit = True
    thread.join()


def test_the_command_on_a_real_connection(url, tmp_path, capsys):
    output = tmp_path / "new" / "figures.json"
    arguments = ["--url", url, "--streams", "1", "3", "--rounds", "2", "--requests", "2",
                 "--extra_body", '{"seed": 5}', "--api_key", "secret", "--output", str(output)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].startswith("load ")
    report = json.loads(output.read_text())
    assert "secret" not in output.read_text() + printed
    assert [(run["streams"], run["requests"], run["errors"]) for run in report["runs"]] == [
        (1, 4, {}), (3, 12, {})]
    for figures in report["runs"]:
        assert figures["audio_s"] == 1.5 * figures["requests"]
        assert 0 < figures["first_audio_p50_s"] <= figures["first_audio_p95_s"]
        assert figures["first_audio_p95_s"] <= figures["end_to_end_p95_s"] <= figures["wall_s"]


def test_what_was_measured_before_an_interruption_is_reported(tmp_path, capsys, monkeypatch):
    async def interrupted(target, plan, measurements, report):
        measurements[0].add(results(1, 2), 10.0, 0.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(serving, "measure", interrupted)
    output = tmp_path / "figures.json"
    arguments = ["--url", "http://host", "--streams", "2", "4", "--output", str(output)]
    assert main(arguments) == 0
    assert "2 streams" in capsys.readouterr().out
    first, second = json.loads(output.read_text())["runs"]
    assert (first["requests"], second["requests"]) == (2, 0)


def test_the_command_without_a_server(capsys):
    port = free_port()
    assert main(["--url", f"http://127.0.0.1:{port}", "--streams", "1"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and f":{port}/v1/audio/speech" in lines[0] and "connection" in lines[0]


def test_help_names_the_module(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "python -m benchmarks.serving --url" in capsys.readouterr().out
    assert serving.__doc__
