"""An engine whose steps take exactly what a file of costs says: it sleeps instead of computing.

Everything else is the real thing: the service, the engine's scheduling, chunks and playback, and
with `check` the server or Ray Serve in front of it. So the simulation's rules can be checked where
costs cannot be measured well, on a machine that has other work to do. Its speech is silence of
random length.

    python -m tools.capacity.stand_in --model_dir DIR --costs FILE --port PORT
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tools.capacity.costs import Costs, named_costs, read_costs

FRAMES = (60, 300)              # of an utterance, least and most
MAX_LATE = 0.1                  # seconds that a machine with other work may wake up late


class Sleeper:
    """Sleeps so long in all as it is asked to: where it woke up late, the next sleep is shorter."""

    def __init__(self) -> None:
        self._end = 0.0         # of the last sleep, as it was meant

    def sleep(self, seconds: float) -> None:
        now = time.perf_counter()
        begin = self._end if now - self._end < MAX_LATE else now
        self._end = begin + seconds
        time.sleep(max(0.0, self._end - now))


class SleptModel:
    """In the place of the language model's prefill and decode steps. Sequences end at random."""

    def __init__(self, tts: Any, costs: Costs, sleep: Callable[[float], None]):
        self.costs = costs
        self.sleep = sleep
        self.head = tts.generator.head(True)
        semantic = np.array(tts.vocabulary.bicodec_semantic.ids())
        self.rows = self.head.token_to_row[semantic]
        self.end = int(self.head.token_to_row[tts.vocabulary.end])
        random = np.random.default_rng(0)
        self.draw_frames = lambda: int(random.integers(*FRAMES))
        self.left: dict[int, int] = {}          # frames, by slot
        tts.llm.prefill_packed = self.prefill
        self.head.decode_step = self.decode

    def prefill(self, chunks: list[Any]) -> None:
        for chunk in chunks:
            if chunk.start == 0:
                self.left[chunk.slot] = self.draw_frames()
        self.sleep(self.costs.prefill(sum(len(chunk.ids) for chunk in chunks)))

    def decode(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray,
               ranges: np.ndarray) -> SleptLogits:
        self.sleep(self.costs.step_seconds(len(ids), float(positions.mean())))
        rows = []
        for slot in slots:
            left = self.left[slot] = self.left.get(slot, FRAMES[0]) - 1
            rows.append(self.end if left < 0 else int(self.rows[left % len(self.rows)]))
        return SleptLogits(rows)


class SleptLogits:
    """One candidate for each sequence."""

    def __init__(self, rows: list[int]):
        self.rows = rows

    def candidates(self, index: int, rows: np.ndarray,
                   top_k: int) -> tuple[np.ndarray, np.ndarray]:
        row = self.rows[index] if self.rows[index] in rows else int(rows[0])
        return np.array([row]), np.zeros(1, np.float32)


def load_slept(model_dir: str, costs: Costs, sleep: Callable[[float], None] | None = None) -> Any:
    """A service on a model of which only the vocabulary and the configuration are used. Its
    `slept_model` is a SleptModel."""
    import simpy

    from sparktts_ms import Service, SparkTTS
    from tools.capacity.device import Device

    tts = SparkTTS.from_pretrained(model_dir, device_target="CPU")
    service = Service(tts)
    sleep = sleep or Sleeper().sleep
    service.slept_model = SleptModel(tts, costs, sleep)     # type: ignore[attr-defined]
    device = Device(simpy.Environment(), costs)
    rate = tts.codec.config.decoder.samples_per_token

    def decode_frames(global_ids: np.ndarray, semantic_ids: np.ndarray, first: int, last: int,
                      lookahead: int | None = None) -> np.ndarray:
        ahead = costs.receptive_field if lookahead is None else lookahead
        sleep(device.decoding_seconds(first, last, min(len(semantic_ids), last + ahead)))
        return np.zeros((last - first) * rate, np.float32)

    tts.codec.decode_frames = decode_frames                 # type: ignore[method-assign]
    service.warm_up = lambda: None                          # type: ignore[method-assign]
    return service


def main() -> None:
    """Serve until a signal comes, as `cli.serve` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model_dir", required=True)
    parser.add_argument("--costs", required=True)
    parser.add_argument("--port", type=int, required=True)
    args = parser.parse_args()

    from sparktts_ms.serving.app import create_app
    from sparktts_ms.serving.http_server import HttpServer
    from sparktts_ms.serving.server import SpeechServer
    from sparktts_ms.serving.settings import Settings

    costs = read_costs(named_costs().get(args.costs, Path(args.costs)))
    server = SpeechServer(Settings())
    HttpServer(create_app(server), "127.0.0.1", args.port).start()
    server.start(load_slept(args.model_dir, costs))
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
