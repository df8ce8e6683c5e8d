"""What encoding costs: python -m benchmarks.encoding [RECORDING]

Of each format: time of one core in percent of the speech's length, also at another speed and rate;
kbit/s; bytes that the first 0.24 s of speech give; signal-to-noise ratio after decoding by FFmpeg,
99 dB at the most.
"""

import io
import sys
import time
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from sparktts_ms.serving.encoding.encoder import AudioEncoder
from sparktts_ms.serving.encoding.formats import FORMATS

RECORDING = Path(__file__).resolve().parent.parent / "examples" / "sparktts" / "prompt.wav"
RATE = 16000
CHUNK = 3840                # samples, 0.24 s: the first that is generated
SECONDS = 60
OPTIONS = ({}, {"speed": 1.25}, {"sample_rate": 24000}, {"sample_rate": 48000})


def encode(name: str, samples: np.ndarray, **options: float) -> list[bytes]:
    """The bytes that each chunk gives."""
    encoder = AudioEncoder(name, RATE, **options)       # type: ignore[arg-type]
    pieces = [encoder.encode(samples[i:i + CHUNK]) for i in range(0, len(samples), CHUNK)]
    return [*pieces, encoder.finish()]


def cost(name: str, samples: np.ndarray, **options: float) -> float:
    """Percent of the speech's length; the least of three runs."""
    times = []
    for _ in range(3):
        start = time.process_time()
        encode(name, samples, **options)
        times.append(time.process_time() - start)
    return 100 * min(times) / (len(samples) / RATE)


def noise_ratio(name: str, samples: np.ndarray) -> float:
    """Signal-to-noise ratio in dB, at 16 kHz, where the two are most alike."""
    sound = io.BytesIO(b"".join(encode(name, samples, sample_rate=RATE)))
    options = {"format": "s16le", "options": {"sample_rate": str(RATE)}} if name == "pcm" else {}
    with av.open(sound, **options) as file:             # type: ignore[call-overload]
        frames = list(file.decode(audio=0))
    decoded = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    if decoded.dtype == np.int16:
        decoded = decoded / 32768
    decoded = soxr.resample(decoded, frames[0].sample_rate, RATE, "VHQ")
    size = 1 << (len(decoded) + len(samples)).bit_length()
    spectrum = np.fft.rfft(decoded, size) * np.conj(np.fft.rfft(samples, size))
    delay = int(np.argmax(np.fft.irfft(spectrum)[:RATE]))
    noise = decoded[delay:delay + len(samples)] - samples
    return 10 * float(np.log10(np.sum(samples ** 2) / max(np.sum(noise ** 2), 1e-30)))


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else RECORDING
    recording, rate = soundfile.read(path, dtype="float32")
    speech = soxr.resample(recording, rate, RATE)
    samples = np.resize(speech, SECONDS * RATE)
    titles = ["16 kHz", "speed 1.25", "to 24 kHz", "to 48 kHz"]
    print(f"{'':6}{''.join(f'{title:>12}' for title in titles)}"
          f"{'kbit/s':>10}{'first':>8}{'dB':>6}")
    for name in FORMATS:
        costs = [cost(name, samples, **{"sample_rate": RATE, **options}) for options in OPTIONS]
        pieces = encode(name, samples, sample_rate=RATE)
        kilobits = 8 * sum(map(len, pieces)) / SECONDS / 1000
        figures = "".join(f"{value:>10.2f} %" for value in costs)
        print(f"{name:6}{figures}{kilobits:>10.0f}{len(pieces[0]):>8}"
              f"{min(noise_ratio(name, speech), 99):>6.0f}")


if __name__ == "__main__":
    main()
