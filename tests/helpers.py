"""What tests share beside fixtures: paths, a generated model, a sequence that is fed by hand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import settings
from mindspore import Tensor

from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.qwen2.language_model import PREFILL_CHUNK
from sparktts_ms.qwen2.sampling import Sampling, filter_logits
from sparktts_ms.text.split import Segment
from sparktts_ms.voice import Voice

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"


def generate_model(folder: Path, *flags: str) -> Path:
    """Write a seeded random-weight model directory in the released layout (see tools/make_checkpoint.py)."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "make_checkpoint.py"), str(folder), *flags],
                   check=True, stdout=subprocess.DEVNULL)
    return folder


def examples(count: int) -> int:
    """hypothesis examples of a test that needs `count` of them nightly; fewer in the profile "ci"."""
    return max(10, count * settings().max_examples // 100)


def fixed_length(seed: int, tokens: int = 60) -> Sampling:
    """Sampling of exactly so many tokens."""
    return Sampling(seed=seed, min_new_tokens=tokens, max_new_tokens=tokens)


def mixed_requests() -> list[dict]:
    """Arguments of 21 utterances of every kind, of different lengths."""
    random = np.random.default_rng(3)
    voice = Voice(random.integers(0, 4096, 32))
    continued = Voice(random.integers(0, 4096, 32), random.integers(0, 8192, 120), "said")
    unconstrained = Sampling(seed=5, max_new_tokens=80, constrained=False)
    requests = [
        {"text": "A generated voice.", "gender": "female", "sampling": fixed_length(1, 90)},
        {"text": "Cloned.", "voice": voice, "sampling": fixed_length(2)},
        {"text": "Another " * 60, "voice": voice, "sampling": fixed_length(3, 30)},
        {"text": "Continued.", "voice": continued, "sampling": fixed_length(4, 75)},
        {"text": "Free.", "gender": "male", "sampling": unconstrained},
    ]
    for seed in range(6, 22):
        requests.append({"text": "One of many.", "voice": voice, "sampling": fixed_length(seed, 20 + seed)})
    return requests


def start_utterance(tts, text, **options):
    """Start one utterance of exactly this text; its `sequence` is in the engine."""
    request = SpeechRequest(text, normalize=False, split=False, **options)
    return tts.generator.start(Segment(request.text, 0.0), request, request.sampling)


class OneSequence:
    """A sequence in slot 0, fed by hand."""

    def __init__(self, model, head):
        self.model, self.head, self.length = model, head, 0

    def open(self, prompt):
        """Read all of `prompt` but its last id; returns the logits [N - 1, R] of every position."""
        logits, everything = [], np.tile(np.int32([[0, len(self.head.ids)]]), (PREFILL_CHUNK, 1))
        for start in range(0, len(prompt) - 1, PREFILL_CHUNK):
            ids = np.asarray(prompt[start:min(start + PREFILL_CHUNK, len(prompt) - 1)])
            states = self.model.prefill(0, ids, start)
            logits.append(self.head.projection(states, Tensor(everything[:len(states)])).asnumpy()[:len(ids)])
        self.length = len(prompt) - 1
        return np.concatenate(logits) if logits else None

    def feed(self, token):
        """Append one id; returns the logits [R] of what may follow."""
        rows = np.arange(len(self.head.ids))
        scores = self.head.decode_step(np.array([token]), np.array([self.length]), np.array([0]), np.array([[0, len(rows)]]))
        self.length += 1
        return scores.candidates(0, rows, 0)[1]


def probabilities(logits, sampling):
    """What is drawn from, as a distribution [N] over all of `logits`."""
    kept, weights = filter_logits(logits, sampling)
    result = np.zeros(len(logits))
    result[kept] = weights
    return result
