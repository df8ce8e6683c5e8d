"""How much of the speech to come the decoder must see: python tools/lookahead_curve.py MODEL_DIR

For each look-ahead: the difference between speech decoded while it is still being made and speech decoded at once, in dB of
the signal. Takes the ids of a seeded utterance in a voice made up by the model.
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
    tokens = int(args.seconds * 50)
    speech = tts.synthesize("How much of the future must be known?", gender="female",
                            sampling=Sampling(seed=1, min_new_tokens=tokens + 40, max_new_tokens=tokens + 40))
    ids, step = speech.semantic_ids, tts.config.bicodec.decoder.samples_per_token
    power = np.mean(speech.samples.astype(np.float64) ** 2)
    print(f"{len(ids)} frames; the receptive field of the decoder is {tts.codec.receptive_field} frames on each side\nlook-ahead  difference, dB")
    for lookahead in (0, 2, 4, 8, 12, 16, 20, 24, 25, 26, 28, 32, 48, tts.codec.receptive_field):
        errors = []
        for first in range(0, len(ids) - lookahead, 5):         # one frame each, as if the ids behind were not yet known
            part = tts.codec.decode_frames(speech.global_ids, ids[:first + 1 + lookahead], first, first + 1)
            errors.append(part - speech.samples[first * step:(first + 1) * step])
        print(f"{lookahead:10d}  {10 * np.log10(np.mean(np.square(errors, dtype=np.float64)) / power + 1e-20):8.1f}")


if __name__ == "__main__":
    main()
