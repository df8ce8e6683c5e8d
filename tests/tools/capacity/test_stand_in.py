"""The simulated engine beside the real service, whose computations take simulated time."""

from types import SimpleNamespace

import numpy as np
import pytest
import simpy

from sparktts_ms import Chunks, Voice, service
from sparktts_ms.generation import playback
from tests.helpers import ROOT
from tests.tools.capacity.costs_of import costs_of
from tools.capacity.device import Device, Job
from tools.capacity.stand_in import load_slept
from tools.capacity.workload import Arrival

TEXT = "We met."
COSTS = {"step": {"1": [[0, 0.011], [100, 0.013]], "16": [[0, 0.031], [100, 0.04]]},
         "prefill": [[8, 0.02], [64, 0.05]], "front_end": [[16, 0.01], [184, 0.03]],
         "generator": [[16, 0.02], [120, 0.09]]}
LENGTHS = (30, 75, 140, 260, 61, 90, 33, 200, 180, 44, 120, 300, 66, 250, 71, 99, 210, 52)


class Clock:
    """Stands for the module `time`."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("count", [1, 2, 7, 18])
def test_chunks_come_when_the_real_service_makes_them(count, monkeypatch):
    """All requests at once, more than there are slots for the last case: each chunk has the size
    and the time of the real one."""
    clock = Clock()
    for module in (service, playback):
        monkeypatch.setattr(module, "time", clock)
    lengths = LENGTHS[:count]
    model_dir = str(ROOT / "pretrained_models" / "Spark-TTS-demo")
    voice = Voice(np.zeros(32, np.int32))
    costs = costs_of(**COSTS)
    with load_slept(model_dir, costs, clock.advance) as real:
        frames = iter(lengths)
        real.slept_model.draw_frames = lambda: next(frames)
        prompt, _ = real.tts.generator.prompt(TEXT, voice)
        times: list[list[tuple[float, float]]] = [[] for _ in lengths]

        def begin():                    # on the service's thread, so that no step comes between
            for made in times:
                job = real._add(make_job(real, voice, clock, made))
                jobs.append(job)

        jobs: list = []
        real._call(begin)
        for job in jobs:
            job.result()

    simulated = costs_of(**COSTS).__class__(
        **{name: getattr(costs, name) for name in costs.__dataclass_fields__ if name[0] != "_"}
        | {"prompt_tokens": len(prompt) + 1.0})
    env = simpy.Environment()
    device = Device(env, simulated)
    ended = []
    expected = [Job(Arrival(0.0, (length / 50,)), ended.append) for length in lengths]
    for job in expected:
        device.speak(job)
    env.run()
    for made, job in zip(times, expected, strict=True):
        assert [seconds for _, seconds in made] == pytest.approx(
            [seconds for _, seconds in job.chunk_times])
        assert [time for time, _ in made] == pytest.approx([time for time, _ in job.chunk_times])


def make_job(real, voice, clock, made):
    """A job that notes when each of its chunks was made, and their seconds."""
    from sparktts_ms.generation.request import SpeechRequest

    request = SpeechRequest(TEXT, voice)
    generation = real.tts.start(request, Chunks())
    state = SimpleNamespace(job=None)

    def note() -> None:
        if len(state.job.chunks) > len(made):
            made.append((clock.now, len(state.job.chunks[-1]) / 16000))

    state.job = service.Job(generation, real._wake, on_change=note)
    return state.job
