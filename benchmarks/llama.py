"""The worker of llama.cpp: python -m benchmarks.llama MODEL_DIR

The language model in Q8_0, 8 bits a weight as ours with int8. The file is written into the model directory on first use.
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

from benchmarks.worker import Measures, serve, timed

CAPACITY = 4096     # positions


class Llama(Measures):
    def __init__(self, model_dir: Path):
        import llama_cpp

        file = model_dir / "LLM-Q8_0.gguf"
        if not file.exists():           # made in a process of its own, whose memory is not ours
            importlib.import_module("gguf")
            subprocess.run([sys.executable, "-m", "benchmarks.gguf_file", model_dir / "LLM", file], check=True)
        threads = os.cpu_count() or 1
        began = time.perf_counter()
        self.llm = llama_cpp.Llama(str(file), n_ctx=CAPACITY, n_threads=threads, n_threads_batch=threads, verbose=False)
        self.about = {"seconds": time.perf_counter() - began, "versions": {"llama_cpp": llama_cpp.__version__}}
        self.ids = np.random.default_rng(0).integers(155761, 163953, CAPACITY).tolist()     # speech
        self.filled = 0

    def prefill(self, context: int) -> dict[str, float]:
        self.filled = 0
        return timed(lambda: self._read(context))

    def decode(self, context: int, streams: int, steps: int) -> dict[str, float]:
        """One token after `context` positions; the median of `steps`."""
        assert streams == 1
        self._read(context)

        def step() -> None:
            self.llm.n_tokens = context             # forgets what came behind it
            self.llm.eval(self.ids[context:context + 1])

        self.filled = context + 1
        return timed(step, steps)

    def _read(self, context: int) -> None:
        self.llm.n_tokens = min(self.filled, context)
        if context > self.llm.n_tokens:
            self.llm.eval(self.ids[self.llm.n_tokens:context])
        self.filled = context


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir", type=Path)
    args = parser.parse_args()
    serve(lambda: Llama(args.model_dir))
