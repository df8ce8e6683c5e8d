"""WAV files and streams: what is written is what a reader gets."""

import io
import struct

import numpy as np
import pytest
import soundfile

from sparktts_ms.audio.wav import WavStream, encode_wav, write_wav
from sparktts_ms.errors import OutputError

SAMPLES = np.array([0.0, 0.5, -0.5, 1.5, -1.5, 1.6 / 32768], np.float32)
PCM = [0, 16384, -16384, 32767, -32768, 2]


def test_encode_wav_rounds_and_clips():
    pcm, rate = soundfile.read(io.BytesIO(encode_wav(SAMPLES, 16000)), dtype="int16")
    assert rate == 16000
    assert pcm.tolist() == PCM


def test_write_wav_refuses_nan(tmp_path):
    with pytest.raises(OutputError, match="NaN"):
        write_wav(tmp_path / "a.wav", np.array([np.nan]), 16000)
    assert not list(tmp_path.iterdir())


def test_wav_stream_has_a_header_of_unknown_length():
    file = io.BytesIO()
    stream = WavStream(file, 16000, wav=True)
    stream.write(SAMPLES[:2])
    stream.write(SAMPLES[2:])
    header = file.getvalue()[:44]
    assert header[:4] == b"RIFF" and header[8:16] == b"WAVEfmt " and header[36:40] == b"data"
    assert struct.unpack("<HHIIHH", header[20:36]) == (1, 1, 16000, 32000, 2, 16)
    assert header[4:8] == header[40:44] == b"\xff\xff\xff\xff"
    assert np.frombuffer(file.getvalue()[44:], "<i2").tolist() == PCM


def test_pcm_stream_has_no_header():
    file = io.BytesIO()
    WavStream(file, 16000, wav=False).write(SAMPLES)
    assert np.frombuffer(file.getvalue(), "<i2").tolist() == PCM
