"""What the networks should compute: arrays that are stored with a model, or made on the CPU.

The inputs are a synthetic recording and a sentence; the output of one network is the input of the
next, so that each is compared by itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from sparktts_ms.files import atomic_write

FILE_NAME = "reference.npz"             # in a model directory
TEXT = "The doctor is in."
SAMPLE_RATE = 16000
FRAMES = 50                             # of the prenet and the wave generator
TOKENS = 24                             # that the language model generates
TOP = 64                                # logits that are kept of each of them
FINGERPRINT = "fingerprint"
Arrays = dict[str, np.ndarray]


def recording(seconds: float) -> np.ndarray:
    """A voice-like sound [N], float32: gliding harmonics that swell four times a second."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * (140 * time + 12 * np.sin(2 * np.pi * 0.7 * time))
    wave = np.zeros_like(time)
    for harmonic in range(1, 21):
        wave += np.sin(harmonic * phase) / harmonic
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time)
    return (0.1 * swell * wave).astype(np.float32)


def fingerprint(model_dir: Path) -> str:
    """A hash of the weights and configuration that a reference belongs to."""
    digest = hashlib.sha256()
    for path in sorted(model_dir.rglob("*")):
        if path.suffix in (".safetensors", ".bin", ".json", ".yaml"):
            digest.update(path.relative_to(model_dir).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def save(path: Path, arrays: Arrays, model_dir: Path) -> None:
    """Write arrays that were computed with a model. Raises OutputError."""
    with atomic_write(path, overwrite=True) as file:
        np.savez_compressed(file, **arrays, **{FINGERPRINT: np.array(fingerprint(model_dir))})


def load(path: Path) -> Arrays:
    """Read what `save` wrote. Raises OSError or ValueError."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def is_valid(path: Path, model_dir: Path) -> bool:
    """Whether the file holds a reference for just this model."""
    try:
        arrays = load(path)
        return str(arrays.get(FINGERPRINT, "")) == fingerprint(model_dir)
    except Exception:           # zipfile and NumPy raise many kinds for a damaged file
        return False
