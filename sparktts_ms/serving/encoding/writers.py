"""Samples as bytes, one class for each library that writes them.

A writer of a stream returns bytes as soon as there are any, and its header states no length. One
that is not returns all bytes at the end, and the header states what the format can. Samples are
float32 [N] in [-1, 1]; what exceeds is clipped.
"""

import io
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import soundfile

from sparktts_ms.audio.wav import quantize, wav_header
from sparktts_ms.serving.encoding.formats import AudioFormat


class Writer(Protocol):
    """What the bytes of one sound file come from."""

    def write(self, samples: np.ndarray) -> bytes:
        """Bytes that are ready, perhaps none."""

    def finish(self) -> bytes:
        """The last bytes."""


class PcmWriter:
    """16-bit little-endian samples without a header."""

    def __init__(self, streamed: bool):
        self._sink = _Stream() if streamed else _File()

    def write(self, samples: np.ndarray) -> bytes:
        self._sink.write(quantize(samples).tobytes())
        return self._sink.take()

    def finish(self) -> bytes:
        return self._sink.rest()


class WavWriter:
    """The same with a header; that of a stream states the largest length."""

    def __init__(self, sample_rate: int, streamed: bool):
        self._rate = sample_rate
        self._streamed = streamed
        self._pcm = PcmWriter(streamed)
        self._header = wav_header(sample_rate) if streamed else b""

    def write(self, samples: np.ndarray) -> bytes:
        header, self._header = self._header, b""
        return header + self._pcm.write(samples)

    def finish(self) -> bytes:
        if self._streamed:
            return self._header
        pcm = self._pcm.finish()
        return wav_header(self._rate, len(pcm) // 2) + pcm


class PyAvWriter:
    """A format that FFmpeg encodes and puts into its container.

    Encoders hold back a frame or two, 20 to 130 ms. Opus, flac, and mp3 that is not streamed have
    fields by which decoders find the exact samples. A stream of mp3 has none: what encoder and
    decoder delay it by, 1105 samples, comes before the speech; 529 below 32 kHz, where the first
    frame is left out, which is all delay. aac has none: 1024 samples come before the speech.
    """

    def __init__(self, form: AudioFormat, sample_rate: int, streamed: bool):
        import av

        self._frame = av.AudioFrame
        self._rate = sample_rate
        self._sample_format = form.sample_format
        self._sink = _Stream() if streamed else _File()
        options = {**form.container_options, **(form.stream_options if streamed else {})}
        self._container = av.open(self._sink, "w", format=form.container, options=options)
        stream: Any = self._container.add_stream(form.codec, rate=sample_rate,
                                                 options=dict(form.codec_options))
        stream.layout = "mono"
        stream.format = form.sample_format
        if form.bit_rate:
            stream.bit_rate = min(form.bit_rate, 4 * sample_rate)
        self._stream = stream
        self._received = 0
        leaves_out = streamed and form.codec == "libmp3lame" and sample_rate < 32000
        self._skipped_packets = 1 if leaves_out else 0
        self._container.start_encoding()

    def write(self, samples: np.ndarray) -> bytes:
        if len(samples):
            is_integer = self._sample_format == "s16"
            samples = quantize(samples) if is_integer else np.clip(samples, -1, 1)
            frame = self._frame.from_ndarray(samples[None], self._sample_format, "mono")
            frame.sample_rate = self._rate
            frame.time_base = Fraction(1, self._rate)
            frame.pts = self._received
            self._received += len(samples)
            self._mux(frame)
        return self._sink.take()

    def finish(self) -> bytes:
        self._mux(None)
        self._container.close()
        return self._sink.rest()

    def __del__(self) -> None:
        # Where a client left in the middle: FFmpeg's objects refer to each other, and keep memory
        # and two threads until the garbage collector comes by.
        if hasattr(self, "_container"):
            self._container.close()

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            if self._skipped_packets:
                self._skipped_packets -= 1
            else:
                self._container.mux(packet)


class SoundFileWriter:
    """A format that libsndfile encodes; in a stream it holds back up to a second."""

    def __init__(self, form: AudioFormat, sample_rate: int, streamed: bool):
        assert form.libsndfile is not None
        kind, subtype = form.libsndfile
        self._sink = _RewoundStream() if streamed else _File()
        self._file = soundfile.SoundFile(self._sink, "w", sample_rate, 1, subtype, format=kind)

    def write(self, samples: np.ndarray) -> bytes:
        self._file.write(np.clip(samples, -1, 1))
        return self._sink.take()

    def finish(self) -> bytes:
        self._file.close()
        return self._sink.rest()


class _Stream:
    """A file whose bytes are taken as they come; what is later written over them is lost."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._taken = 0
        self._position = 0

    def write(self, piece: bytes) -> int:
        begin = self._position - self._taken
        if begin >= 0:
            self._bytes[begin:begin + len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def take(self) -> bytes:
        """The bytes since the last call."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        self._taken += len(taken)
        return taken

    rest = take


class _RewoundStream(_Stream):
    """The same for libsndfile, which goes back to the header in the end."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position,
                  io.SEEK_END: self._taken + len(self._bytes)}
        self._position = starts[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        return b""


class _File(io.BytesIO):
    """A file whose bytes are taken when it is complete."""

    def take(self) -> bytes:
        """Nothing yet."""
        return b""

    def rest(self) -> bytes:
        """All bytes."""
        return self.getvalue()
