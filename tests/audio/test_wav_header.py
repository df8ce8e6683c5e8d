"""WAV files whose header does not say how long they are."""

import struct

import numpy as np
import pytest
import soundfile

from sparktts_ms.audio.sound_file import open_sound_file

SAMPLES = np.round(np.random.default_rng(0).uniform(-0.5, 0.5, 20000) * 32768) / 32768


def write(path, **options):
    soundfile.write(path, SAMPLES, 16000, **options)
    return path.read_bytes()


def read(path):
    with open_sound_file(path, 100) as file:
        return np.concatenate(list(file.blocks()))[:, 0]


def with_size(content, size, riff_size=None):
    position = content.index(b"data") + 4
    content = content[:position] + struct.pack("<I", size) + content[position + 4:]
    if riff_size is not None:
        content = content[:4] + struct.pack("<I", riff_size) + content[8:]
    return content


@pytest.mark.parametrize("size", [0, 2, 1000, 39998, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("riff_size", [None, 0, 0xFFFFFFFF])
def test_samples_are_read_to_the_end(tmp_path, size, riff_size):
    """A recorder that was switched off, or a program that wrote into a pipe."""
    path = tmp_path / "recorder.wav"
    path.write_bytes(with_size(write(path), size, riff_size))
    np.testing.assert_array_equal(read(path), SAMPLES)


@pytest.mark.parametrize("chunk", [
    b"LIST" + struct.pack("<I", 4) + b"INFO", b"id3 " + struct.pack("<I", 3) + b"abc",
    b"cue " + struct.pack("<I", 3) + b"abc\0", b"bext" + struct.pack("<I", 0)])
def test_chunks_after_the_data_are_no_samples(tmp_path, chunk):
    path = tmp_path / "tagged.wav"
    path.write_bytes(write(path) + chunk)
    np.testing.assert_array_equal(read(path), SAMPLES)


def test_a_file_without_samples_stays_empty(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), 16000)
    assert path.stat().st_size > 0
    with open_sound_file(path, 100) as file:
        assert not list(file.blocks())


def test_truncated_file(tmp_path):
    path = tmp_path / "cut.wav"
    path.write_bytes(write(path)[:-2001])
    np.testing.assert_array_equal(read(path), SAMPLES[:-1001])


@pytest.mark.parametrize("options", [
    {"format": "RF64"}, {"format": "WAV", "endian": "BIG"}, {"format": "WAVEX"},
    {"format": "W64"}, {"format": "WAV", "subtype": "PCM_24"},
    {"format": "WAV", "subtype": "FLOAT"}])
def test_other_forms(tmp_path, options):
    path = tmp_path / "other"
    write(path, **options)
    np.testing.assert_allclose(read(path), SAMPLES, atol=1e-7)


def test_large_format_without_a_size(tmp_path):
    """RF64 states its sizes in the chunk ds64; a recorder that was switched off leaves zeros."""
    path = tmp_path / "large.wav"
    content = bytearray(write(path, format="RF64"))
    position = content.index(b"ds64") + 8
    content[position:position + 24] = bytes(24)
    path.write_bytes(content)
    np.testing.assert_array_equal(read(path), SAMPLES)
