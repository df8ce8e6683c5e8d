"""The worker of llama.cpp: python -m benchmarks.llama MODEL_DIR --kind {Q8_0,Q4_0,Q4_K_M}

The language model in Q8_0, 8 bits a weight as ours with int8, or in 4 bits (see gguf_file.py). The
GGUF file is written into the model directory on first use.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.gguf_file import KINDS, gguf_path
from benchmarks.worker import Engine, serve, timed

CAPACITY = 4096     # positions


class Llama(Engine):
    def __init__(self, model_dir: Path, kind: str):
        import llama_cpp

        file = gguf_path(model_dir, kind)
        if not file.exists():           # in a process of its own, whose memory is not measured
            importlib.import_module("gguf")
            convert = [sys.executable, "-m", "benchmarks.gguf_file"]
            subprocess.run([*convert, str(model_dir / "LLM"), str(file), kind], check=True)
        threads = os.cpu_count() or 1
        began = time.perf_counter()
        self.llm = llama_cpp.Llama(
            str(file), n_ctx=CAPACITY, n_threads=threads, n_threads_batch=threads, verbose=False)
        self.about = {
            "seconds": time.perf_counter() - began,
            "versions": {"llama_cpp": llama_cpp.__version__}}
        speech_ids = np.random.default_rng(0).integers(155761, 163953, CAPACITY)
        self.ids = speech_ids.tolist()
        self.cached = 0                 # positions in the cache

    def prefill(self, context: int) -> dict[str, float]:
        self.cached = 0
        return timed(lambda: self._prefill(context))

    def decode(self, context: int, streams: int, steps: int) -> dict[str, float]:
        """One token after `context` positions; the median of `steps`."""
        assert streams == 1
        self._prefill(context)

        def step() -> None:
            self.llm.n_tokens = context             # drops the positions after it
            self.llm.eval(self.ids[context:context + 1])

        self.cached = context + 1
        return timed(step, steps)

    def _prefill(self, context: int) -> None:
        self.llm.n_tokens = min(self.cached, context)
        if context > self.llm.n_tokens:
            self.llm.eval(self.ids[self.llm.n_tokens:context])
        self.cached = context


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--kind", choices=KINDS, default="Q8_0")
    args = parser.parse_args()
    serve(lambda: Llama(args.model_dir, args.kind))
