"""The process that runs the networks of one source tree on the stand-in for CANN.

    python -m tools.ascend_worker TREE MODEL_DIR MODE DTYPE

It reads requests and writes answers, one JSON object a line:

    {"section": "decode_step", "do": "count"}               {"launches": 300, ...}
    {"section": "decode_step", "do": "time", "steps": 5}    {"milliseconds": [3.1, ...]}

or {"error": "..."}. TREE is this revision or an older one: `Networks` knows both sets of names.
Sections are loaded and compiled at their first request.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.ascend.log import Tally, tally, variables

WARM_UP = 3                     # calls: the first compiles, the next may still allocate or capture
POSITION = 400                  # of the decode step
TOP_K = 50                      # the default of Sampling
Step = Callable[[int], Any]     # its argument counts the calls


class Networks:
    """Each section of the model as a function, for the revision at `root`."""

    def __init__(self, root: Path, model_dir: Path, mode: str, dtype: str, capture: bool):
        sys.path.insert(0, str(root))
        from sparktts_ms import SparkTTS, runtime

        if hasattr(runtime, "_ascend_count"):
            runtime._ascend_count = lambda: 1       # there is no /dev/davinci*
        options: dict[str, Any] = {"device_target": "Ascend", "mode": mode, "dtype": dtype}
        if capture:
            if "capture" not in inspect.signature(SparkTTS.from_pretrained).parameters:
                raise ValueError("this revision has no kernel-launch capture")
            options["capture"] = True
        self.tts = SparkTTS.from_pretrained(model_dir, **options)
        self.config = self.tts.config
        self.codec = self.tts.codec
        self.rng = np.random.default_rng(0)

    def section(self, name: str) -> Step:
        """The function of a section; loads its networks."""
        return getattr(self, name)()

    def decode_step(self, sequences: int = 1) -> Step:
        owner = self.tts if hasattr(self.tts, "_head") else self.tts.generator
        head = method(owner, "head", "_head")(True)
        run = method(head, "decode_step", "step")
        rows = np.arange(len(head.ids))
        ids = head.ids[:sequences]
        slots = np.arange(sequences)
        ranges = np.tile([0, len(rows)], (sequences, 1))

        def step(n: int) -> None:
            positions = np.full(sequences, POSITION + n % 64)
            logits = run(ids, positions, slots, ranges)
            for index in range(sequences):
                method(logits, "candidates", "of")(index, rows, TOP_K)

        return step

    def decode_step_16(self) -> Step:
        return self.decode_step(16)

    def prefill_chunk(self) -> Step:
        run = method(self.tts.llm, "prefill", "read")
        ids = self.rng.integers(0, 1000, 64)
        return lambda n: run(0, ids, 64 * (n % 8))

    def speaker_encoder(self) -> Step:
        encoder = self.tts if hasattr(self.tts, "mel") else self.tts.voice_encoder
        clip = 0.1 * self.rng.standard_normal(self.config.audio.reference_samples)
        mel = encoder.mel(clip.astype(np.float32))
        run = method(self.codec, "encode_speaker", "global_ids")
        return lambda n: run(mel)

    def wav2vec2(self) -> Step:
        encoder = self.tts if hasattr(self.tts, "features") else self.tts.voice_encoder
        samples = 0.1 * self.rng.standard_normal(40_000).astype(np.float32)     # 2.5 s
        return lambda n: encoder.features(samples)

    def semantic_encoder(self) -> Step:
        features = self.rng.standard_normal((100, self.config.wav2vec2.hidden_size))
        run = method(self.codec, "encode_semantic", "semantic_ids")
        return lambda n: run(features.astype(np.float32))

    def prenet(self) -> Step:
        speaker = self.config.bicodec.speaker_encoder
        global_ids = self.rng.integers(0, speaker.codebook_size, speaker.token_num)
        semantic_ids = self.rng.integers(0, self.config.bicodec.quantizer.codebook_size, 60)
        run = method(self.codec, "condition_frames", "colour")
        return lambda n: run(global_ids, semantic_ids)

    def wave_generator(self) -> Step:
        hidden = self.rng.standard_normal((60, self.config.bicodec.decoder.input_channel))
        run = method(self.codec, "vocode", "generate")
        return lambda n: run(hidden.astype(np.float32))


def method(owner: Any, name: str, older_name: str) -> Callable:
    return getattr(owner, name if hasattr(owner, name) else older_name)


class Measurement:
    """A step, called several times; `wait` waits for the device."""

    def __init__(self, step: Step, wait: Callable[[], None]):
        self.step = step
        self.wait = wait
        self.calls = 0
        for _ in range(WARM_UP):
            self._call()

    def count(self) -> dict[str, Any]:
        """Column -> count of one call, without those of the waiting at its end, which is ours."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "calls.log"
            with variables(STANDIN_LOG=str(log)):
                self._call()
                called = log.read_text(errors="replace").splitlines()
                self.wait()
            waited = log.read_text(errors="replace").splitlines()[len(called):]
        return figures(tally(called), tally(waited))

    def time(self, steps: int) -> list[float]:
        """Milliseconds of each of `steps` calls."""
        milliseconds = []
        for _ in range(steps):
            began = time.perf_counter()
            self._call()
            milliseconds.append(1e3 * (time.perf_counter() - began))
        return milliseconds

    def _call(self) -> None:
        self.step(self.calls)
        self.wait()
        self.calls += 1


def figures(called: Tally, waited: Tally) -> dict[str, Any]:
    """Column -> count, and the launches by operator."""
    return {
        "launches": called.launches,
        "aclop": called.aclop,
        "h2d": called.h2d,
        "d2h": called.d2h,
        "d2d": called.copies["device-device"],
        "d2d_bytes": called.d2d_bytes,
        "syncs": called.syncs - waited.syncs,
        "operators": dict(called.operators.most_common()),
    }


def serve(prepare: Callable[[str], Step], wait: Callable[[], None]) -> None:
    """Answer requests until the standard input ends; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    measurements: dict[str, Measurement] = {}
    for line in sys.stdin:
        request = json.loads(line)
        section = request["section"]
        try:
            if section not in measurements:
                measurements[section] = Measurement(prepare(section), wait)
            if request["do"] == "count":
                answer = measurements[section].count()
            else:
                answer = {"milliseconds": measurements[section].time(request["steps"])}
        except Exception as error:      # whatever MindSpore raises: the other sections go on
            lines = [text for text in str(error).splitlines() if text.strip(" -")]
            answer = {"error": f"{type(error).__name__}: {lines[0] if lines else ''}"}
            print(f"{section}: {type(error).__name__}: {error}", file=sys.stderr)
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("mode")
    parser.add_argument("dtype")
    parser.add_argument("--capture", action="store_true")
    args = parser.parse_args()
    networks = None

    def prepare(section: str) -> Step:
        nonlocal networks
        if networks is None:
            networks = Networks(args.tree, args.model_dir, args.mode, args.dtype, args.capture)
        return networks.section(section)

    def wait() -> None:
        import mindspore

        mindspore.runtime.synchronize()

    serve(prepare, wait)


if __name__ == "__main__":
    main()
