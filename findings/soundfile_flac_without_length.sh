#!/usr/bin/env bash
# Claim: soundfile cannot read a FLAC stream whose header leaves the number of samples open, as every
# encoder that writes to a pipe must leave it (RFC 9639, 8.2: 0 means unknown): soundfile.read fails
# because libsndfile reports 2**63 - 1 frames, although FFmpeg decodes every sample of it, and
# although soundfile reads the same bytes once the number has been filled in.
# Expected: read until the end, as of any stream.
# Seen with soundfile 0.14.0, av 17.1.0, numpy 1.26.4, Python 3.11, 2026-11-28. Fails if that
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet soundfile==0.14.0 av==17.1.0 numpy==1.26.4 2>/dev/null
cat > "$folder/use.py" <<'PYTHON'
import io
import sys

import av
import numpy as np
import soundfile


class Pipe:
    """Takes bytes and cannot go back."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += bytes(data)
        return len(data)


samples = (1000 * np.sin(np.arange(16000) / 20)).astype(np.int16)
pipe = Pipe()
with av.open(pipe, "w", format="flac") as container:
    stream = container.add_stream("flac", rate=16000, layout="mono")
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = 16000
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))

with av.open(io.BytesIO(pipe.data), format="flac") as container:
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
print(f"FFmpeg: {len(decoded)} samples, equal: {np.array_equal(decoded, samples)}")
try:
    print(f"soundfile: {len(soundfile.read(io.BytesIO(pipe.data))[0])} samples")
    failed = False
except Exception as error:
    print(f"soundfile: {type(error).__name__}: {error}")
    failed = True

complete = bytearray(pipe.data)
complete[22:26] = len(samples).to_bytes(4, "big")       # the low 32 bits of the number of samples
filled = soundfile.read(io.BytesIO(bytes(complete)), dtype="int16")[0]
print(f"soundfile, number filled in: equal: {np.array_equal(filled, samples)}")
unknown = pipe.data[22:26] == bytes(4) and pipe.data[21] & 15 == 0
sys.exit(not (unknown and failed and np.array_equal(decoded, samples)
              and np.array_equal(filled, samples)))
PYTHON
"$folder/env/bin/python" "$folder/use.py" || {
    echo "The behaviour has changed."
    exit 1
}
