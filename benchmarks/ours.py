"""The worker of this package: python -m benchmarks.ours MODEL_DIR --quantize {none,int8}"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.worker import Measures, serve, timed

SENTENCE = "The quick brown fox jumps over the lazy dog while rain falls softly on old roofs. "


class Ours(Measures):
    def __init__(self, model_dir: Path, quantize: str):
        import mindspore

        from sparktts_ms import SparkTTS, Voice
        from sparktts_ms.qwen2.language_model import PREFILL_CHUNK

        began = time.perf_counter()
        tts = self.tts = SparkTTS.from_pretrained(model_dir, device_target="CPU", quantize=quantize).load()
        self.about = {"seconds": time.perf_counter() - began, "versions": {"mindspore": mindspore.__version__}}
        self.chunk = PREFILL_CHUNK
        generator = np.random.default_rng(0)
        self.noise = generator.standard_normal(96000) * 0.1                 # 6 s
        self.frames = generator.integers(0, 8192, 250)
        self.voice = Voice(generator.integers(0, 4096, 32).astype(np.int32))
        self.ids = np.array([tts.vocabulary.bicodec_semantic[i] for i in generator.integers(0, 8192, tts.llm.max_length)])
        self.speech_rows = tts.vocabulary.bicodec_semantic.count + 2        # of the head: speech, and what ends it
        self.filled = [0] * tts.llm.num_slots

    def encode(self) -> dict[str, float]:
        """A recording of 6 s to its semantic and global ids."""
        tts = self.tts

        def encode() -> None:
            tts.codec.encode_semantic(tts.voice_encoder.features(self.noise))
            tts.codec.encode_speaker(tts.voice_encoder.mel(self.noise.astype(np.float32)))

        return timed(encode)

    def prefill(self, context: int) -> dict[str, float]:
        return timed(lambda: self._read(0, 0, context))

    def decode(self, context: int, streams: int, steps: int) -> dict[str, float]:
        """One token of each of `streams` sequences that have `context` positions behind them; the median of `steps`."""
        for slot in range(streams):
            self._read(slot, self.filled[slot], context)
            self.filled[slot] = max(self.filled[slot], context)
        slots = np.arange(streams)
        return timed(lambda: [logits.argmax() for logits in self._step(self.ids[slots], context, slots)], steps)

    def wave(self, frames: int) -> dict[str, float]:
        return timed(lambda: self.tts.decode(global_ids=self.voice.global_ids, semantic_ids=self.frames[:frames]))

    def speak(self, tokens: int, words: int = 14) -> dict[str, float]:
        """Text to waveform in a voice that is known: `words` words that take `tokens` tokens (50 a second)."""
        return timed(lambda: self.tts.synthesize(_text(words), self.voice, sampling=_exactly(tokens)))

    def first_audio(self, tokens: int) -> dict[str, float]:
        """Text to the first samples of a stream."""
        stream = self.tts.stream(_text(14), self.voice, sampling=_exactly(tokens))
        try:
            return timed(lambda: next(stream))
        finally:
            stream.close()

    def graphs(self) -> dict[str, Any]:
        return {"graphs": list(self.tts.runtime.graphs)}

    def log_probabilities(self, file: str, context: int, positions: int) -> dict[str, Any]:
        """Save what may follow each of `positions` ids after a random prompt of `context`: [positions, speech ids], logs."""
        self._read(0, 0, context)
        rows = []
        for position in range(context, context + positions):
            logits, = self._step(self.ids[position:position + 1], position, np.zeros(1, np.int64))
            rows.append(logits - np.logaddexp.reduce(logits.astype(np.float64)))
        np.save(file, np.array(rows))
        return {}

    def _read(self, slot: int, start: int, end: int) -> None:
        for first in range(start, end, self.chunk):
            self.tts.llm.prefill(slot, self.ids[first:min(first + self.chunk, end)], first).asnumpy()

    def _step(self, ids: np.ndarray, position: int, slots: np.ndarray) -> list[np.ndarray]:
        """One step of the sequences in `slots`; the logits of all speech ids for each."""
        head, count = self.tts.generator.head(True), len(slots)
        logits = head.decode_step(ids, np.full(count, position), slots, np.array([(0, self.speech_rows)] * count))
        return [logits.candidates(index, np.arange(self.speech_rows), 0)[1] for index in range(count)]


def _text(words: int) -> str:
    return " ".join(np.resize(SENTENCE.split(), words))


def _exactly(tokens: int):
    """The weights are random, so the length of an utterance is forced. Its first id only opens the speech."""
    from sparktts_ms import Sampling
    return Sampling(seed=1, min_new_tokens=tokens + 1, max_new_tokens=tokens + 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--quantize", choices=("none", "int8"), default="none")
    args = parser.parse_args()
    serve(lambda: Ours(args.model_dir, args.quantize))
