"""The cache of packed weights: what it gives back, and what it does with files that are not its
own, not whole, or too many."""

import errno
import json
import os
import shutil
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from sparktts_ms.bicodec.codec import BiCodec
from sparktts_ms.config_files import read_config
from sparktts_ms.ops.native.huge_pages import allocate_huge
from sparktts_ms.qwen2.language_model import LanguageModel
from sparktts_ms.runtime import Runtime
from sparktts_ms.wav2vec2.encoder import load_wav2vec2
from sparktts_ms.wav2vec2.features import FeatureExtractor
from sparktts_ms.weights import array_file, cache_folder, weight_cache
from sparktts_ms.weights.checkpoint import find_weights
from sparktts_ms.weights.safetensors_file import WeightsFile
from sparktts_ms.weights.weight_cache import VARIABLE, WeightCache
from tests.helpers import generate_model

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 255], np.uint8),
          np.zeros((0, 4), np.float32), np.arange(5, dtype=np.int32)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def cache(folder):
    return WeightCache(folder, "1")


def keep(cache, source, arrays=ARRAYS, *settings):
    key = cache.key([source], *settings)
    with cache.writer(key) as writer:
        for array in arrays:
            writer.append(array)
    return key


def files(folder):
    return sorted(path for path in folder.iterdir() if path.suffix == ".weights")


# Files

@pytest.mark.parametrize("allocate", [None, allocate_huge], ids=["mapped", "read"])
@pytest.mark.parametrize("threads", [1, 3])
def test_arrays_come_back(folder, source, allocate, threads):
    cache = WeightCache(folder, "1", threads)
    large = np.random.default_rng(0).integers(0, 255, 5 << 20, np.uint8)    # several blocks
    key = keep(cache, source, [*ARRAYS, large])
    read = cache.read(key, allocate)
    for array, expected in zip(read, [*ARRAYS, large], strict=True):
        assert array.dtype == expected.dtype
        assert array.flags.writeable
        np.testing.assert_array_equal(array, expected)


def test_mapped_arrays_do_not_write_to_the_file(cache, source):
    key = keep(cache, source)
    cache.read(key, None)[0][:] = 7
    np.testing.assert_array_equal(cache.read(key, None)[0], ARRAYS[0])


def test_only_the_user_can_read_and_write(cache, source, folder):
    keep(cache, source)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [
    lambda content: b"",
    lambda content: content[:-1],
    lambda content: content[1:],
    lambda content: content[:len(content) // 2],
    lambda content: b"\1" + content[1:],                            # data
    lambda content: content.replace(b"float32", b"float64"),        # index
    lambda content: content[:-8] + b"\xff" * 8,                     # footer
    lambda content: content + b"more",
    lambda content: bytes(len(content))], ids=range(9))
def test_damaged_file_is_deleted(cache, source, folder, damage, caplog):
    key = keep(cache, source)
    path, = files(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read(key, allocate_huge) is None
    assert not path.exists()
    assert "damaged" in caplog.text


@pytest.mark.parametrize("index", [
    [], {}, {"arrays": 1, "checksums": []}, {"arrays": [["float32", [1], 0]], "checksums": []},
    {"arrays": [["float32", [1 << 62, 1 << 62], 0]], "checksums": [0]},
    {"arrays": [["float32", [-1], 0]], "checksums": [0]},
    {"arrays": [["float32", [2], 8192]], "checksums": [0]},
    {"arrays": [["float32", [2], 1]], "checksums": [0]},
    {"arrays": [["object", [1], 0]], "checksums": [0]},
    {"arrays": [["float32", [True], 0]], "checksums": [0]},
    {"arrays": [["float32", [1] * 40, 0]], "checksums": [0]},
    {"arrays": [["float32", [1], 0, 0]], "checksums": [0]},
    {"arrays": [["float32", [1], 0]], "checksums": ["0"]},
    {"arrays": [["float32", [1], 0]], "checksums": [0, 0]},
], ids=str)
def test_index_of_a_stranger_is_refused(tmp_path, index):
    """The checksums of index and footer are right; what the index says is not."""
    text = json.dumps(index).encode()
    path = tmp_path / "file"
    path.write_bytes(bytes(4) + text + array_file.FOOTER.pack(
        array_file.MAGIC, 4, len(text), array_file.zlib.crc32(text)))
    descriptor = os.open(path, os.O_RDONLY)
    with pytest.raises(array_file.DamagedFile):
        array_file.read_arrays(descriptor, allocate_huge, 1)
    os.close(descriptor)


def test_links_and_pipes_are_not_read(cache, source, folder, tmp_path):
    key = keep(cache, source)
    path, = files(folder)
    moved = tmp_path / "moved"
    path.rename(moved)
    path.symlink_to(moved)
    assert cache.read(key, None) is None
    path.unlink()
    os.mkfifo(path)
    assert WeightCache(folder, "1").read(key, None) is None


@pytest.mark.parametrize("what", ["file", "folder", "contents"])
def test_what_others_can_write_is_not_trusted(cache, source, folder, what, monkeypatch, caplog):
    key = keep(cache, source)
    path, = files(folder)
    target = {"file": path, "folder": folder, "contents": folder / "contents"}[what]
    target.chmod(0o777)
    if what == "file":
        assert cache.read(key, None) is None
    elif what == "folder":
        assert cache.key([source]) is None
        assert "alone" in caplog.text
    else:
        assert cache._read_contents() == {}


def test_folder_of_another_user_is_not_used(cache, source, monkeypatch):
    keep(cache, source)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert cache.key([source]) is None


def test_folder_that_is_a_link_is_not_used(source, folder, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    assert WeightCache(folder, "1").key([source]) is None


def test_folder_that_cannot_be_made(source, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    cache = WeightCache(tmp_path / "file" / "weights", "1")
    assert cache.key([source]) is None
    assert cache.key([source]) is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("function", ["create_file", "read_arrays"])
def test_file_system_that_fails(cache, source, folder, monkeypatch, caplog, function):
    key = keep(cache, source)

    def fail(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(weight_cache, function, fail)
    if function == "create_file":
        files(folder)[0].unlink()
        keep(cache, source)
        assert files(folder) == []
    else:
        assert cache.read(key, None) is None
    assert "Input/output error" in caplog.text


def test_full_disk(cache, source, folder, monkeypatch, caplog):
    def fail(self, array):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(array_file.ArrayWriter, "append", fail)
    keep(cache, source)
    assert [path.name for path in folder.iterdir()] == ["contents"]
    assert "No space left" in caplog.text


def test_disk_is_not_filled(cache, source, folder, monkeypatch, caplog):
    usage = shutil.disk_usage(folder.parent)
    monkeypatch.setattr(shutil, "disk_usage",
                        lambda path: usage._replace(free=weight_cache.FREE_BYTES + 10))
    keep(cache, source)
    assert files(folder) == []
    assert "nearly full" in caplog.text


def test_failure_keeps_nothing(cache, source, folder):
    key = cache.key([source])
    with pytest.raises(RuntimeError), cache.writer(key) as writer:
        writer.append(ARRAYS[0])
        raise RuntimeError
    assert [path.name for path in folder.iterdir()] == ["contents"]


def test_two_writers(cache, source, folder):
    key = cache.key([source])
    with cache.writer(key) as first, cache.writer(key) as second:
        for array in ARRAYS:
            first.append(array)
            second.append(array)
    assert len(files(folder)) == 1
    assert len(cache.read(key, None)) == len(ARRAYS)


def test_least_recently_used_files_go(cache, source, folder, monkeypatch):
    array = np.zeros(10000, np.uint8)
    keys = [keep(cache, source, [array], n) for n in range(3)]
    for age, key in enumerate(keys):
        then = time.time() - 100 + age
        os.utime(folder / f"{key}.weights", (then, then))
    assert cache.read(keys[0], None)                # it is now the last one used
    (folder / ".old.part").write_bytes(b"")
    os.utime(folder / ".old.part", (0, 0))
    (folder / ".new.part").write_bytes(b"")
    size = (folder / f"{keys[0]}.weights").stat().st_size
    monkeypatch.setattr(weight_cache, "MAX_BYTES", 3 * size)
    newest = keep(cache, source, [array], "new")
    names = {path.stem for path in files(folder)}
    assert names == {keys[0], keys[2], newest}
    assert not (folder / ".old.part").exists()
    assert (folder / ".new.part").exists()


# Keys

def test_key_depends_on_content_settings_and_version(cache, source, folder, tmp_path):
    key = cache.key([source], "int8")
    copy = tmp_path / "copy"
    copy.write_bytes(source.read_bytes())
    assert cache.key([copy], "int8") == key
    assert cache.key([source], "int4") != key
    assert WeightCache(folder, "2").key([source], "int8") != key
    status = source.stat()
    source.write_bytes(b"WEIGHTS")
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))       # as if not written
    assert cache.key([source], "int8") != key


def test_content_is_hashed_once(cache, source, folder, monkeypatch):
    key = cache.key([source])
    monkeypatch.setattr(cache_folder, "_hash_file", None)
    assert cache.key([source]) == key
    assert WeightCache(folder, "1").key([source]) == key


def test_content_is_hashed_once_where_nothing_can_be_written(cache, source, monkeypatch):
    def fail(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(cache_folder, "create_file", fail)
    key = cache.key([source])
    monkeypatch.setattr(cache_folder, "_hash_file", None)
    assert cache.key([source]) == key


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100000, '{"/x": 1}',
                                  '{"/x": [1, 2, 3, 4, 5, 6]}', '{"/x": [1, "2"]}'])
def test_contents_of_a_stranger(cache, source, folder, text):
    key = cache.key([source])
    (folder / "contents").write_text(text)
    assert WeightCache(folder, "1").key([source]) == key


# Networks

# Tensors of which rows are looked up, and a small one.
LOOKED_UP = {"quantizer.codebook.weight", "model.embed_tokens.weight", "model.norm.weight"}


def networks(model_dir: Path, quantize: str):
    """All networks of a model, and the parameters of each."""
    config = read_config(model_dir)
    runtime = Runtime.start("CPU", quantize=quantize, weight_cache=True)
    llm = LanguageModel(find_weights(model_dir / "LLM"), config.llm, runtime)
    codec = BiCodec(find_weights(model_dir / "BiCodec"), config.bicodec, runtime)
    head = llm.head(np.arange(7, 40))
    codec.load_decoder()
    wav2vec2 = load_wav2vec2(find_weights(model_dir / "wav2vec2-large-xlsr-53"), config.wav2vec2,
                             runtime)
    cells = [llm.network, head.projection, wav2vec2]
    return [[array.asnumpy() for array in cell.get_parameters()] for cell in cells], llm, codec


@pytest.mark.parametrize("quantize", ["none", "int8", "int4"])
def test_second_start_has_the_same_weights_and_reads_none(kernels, tiny_model, folder, quantize,
                                                          monkeypatch):
    first, _, codec = networks(tiny_model, quantize)
    ids = np.arange(9)
    voice = np.arange(codec.config.speaker_encoder.token_num)
    mel = np.random.default_rng(0).random((codec.config.mel.num_mels, 301), np.float32)
    features = np.random.default_rng(0).random(
        (30, codec.config.encoder.input_channels), np.float32)
    samples = codec.decode(voice, ids)
    encoded = codec.encode_speaker(mel), codec.encode_semantic(features)
    count = len(files(folder))
    assert count == 7 + read_config(tiny_model).wav2vec2.used_layers

    for method in ("read", "read_bytes"):
        original = getattr(WeightsFile, method)

        def read(self, name, original=original):
            assert name in LOOKED_UP, f"{name} is read"
            return original(self, name)

        monkeypatch.setattr(WeightsFile, method, read)
    second, _, codec = networks(tiny_model, quantize)
    for old, new in zip(first, second, strict=True):
        for left, right in zip(old, new, strict=True):
            np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(codec.decode(voice, ids), samples)
    for left, right in zip(encoded, (codec.encode_speaker(mel), codec.encode_semantic(features)),
                           strict=True):
        np.testing.assert_array_equal(left, right)
    assert len(files(folder)) == count


def test_low_memory_gives_the_same(kernels, tiny_model, folder):
    """Layers loaded one at a time, from the file and from the cache; mapped pages released."""
    config = read_config(tiny_model)
    path = find_weights(tiny_model / "wav2vec2-large-xlsr-53")
    samples = np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    whole = FeatureExtractor(path, config.wav2vec2, Runtime.start("CPU"))(samples)
    for _ in range(2):
        runtime = Runtime.start("CPU", weight_cache=True, low_memory=True)
        extract = FeatureExtractor(path, config.wav2vec2, runtime)
        np.testing.assert_array_equal(extract(samples), whole)
        runtime.release_mapped()
        np.testing.assert_array_equal(extract(samples), whole)
    assert len(files(folder)) == 1 + config.wav2vec2.used_layers


def test_file_that_does_not_fit_the_network_is_made_again(kernels, tiny_model, folder):
    expected, _, _ = networks(tiny_model, "int8")
    cache = WeightCache(folder, "1")
    for path in files(folder):
        descriptor = os.open(path, os.O_RDONLY)
        arrays = array_file.read_arrays(descriptor, allocate_huge, 1)
        os.close(descriptor)
        with cache.writer(path.stem) as writer:
            for array in arrays[:-1]:
                writer.append(array)
    again, _, _ = networks(tiny_model, "int8")
    for old, new in zip(expected, again, strict=True):
        for left, right in zip(old, new, strict=True):
            np.testing.assert_array_equal(left, right)


def test_changed_source_is_read_again(kernels, tmp_path, folder):
    first = generate_model(tmp_path / "model", "--size", "tiny", "--seed", "1")
    old, _, _ = networks(first, "int8")
    shutil.rmtree(first)
    second = generate_model(tmp_path / "model", "--size", "tiny", "--seed", "2")
    new, _, _ = networks(second, "int8")
    assert any(not np.array_equal(left, right) for left, right in zip(old[0], new[0], strict=True))


def test_without_kernels_nothing_is_kept(tiny_model, folder, monkeypatch):
    monkeypatch.setenv("SPARKTTS_NATIVE", "0")
    try:
        assert Runtime.start("CPU", weight_cache=True).weight_cache is None
    finally:
        monkeypatch.delenv("SPARKTTS_NATIVE")
        Runtime.start("CPU")
    assert not folder.exists()


@pytest.mark.parametrize("value", ["0", None])
def test_variable_switches_the_cache_off(kernels, value, monkeypatch, tmp_path):
    if value is None:
        monkeypatch.delenv(VARIABLE)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert weight_cache.default_folder() == tmp_path / "sparktts_ms" / "weights"
    else:
        monkeypatch.setenv(VARIABLE, value)
        assert Runtime.start("CPU", weight_cache=True).weight_cache is None
