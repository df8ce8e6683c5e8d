"""The worker of this package: python -m benchmarks.ours MODEL_DIR --quantize {none,int8,int4}"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.worker import Engine, serve, timed

SENTENCE = "The quick brown fox jumps over the lazy dog while rain falls softly on old roofs. "


class Ours(Engine):
    def __init__(self, model_dir: Path, quantize: str):
        import mindspore

        from sparktts_ms import SparkTTS, Voice

        began = time.perf_counter()
        tts = SparkTTS.from_pretrained(model_dir, device_target="CPU", quantize=quantize).load()
        self.about = {
            "seconds": time.perf_counter() - began,
            "versions": {"mindspore": mindspore.__version__}}
        self.tts = tts
        self.prefill_chunk = tts.llm.prefill_chunk
        semantic = tts.vocabulary.bicodec_semantic
        num_global = tts.vocabulary.bicodec_global.count
        random = np.random.default_rng(0)
        self.noise = random.standard_normal(96000) * 0.1        # 6 s
        self.semantic_ids = random.integers(0, semantic.count, 250)
        self.voice = Voice(random.integers(0, num_global, 32).astype(np.int32))
        numbers = random.integers(0, semantic.count, tts.llm.max_length)
        self.ids = np.array([semantic[number] for number in numbers])
        self.candidates = np.arange(semantic.count + 2)         # vocab rows: speech and its ends
        self.cached = [0] * tts.llm.num_slots                   # positions in each slot's cache

    def encode(self) -> dict[str, float]:
        """A recording of 6 s to its semantic and global ids."""
        codec = self.tts.codec
        encoder = self.tts.voice_encoder

        def encode() -> None:
            codec.encode_semantic(encoder.features(self.noise))
            codec.encode_speaker(encoder.mel(self.noise.astype(np.float32)))

        return timed(encode)

    def prefill(self, context: int) -> dict[str, float]:
        return timed(lambda: self._prefill(0, 0, context))

    def decode(self, context: int, streams: int, steps: int) -> dict[str, float]:
        """A token of each of `streams` sequences after `context` positions; the median of
        `steps`."""
        for slot in range(streams):
            self._prefill(slot, self.cached[slot], context)
            self.cached[slot] = max(self.cached[slot], context)
        slots = np.arange(streams)

        def step() -> None:
            for logits in self._decode_step(self.ids[slots], context, slots):
                logits.argmax()

        return timed(step, steps)

    def sample(self, draws: int) -> dict[str, float]:
        """An id drawn from the logits of a decode step, the median of so many."""
        from sparktts_ms import Sampling
        from sparktts_ms.qwen2.sampling import sample

        random = np.random.default_rng(0)
        logits = random.standard_normal(len(self.candidates)).astype(np.float32)
        return timed(lambda: sample(logits, Sampling(), random), draws)

    def wave(self, frames: int) -> dict[str, float]:
        """Ids of `frames` frames to their waveform."""
        semantic_ids = self.semantic_ids[:frames]
        return timed(lambda: self.tts.decode(
            global_ids=self.voice.global_ids, semantic_ids=semantic_ids))

    def speak(self, tokens: int, words: int = 14) -> dict[str, float]:
        """A text of `words` words to a waveform of `tokens` tokens (50 a second), known voice."""
        sampling = _sampling(tokens)
        return timed(lambda: self.tts.synthesize(_text(words), self.voice, sampling=sampling))

    def first_audio(self, tokens: int) -> dict[str, float]:
        """A text to the first chunk of a stream, known voice."""
        stream = self.tts.stream(_text(14), self.voice, sampling=_sampling(tokens))
        try:
            return timed(lambda: next(stream))
        finally:
            stream.close()

    def graphs(self) -> dict[str, Any]:
        return {"graphs": list(self.tts.runtime.graphs)}

    def log_probabilities(self, file: str, context: int, positions: int) -> dict[str, Any]:
        """Save the log probabilities of the next id, [positions, speech ids], at each of
        `positions` after a random prompt of `context`."""
        self._prefill(0, 0, context)
        rows = []
        for position in range(context, context + positions):
            ids = self.ids[position:position + 1]
            logits = self._decode_step(ids, position, np.zeros(1, np.int64))[0]
            rows.append(logits - np.logaddexp.reduce(logits.astype(np.float64)))
        np.save(file, np.array(rows))
        return {}

    def _prefill(self, slot: int, start: int, end: int) -> None:
        for first in range(start, end, self.prefill_chunk):
            ids = self.ids[first:min(first + self.prefill_chunk, end)]
            self.tts.llm.prefill(slot, ids, first).asnumpy()

    def _decode_step(self, ids: np.ndarray, position: int, slots: np.ndarray) -> list[np.ndarray]:
        """One step of the sequences in `slots`; for each the logits of all speech ids."""
        head = self.tts.generator.head(True)
        positions = np.full(len(slots), position)
        ranges = np.array([(0, len(self.candidates))] * len(slots))
        logits = head.decode_step(ids, positions, slots, ranges)
        return [logits.candidates(index, self.candidates, 0)[1] for index in range(len(slots))]


def _text(words: int) -> str:
    return " ".join(np.resize(SENTENCE.split(), words))


def _sampling(tokens: int):
    """A forced length, since the weights are random. The first id only starts the speech."""
    from sparktts_ms import Sampling
    return Sampling(seed=1, min_new_tokens=tokens + 1, max_new_tokens=tokens + 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--quantize", choices=("none", "int8", "int4"), default="none")
    args = parser.parse_args()
    serve(lambda: Ours(args.model_dir, args.quantize))
