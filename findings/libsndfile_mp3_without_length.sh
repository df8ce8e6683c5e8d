#!/usr/bin/env bash
# Claim: of an MP3 of variable bit rate without a Xing header (as a stream recorder leaves it),
# libsndfile reads only as many samples as it estimates from the size of the file and the bit rate of
# its first frames, and reports no error; the same bytes through a pipe are read to the end.
# Expected: reading goes on to the end of the file, whatever the estimate was.
# Seen with soundfile 0.14.0 (libsndfile 1.2.2), numpy 1.26.4, Python 3.11, 2026-11-28. Fails if that
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet soundfile==0.14.0 numpy==1.26.4 2>/dev/null
cat > "$folder/read.py" <<'PYTHON'
import io
import os
import sys
import threading

import numpy as np
import soundfile

RATE = 16000
noise = np.random.default_rng(1).normal(0, 0.2, RATE)       # a high bit rate,
silence = np.zeros(9 * RATE)                                # then a low one
encoded = io.BytesIO()
soundfile.write(encoded, np.concatenate([noise, silence]), RATE, format="MP3",
                bitrate_mode="VARIABLE", compression_level=0.5)
content = encoded.getvalue()
# The first frame holds the Xing header instead of sound; leave it out.
second = content.index(content[:2], 4)
assert b"Xing" in content[:second]
path = sys.argv[1]
with open(path, "wb") as file:
    file.write(content[second:])


def count(source):
    """Samples until the end, read in blocks."""
    total = 0
    with soundfile.SoundFile(source) as sound:
        while len(block := sound.read(4096)):
            total += len(block)
    return total


reader, writer = os.pipe()


def feed():
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(content[second:])


thread = threading.Thread(target=feed)
thread.start()
from_pipe = count(reader)
thread.join()
from_file = count(path)
print(f"from the file: {from_file} samples, through a pipe: {from_pipe} samples")
sys.exit(0 if from_file < 0.7 * from_pipe else "The behaviour has changed.")
PYTHON
"$folder/env/bin/python" "$folder/read.py" "$folder/vbr.mp3"
