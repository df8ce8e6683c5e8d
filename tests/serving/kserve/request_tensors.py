"""Requests of tests: short, with a seed, and a reference that is the same for all."""

import numpy as np

SHORT = {"seed": 1, "max_new_tokens": 60}       # 60 tokens: 1.2 s
GENERATED = {"gender": "female", "seed": 1, "max_new_tokens": 100}     # voice and speech


def reference(seconds=2.0, seed=0):
    """Noise [N] float32 that rises and falls as syllables do."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16000)) / 16000
    noise = random.normal(0, 0.1, len(time)) * (1 + np.sin(2 * np.pi * 4 * time))
    return noise.astype(np.float32)


def arrays(text="Hello.", samples=None, transcript="", padding=0):
    """The arrays of one row of spark_tts by name."""
    samples = reference() if samples is None else samples
    padded = np.concatenate([samples, np.zeros(padding, np.float32)])
    return {
        "reference_wav": padded[np.newaxis],
        "reference_wav_len": np.array([[len(samples)]], np.int32),
        "reference_text": np.array([[transcript]], object),
        "target_text": np.array([[text]], object),
    }


def inputs(protocol, values, **options):
    """InferInputs of tritonclient.grpc or .http."""
    types = {"f": "FP32", "i": "INT32", "O": "BYTES"}
    result = []
    for name, array in values.items():
        tensor = protocol.InferInput(name, list(array.shape), types[array.dtype.kind])
        tensor.set_data_from_numpy(array, **options)
        result.append(tensor)
    return result
