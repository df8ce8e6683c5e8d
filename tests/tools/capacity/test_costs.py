"""Files of costs: three formats, and what is said of those that are none."""

import copy
import json

import pytest

from tests.tools.capacity.costs_of import costs_json
from tools.capacity.costs import CostsError, Curve, named_costs, read_costs


def test_curve_is_linear_between_points_and_behind_them():
    curve = Curve([[10, 1.0], [20, 3.0], [40, 4.0]])
    assert [curve(size) for size in (1, 10, 15, 20, 30, 40, 60)] == [1, 1, 2, 3, 3.5, 4, 5]


def written(tmp_path, data):
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(data))
    return path


def test_steps_between_measured_batches(tmp_path):
    step = {"1": [[0, 1.0]], "4": [[0, 4.0]], "16": [[0, 10.0]]}
    costs = read_costs(written(tmp_path, costs_json(step=step)))
    assert [costs.step_seconds(n, 0) for n in (1, 2, 4, 10, 16)] == [1, 2, 4, 7, 10]


@pytest.mark.parametrize("name", named_costs())
def test_costs_that_come_with_the_tool(name):
    costs = read_costs(named_costs()[name])
    assert costs.origin["device"] == "CPU" and costs.origin["date"] and costs.origin["processor"]
    assert 0 < costs.step_seconds(1, 100) <= costs.step_seconds(16, 100)
    assert costs.step_seconds(16, 100) < 16 * costs.step_seconds(1, 100)


def benchmarks_json():
    raw = {f"decode 400 {n} 20": {"ours int8": [0.01 + n / 1000] * 3} for n in (1, 2, 4, 8, 16)}
    raw["decode 500 1 20"] = {"ours int8": [0.011]}
    raw["decode 3000 1 20"] = {"ours int8": [0.0135]}
    raw["sample 200"] = {"ours int8": [0.0002]}
    raw["prefill 400"] = {"ours int8": [0.4]}
    raw["wave 50"] = {"ours int8": [0.1, 0.2, 0.3]}
    raw["wave 250"] = {"ours int8": [0.9]}
    raw["encode"] = {"ours int8": [1.1]}
    return {"raw": raw, "shown": {}, "machine": {"processor": "P", "cores": "2 cores"}}


def test_report_of_benchmarks(tmp_path):
    costs = read_costs(written(tmp_path, benchmarks_json()))
    assert costs.step_seconds(1, 400) == pytest.approx(0.0112)
    assert costs.step_seconds(16, 400) == pytest.approx(0.026 + 16 * 0.0002)
    assert costs.step_seconds(1, 1400) == pytest.approx(0.0112 + 1000 * 1e-6)
    assert costs.prefill(64) == pytest.approx(0.064)
    assert costs.generator(50) == pytest.approx(0.2)
    assert costs.encode == pytest.approx(1.1)
    assert "request" in costs.assumed


def doctor_json():
    def row(step, **values):
        return {"step": step, "status": "right", "message": "", "code": None, "values": values}

    return {
        "format": "spark-tts-doctor", "version": 1, "model": "Spark-TTS-0.5B",
        "device": {"device_target": "CPU", "chip": ""}, "trials": [], "best": None,
        "networks": [row("speaker_encoder", ms=50.0), row("wav2vec2", ms=100.0),
                     row("semantic_encoder", ms=10.0), row("prenet", ms=20.0),
                     row("wave_generator", ms=80.0)],
        "speech": [row("decode_1", ms=10.0, sample_ms=0.5), row("prefill", positions=64, ms=90.0),
                   row("decode_16", ms=30.0, sample_ms=0.5)]}


def test_report_of_the_doctor(tmp_path):
    costs = read_costs(written(tmp_path, doctor_json()))
    assert costs.step_seconds(1, 100) == pytest.approx(0.0105)
    assert costs.step_seconds(16, 100) == pytest.approx(0.038)
    assert costs.prefill(64) == pytest.approx(0.09)
    assert costs.front_end(50) + costs.generator(50) == pytest.approx(0.1)
    assert costs.encode == pytest.approx(0.05 + 6 * 0.11)


def test_doctor_on_ascend_times_one_sequence_among_its_trials(tmp_path):
    data = doctor_json()
    data["device"] = {"device_target": "Ascend", "chip": "Ascend910B2"}
    data["best"] = {"jit_level": "O1"}
    data["trials"] = [{"settings": {"jit_level": "O0"}, "decode": {"values": {"ms": 9.0}}},
                      {"settings": {"jit_level": "O1"}, "decode": {"values": {"ms": 4.0}}}]
    data["speech"] = data["speech"][1:]
    costs = read_costs(written(tmp_path, data))
    assert costs.step_seconds(1, 100) == pytest.approx(0.0045)
    assert not costs.packs_prefills and costs.prefill_chunk == 256
    assert costs.prefill(10) == costs.prefill(256) == pytest.approx(0.09)


def without(data, *path):
    data = copy.deepcopy(data)
    inside = data
    for key in path[:-1]:
        inside = inside[key]
    if isinstance(inside, list):
        inside[:] = [row for row in inside if row["step"] != path[-1]]
    else:
        del inside[path[-1]]
    return data


@pytest.mark.parametrize(("data", "said"), [
    (without(costs_json(), "seconds", "encode"), "lacks the figure seconds.encode"),
    (without(costs_json(), "seconds"), "lacks the figure seconds"),
    (without(costs_json(), "seconds", "step", "1"), "seconds.step of 1"),
    (without(costs_json(), "engine", "slots"), "engine.slots"),
    (costs_json(poll="x"), "has 'x' as seconds.poll"),
    (costs_json(poll=-1), "has -1 as seconds.poll"),
    (costs_json(poll=float("nan")), "has nan as seconds.poll"),
    (costs_json(prefill=[[1]]), "has [1] in seconds.prefill"),
    (costs_json(prefill=[[1, 2], [1, 3]]), "the same size twice in seconds.prefill"),
    (costs_json(step={"x": [[1, 2]]}), "a step of 'x' sequences"),
    ({**costs_json(), "version": 2}, "has version 2"),
    (without(benchmarks_json(), "raw", "sample 200"), "lacks the figure 'sample 200'"),
    (without(benchmarks_json(), "raw", "decode 400 8 20"), "'decode 400 8 20' of 'ours int8'"),
    (without(doctor_json(), "speech", "decode_16"), "lacks the figure 'decode_16'"),
    (without(doctor_json(), "networks", "prenet"), "lacks the figure 'prenet'"),
    ({"a": 1}, "holds no costs"), ([1], "is no JSON object"),
])
def test_what_is_wrong_with_a_file_is_said_in_one_line(data, said, tmp_path):
    path = written(tmp_path, data)
    with pytest.raises(CostsError) as error:
        read_costs(path)
    message = str(error.value)
    assert said in message and "costs.json" in message and "\n" not in message


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(CostsError, match="cannot be read"):
        read_costs(tmp_path / "missing.json")
