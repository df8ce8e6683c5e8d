"""How many following frames the decoder must see: python tools/lookahead_curve.py MODEL_DIR

For each lookahead: the difference, in dB of the signal, between speech decoded with only so many
frames after each frame and speech decoded in one pass. Uses the ids of a seeded utterance in a
generated voice.
"""

import argparse
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="of speech")
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from sparktts_ms import Sampling, SparkTTS

    tts = SparkTTS.from_pretrained(args.model_dir)
    tokens = int(args.seconds * 50) + 40
    sampling = Sampling(seed=1, min_new_tokens=tokens, max_new_tokens=tokens)
    speech = tts.synthesize(
        "How much of the future must be known?", gender="female", sampling=sampling)
    ids = speech.semantic_ids
    frame = tts.config.bicodec.decoder.samples_per_token
    power = np.mean(speech.samples.astype(np.float64) ** 2)
    receptive_field = tts.codec.receptive_field
    print(f"{len(ids)} frames; the receptive field is {receptive_field} frames on each side")
    print("lookahead  difference, dB")
    for lookahead in sorted({0, 2, 4, 8, 12, 16, 20, 24, 25, 26, 28, 32, 48, receptive_field}):
        errors = []
        for first in range(0, len(ids) - lookahead, 5):
            known = ids[:first + 1 + lookahead]
            samples = tts.codec.decode_frames(speech.global_ids, known, first, first + 1)
            errors.append(samples - speech.samples[first * frame:(first + 1) * frame])
        error = np.mean(np.square(errors, dtype=np.float64)) / power
        print(f"{lookahead:9d}  {10 * np.log10(error + 1e-20):8.1f}")


if __name__ == "__main__":
    main()
