"""Decodes kinds of files that libsndfile does not read, by FFmpeg (PyAV), in a process of its own.

FFmpeg reads what strangers send in C, so the process is bounded: memory, time and the size of what
it writes. It is given one open file and the name of one demuxer; it opens nothing else.
"""

import importlib.util
import json
import os
import struct
import subprocess
import sys
import tempfile
from typing import BinaryIO, cast

MAX_MEMORY = 2 << 30            # bytes of address space, libraries included
MAX_CPU_SECONDS = 15
MAX_SECONDS = 60                # of wall-clock time
MAX_OUTPUT = 512 << 20          # bytes
MAX_CHANNELS = 32
NO_AUDIO = 3                    # exit status of the process: no audio stream
NOT_DECODED = 4                 # an audio stream that cannot be decoded

COMMAND = "from sparktts_ms.audio.av_decoder import main; main()"


def is_available() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


def decode(file: BinaryIO, demuxer: str, max_seconds: float) -> tuple[BinaryIO | None, int]:
    """The first audio stream of an open file as a temporary WAV of float32 samples, at most
    `max_seconds` of it, and the exit status of the decoder; None where it decoded nothing."""
    output = cast(BinaryIO, tempfile.TemporaryFile())       # noqa: SIM115, the caller closes it
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = json.dumps({"demuxer": demuxer, "max_seconds": max_seconds})
    try:
        status = subprocess.run(
            [sys.executable, "-c", COMMAND, arguments], stdin=file, stdout=output,
            stderr=subprocess.DEVNULL, timeout=MAX_SECONDS, env=environment).returncode
    except subprocess.TimeoutExpired:
        status = NOT_DECODED
    if output.seek(0, os.SEEK_END) <= len(_wav_header(1, 1)):
        output.close()
        return None, status
    output.seek(0)
    return output, status


def main() -> None:
    """The process: demuxes and decodes stdin to stdout."""
    _limit_resources()
    options = json.loads(sys.argv[1])
    sys.exit(_transcode(sys.stdin.buffer, sys.stdout.buffer, **options))


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:         # Windows
        return
    for limit, value in ((resource.RLIMIT_AS, MAX_MEMORY), (resource.RLIMIT_CPU, MAX_CPU_SECONDS),
                         (resource.RLIMIT_FSIZE, MAX_OUTPUT), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))


def _transcode(source: BinaryIO, target: BinaryIO, demuxer: str, max_seconds: float) -> int:
    """Write WAV to `target`; returns the exit status."""
    import av

    av.logging.set_level(av.logging.PANIC)
    remaining = None                # samples
    # The list of protocols is for other files that a file names; there are none to be read.
    options = {"protocol_whitelist": "none"}
    try:
        with av.open(source, "r", demuxer, options=options, metadata_errors="ignore") as container:
            if not container.streams.audio:
                return NO_AUDIO
            stream = container.streams.audio[0]
            stream.codec_context.thread_type = "NONE"
            resampler = None
            shape = ("", "", 0)
            for frame in container.decode(stream):
                if remaining is None:
                    layout = frame.layout
                    rate = frame.sample_rate
                    if not 1 <= layout.nb_channels <= MAX_CHANNELS:
                        return NOT_DECODED
                    remaining = int(max_seconds * rate)
                    target.write(_wav_header(rate, layout.nb_channels))
                changed = (frame.format.name, frame.layout.name, frame.sample_rate)
                if resampler is None or shape != changed:
                    resampler = av.AudioResampler("flt", layout, rate)
                    shape = changed
                frame.pts = None
                for converted in resampler.resample(frame):
                    count = min(converted.samples, remaining)
                    size = 4 * layout.nb_channels * count
                    target.write(bytes(converted.planes[0])[:size])
                    remaining -= count
                if remaining <= 0:
                    break
    except (av.FFmpegError, ValueError, MemoryError, OverflowError):
        pass                        # damaged from here on; what was decoded is kept
    target.flush()
    return 0 if remaining is not None else NOT_DECODED


def _wav_header(rate: int, channels: int) -> bytes:
    """The header of a WAV of float32 samples and unknown length."""
    width = 4 * channels
    header = struct.pack("<4sI4s4sI", b"RIFF", 0xFFFFFFFF, b"WAVE", b"fmt ", 16)
    header += struct.pack("<HHIIHH", 3, channels, rate, rate * width, width, 32)
    return header + struct.pack("<4sI", b"data", 0xFFFFFFFF)
