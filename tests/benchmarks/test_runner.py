"""Engines measure in turns; what cannot measure is left out; what a run reports."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as program
from benchmarks import runner
from benchmarks.plan import (
    COMMAND,
    COMMAND_MEMORY,
    FLOAT,
    INT4,
    INT8,
    LLAMA,
    LOADING,
    LONG_TEXT,
    OURS,
    Results,
    Row,
    Task,
    task_groups,
)
from benchmarks.runner import Measured, OurEngine, divergence, measure_group, run_all
from benchmarks.selection import Selection, everything, select
from benchmarks.targets import targets
from benchmarks.worker import WorkerDied

REV = "c47a299"
SECONDS = {FLOAT: 4.0, INT8: 2.0, INT4: 1.0, f"{REV} int8": 3.0}


class FakeWorker:
    """Answers every request with the seconds of its engine, and notes it."""

    requests: list

    def __init__(self, name, command):
        self.name = name
        self.about = {"seconds": SECONDS.get(name, 5.0), "versions": {"fake": "1"}}
        self.missing = "llama_cpp" if name.startswith("llama") else None
        self.process = type("Process", (), {"pid": 1})

    def __enter__(self):
        if self.name == f"{REV} float32":
            raise WorkerDied(self.name, "Traceback\nModelError: Unknown key 'languages'.")
        return self

    def __exit__(self, *error):
        self.requests.append((self.name, "closed"))

    def request(self, measure, **arguments):
        self.requests.append((self.name, measure, *arguments.values()))
        seconds = SECONDS.get(self.name, 5.0)
        if measure == "log_probabilities":
            np.save(arguments["file"], np.log(np.full((4, 2), 0.5)))
        return {"seconds": seconds, "bytes": 1 << 30, "graphs": ["one"], "weights": 100,
                "cache": 10, "speech_seconds": 2 * seconds, "memory": [100, 100, 101]}


class FakeCommandLine:
    has_weight_cache = True

    def __init__(self, source, model_dir, quantize):
        self.quantize = quantize

    def seconds(self, voice, folder):
        assert json.loads(voice.read_text())["global_ids"]
        return {"int8": 8.0, "int4": 6.0}[self.quantize]

    def peak_memory(self, folder, cached):
        return 1_000_000_000 if cached else 1_200_000_000


@pytest.fixture
def fakes(monkeypatch):
    FakeWorker.requests = []
    monkeypatch.setattr(runner, "Worker", FakeWorker)
    monkeypatch.setattr(runner, "CommandLine", FakeCommandLine)
    monkeypatch.setattr(runner, "run_watched", lambda pid, action: (action(), 0.0))
    return FakeWorker.requests


def engines(model_dir, revision=None):
    return program.our_engines(model_dir, revision, revision and model_dir)


def measured_in_turns(requests):
    return [request[0] for request in requests if request[1] == "decode"]


def test_turns(fakes):
    task = Task("decode", {"context": 4, "streams": 1, "steps": 2}, (INT8, INT4), (Row("x"),))
    workers = {name: FakeWorker(name, []) for name in OURS}
    results = Results()
    measure_group([task], workers, 2, Selection({task.name: {INT8, INT4}}), results)
    assert measured_in_turns(fakes) == [INT8, INT4] * 3         # the first is the warm-up
    assert results.of(task.name, INT8) == [2.0, 2.0]
    assert results.of(f"first {task.name}", INT4) == [1.0]


def test_a_peer_that_dies_does_not_end_the_run(fakes, monkeypatch, capsys):
    class Dying(FakeWorker):
        def request(self, measure, **arguments):
            raise WorkerDied(self.name, "Fatal Python error: Illegal instruction")

    task = Task("decode", {"context": 4, "streams": 1, "steps": 2}, (LLAMA, INT4), (Row("x"),))
    workers = {LLAMA: Dying(LLAMA, []), INT4: FakeWorker(INT4, [])}
    results = Results()
    chosen = Selection({task.name: {LLAMA, INT4}})
    measure_group([task], workers, 2, chosen, results)
    assert list(workers) == [INT4] and results.of(task.name, INT4) == [1.0, 1.0]
    assert "llama.cpp Q8_0 died in decode 4 1 2 (Fatal Python error" in capsys.readouterr().err
    with pytest.raises(WorkerDied):
        measure_group([task], {INT4: Dying(INT4, [])}, 2, chosen, results)


def test_a_full_run_fills_every_target_that_it_can(fakes, tiny_model):
    groups = task_groups(True, REV)
    results = Results()
    ours = engines(tiny_model, REV)
    peers = {LLAMA: ["llama"]}
    measured = run_all(ours, peers, groups, 2, select([], groups, targets(REV), REV), results)
    assert results.of(LOADING.name, INT8) == [2.0, 2.0]
    assert results.of(COMMAND.name, f"{REV} int8") == [8.0, 8.0]
    assert results.of(COMMAND_MEMORY.name, INT4) == [1.2e9]     # of both runs the larger
    assert measured.quality[INT4]["mean_kl"] == 0 and measured.quality[INT8]["same_best"] == 1
    assert measured.bytes_read[INT4] and f"{REV} float32" not in measured.versions
    figures = {target.name: target.figure(results) for target in targets(REV)}
    missing = [name for name, figure in figures.items() if figure is None]
    assert missing == ["token, int4 / llama.cpp's fastest 4-bit",
                       "recording of 6 s to ids / PyTorch, 24 layers"]
    assert figures[f"token, int8 / {REV} int8"] == pytest.approx(2 / 3)


def test_a_revision_that_cannot_load_the_model_is_left_out(fakes, tiny_model, capsys):
    groups = task_groups(True, REV)
    chosen = select(["wave 250"], groups, targets(REV), REV)
    run_all(engines(tiny_model, REV), {}, groups, 1, chosen, Results())
    said = capsys.readouterr().err
    assert "c47a299 float32: ModelError: Unknown key 'languages'.; left out" in said


def test_only_starts_what_it_measures(fakes, tiny_model):
    groups = task_groups(True, REV)
    chosen = select(["token, int4 / c47a299"], groups, targets(REV), REV)
    run_all(engines(tiny_model, REV), {LLAMA: ["llama"]}, groups, 1, chosen, Results())
    assert {request[0] for request in fakes} == {INT4, f"{REV} int8"}
    assert not any(request[1] == "log_probabilities" for request in fakes)


def test_the_long_text(fakes, tmp_path):
    results = Results()
    measured = Measured()
    runner.measure_long(engines(tmp_path), [INT4, "c47a299 int8"], True, results, measured)
    assert results.of(LONG_TEXT.name, INT4) == [0.5]
    assert measured.growth == {INT4: pytest.approx(0.01)}
    assert (INT4, "long_text", 20000, True) in fakes


def test_divergence_of_distributions():
    p = np.log([[0.5, 0.5], [0.9, 0.1]])
    q = np.log([[0.25, 0.75], [0.9, 0.1]])
    found = divergence(p, q)
    first = 0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75)
    assert found["mean_kl"] == pytest.approx(first / 2)
    assert found["largest_kl"] == pytest.approx(first)
    assert found["same_best"] == 0.5            # of equal ones the first is the best
    assert found["positions"] == 2


def test_workers_of_another_revision(tmp_path):
    engine = OurEngine(tmp_path / "old", tmp_path / "model", "int8")
    assert engine.worker[-2:] == ["--source", str(tmp_path / "old")]
    assert engine.worker[engine.worker.index("--quantize") + 1] == "int8"


@pytest.fixture
def run_program(fakes, monkeypatch, tiny_model, tmp_path):
    """Runs `python -m benchmarks` on the fakes, without the machine's peak; returns the report."""
    monkeypatch.setattr("benchmarks.limits.measure_peak", lambda: None)

    def run(*arguments):
        report = tmp_path / "bench.json"
        monkeypatch.setattr("sys.argv", ["benchmarks", "--model_dir", str(tiny_model), "--quick",
                                         "--json", str(report), *arguments])
        program.main()
        return json.loads(report.read_text())

    return run


def test_the_report(run_program, capsys):
    report = run_program()
    assert len(report["targets"]) == 12 and report["limits"] is None
    assert report["int8_quality"]["mean_kl"] == report["int4_quality"]["mean_kl"] == 0
    assert report["raw"]["decode 400 1 20"][INT8] == [2.0, 2.0]
    assert set(everything(task_groups(True), None)) - {"limits", "quality"} <= set(report["raw"])
    printed = capsys.readouterr().out
    assert "Targets" in printed and "not measured" in printed and "ours int4 against" in printed


def test_a_long_run_measures_nothing_else(run_program, fakes, capsys):
    report = run_program("--long")
    assert report["long_text_memory_growth"] == {INT4: pytest.approx(0.01)}
    assert set(report["raw"]) == {"long", "memory long"}
    assert "memory of ours int4: flat (+1.0%" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
    (("--against", "absent"), "git has no revision absent"),
    (("--only", "nonsense"), "no task and no target"),
    (("--model_dir", "examples"), "examples")])
def test_errors_are_one_line(run_program, arguments, message):
    with pytest.raises(SystemExit, match=f"error: .*{message}"):
        run_program(*arguments)
