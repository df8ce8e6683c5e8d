"""Measures what an engine's steps cost: python -m tools.capacity.worker MODEL_DIR

Everything runs through the service's own classes, after its warm-up, so that figures are what a
server pays. Requests and answers are those of `benchmarks.worker`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving_texts import SENTENCES
from benchmarks.worker import Engine as Worker
from benchmarks.worker import serve, timed

RECORDING = Path(__file__).resolve().parents[2] / "examples" / "sparktts" / "prompt.wav"
WORDS = "the old mill stands behind the river and the road leads over the second bridge "
SPEECH_TOKENS = 200


class Measured(Worker):
    def __init__(self, model_dir: Path, device_target: str, quantize: str):
        import mindspore

        from sparktts_ms import Service, SparkTTS, Voice

        began = time.perf_counter()
        tts = SparkTTS.from_pretrained(model_dir, device_target=device_target, quantize=quantize)
        self.service = Service(tts)
        self.service.warm_up()
        self.tts = tts
        self.engine = tts.engine
        self.about = {
            "seconds": time.perf_counter() - began,
            "versions": {"mindspore": mindspore.__version__},
            "device": tts.runtime.device_target, "dtype": tts.runtime.llm_dtype,
            "engine": {
                "slots": tts.llm.num_slots, "prefill_chunk": tts.llm.prefill_chunk,
                "packs_prefills": tts.llm.packs_prefills,
                "compiled_lengths": tts.runtime.variable_length,
                "receptive_field": tts.codec.receptive_field,
                "context_frames": tts.codec.context_frames},
            "text": self._text()}
        random = np.random.default_rng(0)
        semantic = tts.vocabulary.bicodec_semantic
        self.semantic_ids = random.integers(0, semantic.count, 4000).astype(np.int32)
        self.voice = Voice(random.integers(0, tts.vocabulary.bicodec_global.count,
                                           32).astype(np.int32))

    def _text(self) -> dict[str, float]:
        """Ids of text for each second of speech, at 15 characters a second, and of the rest."""
        from tools.capacity.workload import CHARACTERS_PER_SECOND

        tokens = sum(len(self.tts.vocabulary.encode(text)) for text in SENTENCES)
        per_character = tokens / sum(map(len, SENTENCES))
        return {"tokens_per_second": per_character * CHARACTERS_PER_SECOND, "prompt_tokens": 38}

    def step(self, sequences: int, context: int, steps: int) -> dict[str, float]:
        """An engine step of so many sequences after `context` positions, with its sampling."""
        from sparktts_ms import Sampling

        active = []
        prompt, _ = self.tts.generator.prompt("a", self.voice)
        filler = np.resize(self.tts.vocabulary.encode(WORDS), max(0, context - len(prompt)))
        prompt = np.concatenate([prompt[:2], filler, prompt[2:]]).astype(np.int64)
        for seed in range(sequences):
            _, grammar = self.tts.generator.prompt("a", self.voice)
            sampling = Sampling(seed=seed, min_new_tokens=3000, max_new_tokens=3000)
            active.append(self.engine.add(prompt, grammar, sampling,
                                          self.tts.generator.head(True)))
        try:
            while any(len(sequence.uncached) > 1 for sequence in active):
                self.engine.step()
            return _median(self.engine.step, steps)
        finally:
            for sequence in active:
                self.engine.cancel(sequence)

    def prefill(self, tokens: int) -> dict[str, float]:
        ids = np.zeros(tokens, np.int64)
        return _median(lambda: self.tts.llm.prefill(0, ids, 0).asnumpy(), 5)

    def front_end(self, frames: int) -> dict[str, float]:
        """Ids of so many frames to the wave generator's input."""
        codec = self.tts.codec
        ids = self.semantic_ids[:frames]
        return _median(lambda: codec.condition_frames(self.voice.global_ids, ids), 5)

    def generator(self, frames: int) -> dict[str, float]:
        """The wave generator's input to so many frames of samples."""
        from mindspore import Tensor

        codec = self.tts.codec
        _, generator = codec.load_decoder()
        channels = codec.config.decoder.input_channel
        hidden = Tensor(np.zeros((frames, channels), np.float32))
        mask = codec._mask(frames, frames)
        return _median(lambda: generator(hidden, mask).asnumpy(), 5)

    def encode(self, transcript: bool) -> dict[str, float]:
        """A recording that was read, to its ids."""
        encoder = self.tts.voice_encoder
        recording = encoder.read(RECORDING).recording
        words = "word" if transcript else None
        return _median(lambda: encoder._encode(recording, words, ()), 3)

    def read_recording(self) -> dict[str, float]:
        return _median(lambda: self.tts.voice_encoder.read(RECORDING), 3)

    def prepare(self, characters: int) -> dict[str, float]:
        """Normalize and split a text."""
        from sparktts_ms.generation.request import SpeechRequest

        text = (WORDS * (1 + characters // len(WORDS)))[:characters]
        request = SpeechRequest(text, self.voice)
        return _median(lambda: self.tts.prepare(request), 20)

    def poll(self, jobs: int) -> dict[str, float]:
        """Looking at one job after a step: what remains of the time of a service that works when
        its steps, and the decoding of chunks, are taken off."""
        from sparktts_ms import Chunks, Sampling

        service = self.service
        spent = {"inside": 0.0, "steps": 0}
        step, decode = self.engine.step, self.tts.codec.decode_frames

        def timed_step() -> bool:
            began = time.perf_counter()
            try:
                return step()
            finally:
                spent["inside"] += time.perf_counter() - began
                spent["steps"] += 1

        def timed_decode(*arguments: Any) -> np.ndarray:
            began = time.perf_counter()
            try:
                return decode(*arguments)
            finally:
                spent["inside"] += time.perf_counter() - began

        sampling = Sampling(seed=1, min_new_tokens=SPEECH_TOKENS, max_new_tokens=SPEECH_TOKENS)
        self.engine.step = timed_step                           # type: ignore[method-assign]
        self.tts.codec.decode_frames = timed_decode             # type: ignore[method-assign]
        try:
            began = time.perf_counter()
            running = [service.submit("Hello.", self.voice, sampling=sampling, chunks=Chunks())
                       for _ in range(jobs)]
            for job in running:
                job.result()
            wall = time.perf_counter() - began
        finally:
            del self.engine.step, self.tts.codec.decode_frames
        return {"seconds": max(0.0, wall - spent["inside"]) / (spent["steps"] * jobs)}

    def first_audio(self, text: str) -> dict[str, float]:
        """From a request inside this process to its first samples."""
        from sparktts_ms import Chunks

        def first() -> None:
            job = self.service.submit(text, self.voice, chunks=Chunks())
            next(iter(job))
            job.cancel()
            self.service.take_turn()

        return _median(first, 5)


def _median(action: Callable[[], object], runs: int) -> dict[str, float]:
    """Median seconds of a call, after one that is not counted."""
    action()
    return timed(action, runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--device_target", default="auto")
    parser.add_argument("--quantize", default="none")
    args = parser.parse_args()
    serve(lambda: Measured(args.model_dir, args.device_target, args.quantize))
