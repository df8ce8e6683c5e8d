#!/usr/bin/env bash
# Claim: FFmpeg's AAC encoder with aac_coder=fast, the quick choice for a stream, damages plain loud
# sound: a sine of 200 Hz at 0.9 of full scale, 16 kHz, 64 kbit/s, comes back with a signal-to-noise
# ratio below 15 dB, where aac_coder=twoloop at the same rate keeps more than 25 dB.
# Expected: a faster search for the scale factors costs a few dB, not the vowels.
# Seen with av 17.1.0 (its own FFmpeg), numpy 1.26.4, Python 3.11, 2026-11-28. Fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet av==17.1.0 numpy==1.26.4 2>/dev/null
cat > "$folder/use.py" <<'PYTHON'
import io
import sys

import av
import numpy as np

RATE = 16000
sine = (0.9 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE)).astype(np.float32)


def encoded(coder):
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=64000,
                                      options={"aac_coder": coder})
        for begin in range(0, len(sine), 1024):
            block = np.ascontiguousarray(sine[None, begin:begin + 1024])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate = RATE
            frame.pts = begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def decoded(data):
    with av.open(io.BytesIO(data), format="aac") as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def signal_to_noise(coder):
    sound = decoded(encoded(coder))[4096:4096 + RATE]       # not its begin and end
    time = np.arange(len(sound)) / RATE
    basis = np.stack([np.sin(2 * np.pi * 200 * time), np.cos(2 * np.pi * 200 * time)], 1)
    tone = basis @ np.linalg.lstsq(basis, sound, rcond=None)[0]
    return 10 * np.log10(np.sum(tone ** 2) / np.sum((sound - tone) ** 2))


fast, twoloop = signal_to_noise("fast"), signal_to_noise("twoloop")
print(f"signal-to-noise ratio: fast {fast:.1f} dB, twoloop {twoloop:.1f} dB")
sys.exit(not (fast < 15 and twoloop > 25))
PYTHON
"$folder/env/bin/python" "$folder/use.py" || {
    echo "The behaviour has changed."
    exit 1
}
