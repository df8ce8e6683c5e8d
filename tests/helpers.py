"""What tests share beside fixtures: paths, a generated model, a single sequence, references."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from hypothesis import settings
from mindspore import Tensor
from scipy.special import erf

from recipes.demo_voice.lm.dataset import AlignedRecording
from sparktts_ms.config_files import read_config
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.ops import ascend
from sparktts_ms.qwen2.sampling import Sampling, filter_logits
from sparktts_ms.runtime import Runtime
from sparktts_ms.text.split import Segment
from sparktts_ms.training.dataset import encode_recordings
from sparktts_ms.training.manifest import ManifestEntry
from sparktts_ms.training.trainer import Trainer, TrainingSettings
from sparktts_ms.voice import Voice

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
PROMPT = ROOT / "examples" / "sparktts" / "prompt.wav"
LONG_TEXT = "This text goes on and on, sentence after sentence. " * 150


def generate_model(folder: Path, *flags: str) -> Path:
    """Write a model directory with seeded random weights (see tools/make_checkpoint.py)."""
    command = [sys.executable, str(ROOT / "tools" / "make_checkpoint.py"), str(folder), *flags]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_until(condition, seconds=30.0):
    """Wait until `condition()` holds; returns whether it does."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def examples(count: int) -> int:
    """Number of hypothesis examples: `count` nightly, fewer in the profile "ci"."""
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
        requests.append({"text": "One of many.", "voice": voice,
                         "sampling": fixed_length(seed, 20 + seed)})
    return requests


def start_utterance(tts, text, **options):
    """Start one utterance of exactly this text; its `sequence` is in the engine."""
    request = SpeechRequest(text, normalize=False, split=False, **options)
    return tts.generator.start(Segment(request.text, 0.0), request, request.sampling)


def logit_ranges(ranges):
    """Ranges [B, 2] of columns, first and last + 1, as LogitsProjection takes them."""
    ranges = ranges.astype(np.int32)
    if ascend.on_ascend():
        return Tensor(ranges[:, :1]), Tensor(ranges[:, 1:] - 1)
    return Tensor(ranges)


class SingleSequence:
    """A sequence in slot 0 without the engine."""

    def __init__(self, model, head):
        self.model = model
        self.head = head
        self.length = 0

    def prefill(self, prompt):
        """Prefill `prompt` without its last id; returns the logits [N - 1, R]."""
        logits = []
        size = self.model.prefill_chunk
        for start in range(0, len(prompt) - 1, size):
            ids = np.asarray(prompt[start:min(start + size, len(prompt) - 1)])
            hidden = self.model.prefill(0, ids, start)
            ranges = logit_ranges(np.tile([[0, len(self.head.ids)]], (len(hidden), 1)))
            chunk = self.head.projection(hidden, ranges).asnumpy()
            logits.append(chunk[:len(ids)])
        self.length = len(prompt) - 1
        return np.concatenate(logits) if logits else None

    def decode_step(self, token):
        """Append one id; returns the logits [R] of the next."""
        rows = np.arange(len(self.head.ids))
        logits = self.head.decode_step(np.array([token]), np.array([self.length]), np.array([0]),
                                       np.array([[0, len(rows)]]))
        self.length += 1
        return logits.candidates(0, rows, 0)[1]


def probabilities(logits, sampling):
    """The distribution to sample from, [N], over all of `logits`."""
    result = np.zeros(len(logits))
    indices, result_at_indices = filter_logits(logits, sampling)
    result[indices] = result_at_indices
    return result


def assert_close(actual, expected, tolerance, scale=0.0):
    """Equal shapes; errors relative to the largest value (at least `scale`) within `tolerance`."""
    actual = actual.asnumpy() if isinstance(actual, Tensor) else actual
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max() / max(scale, np.abs(expected).max())
    assert error <= tolerance, f"relative error {error:.1e}"


def random_normal(random, *shape, scale=1.0):
    return (scale * random.standard_normal(shape)).astype(np.float32)


def run_cell(cell, *arrays):
    """A cell's output for NumPy inputs, as an array."""
    inputs = [None if array is None else Tensor(array) for array in arrays]
    return cell(*inputs).asnumpy()


def gelu(x):
    """The exact form, in float64."""
    x = x.astype(np.float64)
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def rms_norm(x, eps):
    """Of rows [T, C], in float64."""
    x = x.astype(np.float64)
    return x / np.sqrt((x**2).mean(1, keepdims=True) + eps)


TRAINING_SETTINGS = TrainingSettings(
    max_steps=8, learning_rate=1e-3, warmup_steps=2, batch_tokens=400, max_length=512,
    validation_every=2, eval_steps=4, save_steps=3)


def encode_two_recordings(tts, wavs, folder):
    """Two recordings of one speaker, encoded; a third that is missing is left out."""
    entries = [ManifestEntry(wavs / "p16k_mono_3s.wav", "One two.", "a", "female"),
               ManifestEntry(wavs / "p24k_mono_0s5.wav", "Three.", "a", "female"),
               ManifestEntry(wavs / "none.wav", "Missing.")]
    return encode_recordings(entries, tts, folder / "encoded.jsonl")


def make_trainer(model, output_dir, recordings, settings=TRAINING_SETTINGS, extension=None,
                 mode="pynative"):
    output_dir.mkdir(exist_ok=True)
    return Trainer(model, output_dir, read_config(model), recordings, settings,
                   Runtime.start("CPU", mode=mode), extension)


class Killed(Exception):
    """What `killed_after` ends a run with."""


def killed_after(steps):
    """A `progress_bar` for Trainer.train with which the run dies after so many steps."""
    def progress_bar(batches):
        for n, batch in enumerate(batches):
            if n == steps:
                raise Killed
            yield batch
    return progress_bar


PRONUNCIATIONS = {"tip": "t ih p", "toe": "t ow", "through.": "th r uw"}


def spoken_words(text):
    """An aligned recording of words of PRONUNCIATIONS, one a second."""
    words = text.split()
    phones = []
    for n, word in enumerate(words):
        names = PRONUNCIATIONS[word].split()
        for k, name in enumerate(names, 1):
            phones.append((name, n + k / len(names)))
    seconds = len(words)
    return AlignedRecording(
        text, "a", "female", [0] * 32, [7] * 50 * seconds, 200.0, float(seconds),
        word_ends=tuple(float(n + 1) for n in range(seconds)), phones=tuple(phones))


def add_alignment(recording, text="tip toe through"):
    """The recording as if an aligner had found these three words in it."""
    seconds = len(recording.semantic_ids) / 50
    phones = (("pau", 0.02), ("t", 0.05), ("ih", 0.1), ("p", 0.3), ("t", 0.4), ("ow", 0.8),
              ("th", 0.85), ("r", 0.86), ("uw", 0.9), ("pau", 1.0))
    return AlignedRecording(**{
        **vars(recording),
        "text": text,
        "word_ends": (0.3 * seconds, 0.8 * seconds, 0.9 * seconds),
        "phones": tuple((name, end * seconds) for name, end in phones),
    })
