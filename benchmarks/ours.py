"""The worker of this package: python -m benchmarks.ours MODEL_DIR --quantize {none,int8,int4}

With --source it is that of the folder, of another revision.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command_line import EXAMPLE
from benchmarks.long_text import segment_tokens, speech_text
from benchmarks.model import Model
from benchmarks.worker import ROOT, Engine, serve, timed

SENTENCE = "The quick brown fox jumps over the lazy dog while rain falls softly on old roofs. "
MEMORY_INTERVAL_S = 10.0
STATUS = Path("/proc/self/statm")


class Ours(Engine):
    def __init__(self, model_dir: Path, quantize: str):
        from sparktts_ms import Voice  # before MindSpore, which reads what it sets

        mindspore = importlib.import_module("mindspore")
        began = time.perf_counter()
        self.model = Model.load(model_dir, quantize)
        self.about = {
            "seconds": time.perf_counter() - began,
            "versions": {"mindspore": mindspore.__version__}}
        tts = self.tts = self.model.tts
        semantic = tts.vocabulary.bicodec_semantic
        num_global = tts.vocabulary.bicodec_global.count
        random = np.random.default_rng(0)
        self.noise = random.standard_normal(96000) * 0.1        # 6 s
        self.semantic_ids = random.integers(0, semantic.count, 250)
        self.voice = Voice(random.integers(0, num_global, 32).astype(np.int32))
        numbers = random.integers(0, semantic.count, self.model.max_length)
        self.ids = np.array([semantic[number] for number in numbers])
        self.candidates = np.arange(semantic.count + 2)         # vocab rows: speech and its ends
        self.cached = [0] * self.model.num_slots                # positions in each slot's cache

    def encode(self) -> dict[str, float]:
        """A recording of 6 s to its semantic and global ids."""
        return timed(lambda: self.model.encode(self.noise))

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

    def first_audio(self, tokens: int, words: int = 14) -> dict[str, float]:
        """A text to the first chunk of a stream, known voice; `tokens` of each segment."""
        stream = self.tts.stream(_text(words), self.voice, sampling=_sampling(tokens))
        try:
            return timed(lambda: next(stream))
        finally:
            stream.close()

    def long_text(self, characters: int, forced: bool) -> dict[str, Any]:
        """A text of so many characters, streamed in a known voice, in the chunks that a player
        gets.

        forced: its length is that of 200 words a minute, for weights that are random. Returns
        `seconds` of work, `speech_seconds`, and `memory`: resident bytes every 10 s.
        """
        from sparktts_ms import Sampling

        text = speech_text(characters)
        sampling = Sampling(seed=1)
        voice = self.voice
        if forced:
            sampling = _sampling(segment_tokens(text, self.model.num_segments(text)))
        else:
            voice = self.tts.encode_voice(EXAMPLE / "prompt.wav")
            self.tts.release_prompt_encoder()
        self.tts.synthesize(_text(14), voice, sampling=_sampling(250))      # warm-up
        with MemorySampler(MEMORY_INTERVAL_S) as sampler:
            began = time.perf_counter()
            chunks = self.tts.stream(text, voice, sampling=sampling)
            samples = sum(len(chunk) for chunk in chunks)
            seconds = time.perf_counter() - began
        return {"seconds": seconds, "speech_seconds": samples / self.tts.sample_rate,
                "memory": sampler.bytes}

    def bytes_read(self) -> dict[str, int]:
        return self.model.bytes_read()

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
        chunk = self.model.prefill_chunk
        for first in range(start, end, chunk):
            self.model.prefill(slot, self.ids[first:min(first + chunk, end)], first)

    def _decode_step(self, ids: np.ndarray, position: int, slots: np.ndarray) -> list[np.ndarray]:
        """One step of the sequences in `slots`; for each the logits of all speech ids."""
        return self.model.decode_step(ids, position, slots, self.candidates)


class MemorySampler:
    """Resident memory of this process, in `bytes`, at the start, every `interval` seconds and at
    the end of the block (Linux; elsewhere empty)."""

    def __init__(self, interval: float):
        self.bytes: list[int] = []
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemorySampler:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            self._sample()

    def _sample(self) -> None:
        if STATUS.exists():
            pages = int(STATUS.read_text().split()[1])
            self.bytes.append(pages * os.sysconf("SC_PAGE_SIZE"))


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
    parser.add_argument("--source", type=Path, default=ROOT, help="folder with sparktts_ms")
    args = parser.parse_args()
    sys.path.insert(0, str(args.source))
    serve(lambda: Ours(args.model_dir, args.quantize))
