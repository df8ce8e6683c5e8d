"""A service whose speech is silence of a known length, made as fast as its text says.

"fast ...": ten chunks at once. "slow ...": ten chunks, 0.2 s each. "long ...": two thousand chunks,
5 ms each. "endless ...": ten chunks, 60 s each but the first. "stuck ...": the step never ends.
Chunks have 0.1 s; each has the process's id as the first sample, so that a client knows who spoke.
"""

import errno
import os
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from sparktts_ms.errors import AudioError, InputError
from sparktts_ms.voice import Voice

SAMPLE_RATE = 16000
NUM_CHUNKS = 10
LONG_CHUNKS = 2000
CHUNK = 1600


class FakeJob:
    def __init__(self, text, on_change):
        self.start_time = time.perf_counter()
        self.usage = (len(text), 0)
        self.cancelled = False
        self._queue = SimpleQueue()
        self._on_change = on_change
        self._text = text
        threading.Thread(target=self._speak, daemon=True).start()

    def _speak(self):
        is_long = self._text.startswith("long")
        for number in range(LONG_CHUNKS if is_long else NUM_CHUNKS):
            if is_long:
                time.sleep(0.005)
            if self._text.startswith("endless") and number:
                time.sleep(60)
            elif self._text.startswith("slow"):
                time.sleep(0.2)
            if self.cancelled:
                break
            self._queue.put(chunk())
            self._on_change()
        self._queue.put(None)
        self._on_change()

    def read_nowait(self):
        samples = self._queue.get_nowait()
        if samples is None:
            self._queue.put(None)
        return samples

    def cancel(self):
        self.cancelled = True


class FakeService:
    sample_rate = SAMPLE_RATE
    num_slots = 16
    languages = ("en",)

    def __init__(self):
        self.codec_config = None
        self.stuck_seconds = 0.0
        self.jobs = []
        self.encoded = []

    @property
    def num_slots_used(self):
        return sum(not job.cancelled for job in self.jobs)

    def warm_up(self):
        pass

    def submit(self, request, *, chunks, keep, max_unread_seconds, on_change):
        if "refused" in request.text:
            raise InputError("This text is refused.", "Send another one.", code="too_long")
        if "broken" in request.text:
            raise ValueError("It broke.\nIn two lines.")
        if "stuck" in request.text:
            self.stuck_seconds = 1e6
            time.sleep(600)
        job = FakeJob(request.text, on_change)
        self.jobs.append(job)
        return job

    def generate_voices(self, descriptions):
        return [voice(number) for number, _ in enumerate(descriptions)]

    def encode_voice(self, path, transcript=None):
        content = Path(path).read_bytes()
        if b"noise" in content:
            raise AudioError("{subject} is no speech.", code="not_audio")
        if b"broken" in content:
            raise ValueError("It broke.\nIn two lines.")
        if b"full disk" in content:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.encoded.append(content)
        return voice(os.getpid() % 4096)

    def tokenize(self, samples):
        return np.zeros(32, np.int32), np.arange(len(samples) // 320, dtype=np.int32)

    def decode(self, global_ids, semantic_ids):
        yield np.zeros(320 * len(semantic_ids), np.float32)


def chunk():
    samples = np.zeros(CHUNK, np.float32)
    samples[0] = os.getpid() % 30000 / 32768
    return samples


def voice(number):
    return Voice(np.full(32, number, np.int32))
