"""Every kind of file that people have is read, or named; what a file claims is not trusted."""

import importlib.util
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sparktts_ms.audio import av_decoder
from sparktts_ms.audio.recording import read_recording
from sparktts_ms.audio.sound_file import open_sound_file
from sparktts_ms.errors import AudioError
from tests.audio.signals import RATE, read_speech

av = pytest.importorskip("av") if importlib.util.find_spec("av") else None
SPEECH = read_speech("slt_0")
# Suffix -> name of the format, of the codec, and the sample rate that it takes.
BY_FFMPEG = {
    "m4a": ("ipod", "aac", 44100), "mp4": ("mp4", "aac", 44100), "mov": ("mov", "aac", 48000),
    "3gp": ("3gp", "aac", 16000), "webm": ("webm", "libopus", 48000),
    "mka": ("matroska", "aac", 16000), "aac": ("adts", "aac", 16000),
    "wma": ("asf", "wmav2", 44100), "caf": ("caf", "alac", 16000), "ts": ("mpegts", "mp2", 16000),
    "avi": ("avi", "mp2", 44100), "flv": ("flv", "aac", 44100), "wv": ("wv", "wavpack", 16000),
    "ac3": ("ac3", "ac3", 48000), "tta": ("tta", "tta", 16000),
    "ogg": ("ogg", "libopus", 48000), "mp3": ("mp3", "libmp3lame", 44100),
}


def write_by_ffmpeg(path, samples=SPEECH, suffix=None, options=None, video=False):
    """Encode samples [N] at 16 kHz; with `video`, after a video stream."""
    form, codec, rate = BY_FFMPEG[suffix or path.suffix[1:]]
    with av.open(str(path), "w", format=form, options=options or {}) as container:
        if video:
            picture = container.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 96_000
        if video:
            for _ in range(10):
                image = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        resampler = av.AudioResampler(stream.format.name, "mono", rate, stream.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "flt", "mono")
        frame.sample_rate = RATE
        for converted in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


def similarity(samples, expected=SPEECH):
    """The highest normalised correlation over all lags."""
    size = 1 << 18
    spectrum = np.fft.rfft(samples, size) * np.conj(np.fft.rfft(expected, size))
    return np.fft.irfft(spectrum).max() / np.linalg.norm(samples) / np.linalg.norm(expected)


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
@pytest.mark.parametrize("suffix", BY_FFMPEG)
def test_recordings_of_telephones_and_browsers(tmp_path, suffix):
    recording = read_recording(write_by_ffmpeg(tmp_path / f"voice.{suffix}"))
    assert len(recording.samples) / RATE == pytest.approx(len(SPEECH) / RATE, abs=0.15)
    assert similarity(recording.samples) > 0.9


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
@pytest.mark.parametrize("suffix", ["mp4", "mka", "avi", "mov"])
def test_sound_of_a_video(tmp_path, suffix):
    path = write_by_ffmpeg(tmp_path / f"video.{suffix}", video=True)
    assert similarity(read_recording(path).samples) > 0.9


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
def test_the_content_decides_not_the_name(tmp_path):
    path = write_by_ffmpeg(tmp_path / "voice.m4a").rename(tmp_path / "voice.wav")
    assert similarity(read_recording(path).samples) > 0.9
    wav = tmp_path / "wav.m4a"
    soundfile.write(wav, SPEECH, RATE, format="WAV")
    assert similarity(read_recording(wav).samples) > 0.99


@pytest.mark.parametrize("suffix", ["m4a", "webm", "wma", "aac"])
def test_without_pyav_the_kind_and_the_conversion_are_named(tmp_path, monkeypatch, suffix):
    heads = {"m4a": b"\0\0\0\x20ftypM4A ", "webm": b"\x1a\x45\xdf\xa3", "aac": b"\xff\xf1\x50\x80",
             "wma": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9"}
    path = tmp_path / f"voice.{suffix}"
    path.write_bytes(heads[suffix] + bytes(200))
    monkeypatch.setattr(av_decoder, "is_available", lambda: False)
    with pytest.raises(AudioError, match=f"ffmpeg -i FILE.{suffix} FILE.wav") as error:
        read_recording(path)
    assert error.value.code == "needs_pyav" and "PyAV" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("content, name", [
    (b"Creative Voice File\x1a" + bytes(50), "Creative VOC"),
    (b"FORM\0\0\0\x648SVXVHDR" + bytes(80), "IFF"), (b"MThd\0\0\0\6" + bytes(20), "MIDI"),
    (b"#!SILK_V3" + bytes(50), "SILK"), (b"\x02#!SILK_V3" + bytes(50), "SILK"),
    (b"NIST_1A\n   1024\n" + bytes(50), "NIST"), (b"MATLAB 5.0 MAT-file" + bytes(200), "MATLAB"),
    (b"Extended Instrument: x" + bytes(400), "FastTracker"),
    (b"\xf0\x7e\0\1" + bytes(60), "MIDI sample dump"),
])
def test_kinds_that_nobody_records_are_refused_by_name(tmp_path, capfd, content, name):
    path = tmp_path / "old.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=name) as error:
        read_recording(path)
    assert error.value.code == "wrong_kind" and not any(capfd.readouterr())


@pytest.mark.parametrize("content", [
    b"no sound at all", bytes(3000), b"RIFF" + bytes(40), b"fLaC" + bytes(100), b"OggS" + bytes(90),
    b"\xff\xfb\x90\x44" + bytes(300), b"ID3\3\0\0\0\0\x7f\x7f" + bytes(50), b"caff\0\1" + bytes(90),
    b"\0\0\0\x20ftypM4A " + bytes(300), b"\x1a\x45\xdf\xa3" + bytes(300), b"#!AMR\n", b"\x0b\x77",
    b"PK\3\4" + bytes(100), b"<html>", b".snd\0\0\0\x18" + b"\xff" * 30])
def test_what_is_not_audio(tmp_path, capfd, content):
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError) as error:
        read_recording(path)
    assert str(path) in str(error.value) and len(str(error.value).splitlines()) == 1
    assert not any(capfd.readouterr())


@pytest.mark.parametrize("form, subtype", [
    ("WAV", "PCM_U8"), ("WAV", "ULAW"), ("WAV", "MS_ADPCM"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"),
    ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
    ("CAF", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_24")])
def test_kinds_that_libsndfile_reads(tmp_path, monkeypatch, form, subtype):
    monkeypatch.setattr(av_decoder, "is_available", lambda: False)
    path = tmp_path / "voice"
    soundfile.write(path, SPEECH, RATE, format=form, subtype=subtype)
    assert similarity(read_recording(path).samples) > 0.95


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
def test_mp3_of_variable_bit_rate_without_its_length(tmp_path):
    """The first frames are large and the others small, so that an estimate would be far too short.
    All of it is read."""
    random = np.random.default_rng(0)
    samples = np.concatenate([0.3 * random.standard_normal(RATE), np.tile(SPEECH, 4)])
    path = tmp_path / "vbr.mp3"
    with av.open(str(path), "w", format="mp3", options={"write_xing": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=RATE, layout="mono",
                                      options={"flags": "+qscale", "global_quality": "236"})
        resampler = av.AudioResampler("s16p", "mono", RATE, 576)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "flt", "mono")
        frame.sample_rate = RATE
        for converted in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(converted))
    estimate = soundfile.info(path).frames
    assert estimate < 0.9 * len(samples)        # or this is no such file
    with open_sound_file(path, 100) as file:
        assert sum(map(len, file.blocks())) == pytest.approx(len(samples), abs=2000)


@pytest.mark.parametrize("form", ["FLAC", "OGG", "MP3", "WAV", "AIFF"])
def test_truncated_files_are_read_as_far_as_they_go(tmp_path, form):
    path = tmp_path / "cut"
    samples = np.tile(SPEECH, 8)
    soundfile.write(path, samples, RATE, format=form)
    content = path.read_bytes()
    path.write_bytes(content[:len(content) * 3 // 4])
    if form == "OGG" and av is None:
        pytest.skip("libsndfile reads nothing of such a file")
    with open_sound_file(path, 100) as file:
        assert 0.6 < sum(map(len, file.blocks())) / len(samples) < 0.9


def test_flac_that_was_written_into_a_pipe(tmp_path):
    """Its number of samples is 0 in the header, which means unknown."""
    path = tmp_path / "pipe.flac"
    soundfile.write(path, SPEECH, RATE, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0             # the lowest 36 of 64 bits behind the block and frame sizes
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert len(read_recording(path).samples) == len(SPEECH)


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
def test_only_so_much_is_decoded(tmp_path):
    path = write_by_ffmpeg(tmp_path / "long.m4a", np.tile(SPEECH, 20))
    with path.open("rb") as file:
        decoded, _ = av_decoder.decode(file, "mov", 3.0)
    with decoded:
        assert soundfile.info(decoded).frames == 3 * 44100


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
def test_a_decoder_that_takes_too_long_or_dies_is_an_error(tmp_path, monkeypatch):
    path = write_by_ffmpeg(tmp_path / "voice.m4a")
    monkeypatch.setattr(av_decoder, "COMMAND", "while True: pass")
    monkeypatch.setattr(av_decoder, "MAX_SECONDS", 0.5)
    with pytest.raises(AudioError, match="cannot be decoded"):
        read_recording(path)
    monkeypatch.setattr(av_decoder, "COMMAND", "import os; os.abort()")
    with pytest.raises(AudioError, match="cannot be decoded"):
        read_recording(path)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_the_decoder_has_little_memory_and_time():
    command = ("from sparktts_ms.audio import av_decoder as d; d._limit_resources(); import "
               "resource as r; print(r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_CPU)[0]); "
               "bytearray(3 << 30)")
    result = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert result.stdout.split() == [str(av_decoder.MAX_MEMORY), str(av_decoder.MAX_CPU_SECONDS)]
    assert "MemoryError" in result.stderr


@pytest.mark.skipif(av is None, reason="PyAV is not installed")
def test_no_other_file_is_opened(tmp_path):
    """A playlist or a list of files to join is no sound, whatever demuxers could make of it."""
    soundfile.write(tmp_path / "secret.wav", SPEECH, RATE)
    for content in (f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n",
                    f"#EXTM3U\n#EXTINF:3,\n{tmp_path}/secret.wav\n"):
        path = tmp_path / "list.m4a"
        path.write_text(content)
        with pytest.raises(AudioError, match="not audio"):
            read_recording(path)


def test_header_that_claims_the_world(tmp_path):
    """1024 channels at 768 kHz, and a few bytes."""
    form = struct.pack("<HHIIHH", 1, 1024, 768_000, 768_000 * 2048, 2048, 16)
    path = tmp_path / "huge.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16)
                     + form + b"data" + struct.pack("<I", 0xFFFFFFFF) + bytes(4096))
    with pytest.raises(AudioError):
        read_recording(path)
