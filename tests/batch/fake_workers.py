"""Workers without a model, and `cli.batch` with them: python -m tests.batch.fake_workers ARGUMENTS

What a line gives follows from its request. SPOKEN_LOG names a file to which each text is appended
when it is spoken, LINE_SECONDS says how long a line takes, PEAK_FILE where the peak of memory goes.
"""

import hashlib
import os
import resource
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np

import cli.batch
from sparktts_ms.batch.work import SpokenLine
from sparktts_ms.errors import NoSpeech
from sparktts_ms.generation.request import SpeechRequest
from sparktts_ms.voice import Voice

CAPACITY = 24


def fake_speech(request, num_ids=10):
    """What the fake workers give for a request."""
    digest = hashlib.sha256(f"{request.text} {request.sampling.seed}".encode()).digest()
    semantic_ids = np.resize(np.frombuffer(digest, np.uint8), num_ids).astype(np.int32)
    return SpokenLine(b"RIFF" + digest, 0.02 * num_ids, np.arange(32, dtype=np.int32),
                      semantic_ids, True)


class FakeWorkers:
    """Speaks in another order than it was asked: the shortest text of those that wait. A text
    "silence" fails, "interrupt" is Ctrl-C."""

    capacity = CAPACITY

    def __init__(self, line_seconds=0.0, log=None):
        self.line_seconds = line_seconds
        self.log = log
        self.submitted = []             # all requests
        self.voices_made = []
        self.most = 0                   # requests at a time
        self.closed = False
        self._queue = []
        self._voices = deque()

    def submit(self, key, work):
        if isinstance(work, SpeechRequest):
            self.submitted.append(work)
            if len(self.submitted) > 10_000:        # a long test must not measure this list
                self.submitted.clear()
            self._queue.append((key, work))
            self.most = max(self.most, len(self._queue))
        else:
            self.voices_made.append(work)
            self._voices.append((key, Voice(np.arange(32, dtype=np.int32))))

    def finished(self):
        if self._voices:
            return [self._voices.popleft()]
        if not self._queue:
            return []
        if self.line_seconds:
            time.sleep(self.line_seconds)
        key, request = min(self._queue, key=lambda item: len(item[1].text))
        self._queue.remove((key, request))
        if self.log is not None:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(request.text + "\n")
        if request.text == "interrupt":
            raise KeyboardInterrupt
        if request.text == "silence":
            return [(key, NoSpeech("The model ended before it spoke.", code="no_speech"))]
        return [(key, fake_speech(request))]

    def close(self):
        self.closed = True


if __name__ == "__main__":
    cli.batch.open_workers = lambda args: FakeWorkers(
        float(os.environ.get("LINE_SECONDS", 0)), os.environ.get("SPOKEN_LOG"))
    status = cli.batch.main()
    if "PEAK_FILE" in os.environ:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        Path(os.environ["PEAK_FILE"]).write_text(str(peak))
    sys.exit(status)
