"""The worker of PyTorch and transformers: python -m benchmarks.pytorch MODEL_DIR --dtype DTYPE

The language model as `generate` runs it, greedy, over the full vocabulary; the codec and wav2vec
2.0 in float32 only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.worker import Engine, serve, timed


class TokenTimer:
    """A streamer for `generate` that records when it gets the prompt and each new token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, ids: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


class PyTorch(Engine):
    def __init__(self, model_dir: Path, dtype: str):
        import torch
        import transformers

        torch.set_num_threads(os.cpu_count() or 1)
        torch.set_grad_enabled(False)
        torch.manual_seed(0)
        self.torch = torch
        self.transformers = transformers
        self.model_dir = model_dir
        began = time.perf_counter()
        self.llm = transformers.AutoModelForCausalLM.from_pretrained(
            model_dir / "LLM", dtype=getattr(torch, dtype)).eval()
        self.about = {
            "seconds": time.perf_counter() - began,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__}}
        self.wav2vec2 = None
        self.codec = None

    def encode(self) -> dict[str, float]:
        """wav2vec 2.0 with all its layers on 6 s, the greater part of encoding a recording."""
        if self.wav2vec2 is None:
            self.wav2vec2 = self.transformers.Wav2Vec2Model.from_pretrained(
                self.model_dir / "wav2vec2-large-xlsr-53", dtype=self.torch.float32).eval()
        samples = self.torch.randn(1, 96000)

        def encode() -> object:
            hidden = self.wav2vec2(samples, output_hidden_states=True).hidden_states
            return (hidden[11] + hidden[14] + hidden[16]) / 3

        return timed(encode)

    def prefill(self, context: int) -> dict[str, float]:
        """Until the first token."""
        times = self._generate(context, 1)
        return {"seconds": times[1] - times[0]}

    def decode(self, context: int, streams: int, steps: int) -> dict[str, float]:
        """One token after `context` positions and those before it; the median of `steps`."""
        times = self._generate(context, steps + 1, streams)[1:]
        seconds = [after - before for before, after in pairwise(times)]
        return {"seconds": statistics.median(seconds)}

    def wave(self, frames: int) -> dict[str, float]:
        """Random features of `frames` frames to their waveform."""
        from benchmarks.pytorch_codec import FEATURE_DIM, SPEAKER_DIM, WaveDecoder

        if self.codec is None:
            self.codec = WaveDecoder().eval()
        z = self.torch.randn(1, frames, FEATURE_DIM)
        speaker = self.torch.randn(1, SPEAKER_DIM)
        return timed(lambda: self.codec(z, speaker))

    def _generate(self, context: int, tokens: int, streams: int = 1) -> list[float]:
        """Times of the prompt and of each token."""
        timer = TokenTimer()
        ids = self.torch.randint(155761, 163953, (streams, context))        # speech
        self.llm.generate(
            ids, attention_mask=self.torch.ones_like(ids), streamer=timer, do_sample=False,
            eos_token_id=None, pad_token_id=0, max_new_tokens=tokens)
        return timer.times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    args = parser.parse_args()
    serve(lambda: PyTorch(args.model_dir, args.dtype))
