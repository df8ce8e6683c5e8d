"""What the engine costs at the released dimensions: python -m benchmarks.full_size

Generates the full-size checkpoint once (4 GB, in .cache, random weights of the released shapes), then prints the median
of several runs of each stage, and the peak memory of the process. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def generated_model(folder: Path) -> Path:
    """The full-size checkpoint, made on first use."""
    if not (folder / ".ready").exists():
        print(f"Generating the full-size checkpoint in {folder} (4 GB, once) ...", flush=True)
        subprocess.run([sys.executable, str(ROOT / "tools" / "make_checkpoint.py"), str(folder), "--size", "full"],
                       check=True, stdout=subprocess.DEVNULL)
        (folder / ".ready").touch()
    return folder


def median(action: Callable[[], object], runs: int, warm_up: int = 1) -> float:
    """Median seconds of `runs` calls after `warm_up` others."""
    times = []
    for _ in range(warm_up + runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times[warm_up:])


def measure(model_dir: Path) -> dict[str, float]:
    """Seconds (or milliseconds, gigabytes, as the names say) of every stage."""
    from sparktts_ms import Sampling, SparkTTS

    began = time.perf_counter()
    tts = SparkTTS.from_pretrained(model_dir, device_target="CPU")
    figures = {"load, s": time.perf_counter() - began}
    generator = np.random.default_rng(0)
    noise = generator.standard_normal(96000) * 0.1
    mel = tts.mel(noise.astype(np.float32))

    began = time.perf_counter()
    semantic_ids = tts.codec.semantic_ids(tts.features(noise))
    figures["first prompt of 6 s (loads wav2vec 2.0, compiles), s"] = time.perf_counter() - began
    global_ids = tts.codec.global_ids(mel)
    figures["prompt of 6 s to ids, s"] = median(lambda: (tts.codec.semantic_ids(tts.features(noise)),
                                                         tts.codec.global_ids(mel)), 3, 3)
    tts.release_prompt_encoder()        # as the command line does
    v = tts.vocabulary
    prompt = np.array([v.start_content, *(v.bicodec_semantic[int(i)] for i in np.resize(semantic_ids, 399))])
    speaker = tts.llm.speaker(v.speakable())
    figures["prefill of 400 tokens, s"] = median(lambda: tts.llm.open(prompt), 3, 3)
    figures["one token at 400 positions, ms"] = 1000 * median(lambda: speaker.feed(int(prompt[-1])), 100, 10)

    ids = generator.integers(0, 8192, 250)
    figures["250 frames to waveform, s"] = median(lambda: tts.decode(global_ids=global_ids, semantic_ids=ids), 5, 6)
    figures["50 frames to waveform, s"] = median(lambda: tts.decode(global_ids=global_ids, semantic_ids=ids[:50]), 5, 6)

    tts.synthesize("Hello.", gender="female", sampling=Sampling(seed=0))
    began = time.perf_counter()
    speech = tts.synthesize("Hello.", gender="female", sampling=Sampling(seed=1))
    figures["seconds of work a second of speech, created voice"] = (time.perf_counter() - began) / speech.seconds
    figures["peak memory, GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    figures["graphs compiled"] = len(tts.runtime.graphs)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model_dir", type=Path, help="measure this model instead of the generated one")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    figures = measure(args.model_dir or generated_model(ROOT / ".cache" / "full-model"))
    for name, value in figures.items():
        print(f"{name:55s} {value:10.3g}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
