"""What the stages have to do at least, counted in the checkpoint, and their share of the limit."""

import dataclasses
import math
import platform
import subprocess

import numpy as np
import pytest

from benchmarks import limits, machine_peak
from benchmarks.limits import Limits, all_work, shares
from benchmarks.machine_peak import MachinePeak, measure_peak
from benchmarks.plan import FLOAT, INT4, INT8, Results
from sparktts_ms.config_files import read_config
from sparktts_ms.ops.native import library
from sparktts_ms.weights.checkpoint import find_weights, open_weights

PEAK = MachinePeak(read=10e9, float_macs=100e9, int8_macs=300e9, int8_tile_macs=0.0,
                   bf16_tile_macs=0.0)
READ = {FLOAT: {"weights": 1_500_000_000, "cache": 25_000},
        INT8: {"weights": 375_000_000, "cache": 25_000},
        INT4: {"weights": 250_000_000, "cache": 25_000}}


@pytest.fixture(scope="module")
def config(tiny_model):
    return read_config(tiny_model)


def released(config):
    """With the sizes of the released language model."""
    return dataclasses.replace(config, llm=dataclasses.replace(
        config.llm, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2))


def test_matrices_of_the_released_language_model(config):
    # of each layer: q and o 896 x 896, k and v 128 x 896, three of 4864 x 896
    layer = 2 * 896 * 896 + 2 * 128 * 896 + 3 * 4864 * 896
    llm = released(config).llm
    assert limits.layer_macs(llm) == 24 * layer == 357_826_560
    assert limits.decode_macs(llm, 8194) == 24 * layer + 8194 * 896




def shapes(folder, prefix):
    """Of the matrices and kernels in a checkpoint, by name below `prefix`."""
    info = open_weights(find_weights(folder)).info
    return {name[len(prefix):]: tensor.shape for name, tensor in info.items()
            if name.startswith(prefix) and len(tensor.shape) > 1
            and name.endswith(("weight", "weight_v"))}


def products(kernels):
    return sum(math.prod(shape) for shape in kernels)


def test_prenet_multiplies_each_weight_once_a_frame(tiny_model, config):
    found = shapes(tiny_model / "BiCodec", "prenet.")
    frame = [shape for name, shape in found.items() if ".scale." not in name
             and ".shift." not in name]             # of the norms: once for all frames
    assert limits.prenet_macs(config.bicodec.prenet) == products(frame)


def test_semantic_encoder_multiplies_each_weight_once_a_frame(tiny_model, config):
    found = [*shapes(tiny_model / "BiCodec", "encoder.").values(),
             *shapes(tiny_model / "BiCodec", "quantizer.in_project.").values()]
    assert limits.semantic_macs(config, 10) == 10 * products(found)


@pytest.mark.parametrize("tiles", [False, True])
def test_wave_generator_by_its_kernels(tiny_model, config, tiles):
    decoder = config.bicodec.decoder
    lengths = np.cumprod([1, *decoder.rates])       # of a frame, after each stage
    total = 0.0
    for name, shape in shapes(tiny_model / "BiCodec", "decoder.model.").items():
        stage = int(name.partition(".")[0])
        transposed = name.endswith("block.1.weight_v") and name.count("block") == 1
        length = lengths[min(stage - transposed, len(decoder.rates))]
        toom_cook = shape[2] == 7 and shape[0] > 1 and not tiles        # not the last one
        total += (10 / 28 if toom_cook else 1) * length * math.prod(shape)
    both = limits.prenet_macs(config.bicodec.prenet) + total
    engine = INT8 if tiles else FLOAT
    work, = [work for work in all_work(config, READ, tiles)
             if work.task == "wave 50" and work.engine == engine]
    assert work.macs == pytest.approx(50 * both)


def test_wav2vec2_by_its_weights(tiny_model, config):
    sizes = config.wav2vec2
    found = shapes(tiny_model / "wav2vec2-large-xlsr-53", "wav2vec2.")
    length, total = 3200, 0
    for number in range(len(sizes.conv_dim)):
        kernel = found[f"feature_extractor.conv_layers.{number}.conv.weight"]
        length = (length - kernel[2]) // sizes.conv_stride[number] + 1
        total += length * math.prod(kernel)
    frame = [shape for name, shape in found.items() if name.startswith("feature_projection")]
    frame += [shape for name, shape in found.items() if "pos_conv_embed" in name]
    for layer in range(sizes.used_layers):
        frame += [shape for name, shape in found.items()
                  if name.startswith(f"encoder.layers.{layer}.")]
    total += length * products(frame)
    total += sizes.used_layers * 2 * length * length * sizes.hidden_size        # attention
    assert limits.wav2vec2_macs(sizes, 3200) == total


def results_of(*figures):
    results = Results()
    for task, engine, seconds in figures:
        results.add(task, engine, seconds)
    return results


def test_share_of_a_stage_that_reads(config):
    """A token of one sequence: 375 MB and 400 positions of 25 kB, at 10 GB/s 38.5 ms."""
    results = results_of(("decode 400 1 20", INT8, 0.077))
    share, = shares(released(config), PEAK, READ, results)
    assert share.bound == "memory" and share.share == pytest.approx(0.5)
    assert share.rate == pytest.approx(385e6 / 0.077)
    assert "share of the limit:  50% (reads 385 MB; 5.0 GB/s)" in share.line


def test_share_of_a_stage_that_computes(config):
    """A prompt of 400: 143 G products, of float32 at 100 G/s, of int8 at 300 G/s."""
    macs = 400 * 357_826_560
    results = results_of(("prefill 400", FLOAT, 2.0), ("prefill 400", INT4, 2.0))
    float_share, int4_share = shares(released(config), PEAK, READ, results)
    assert float_share.share == pytest.approx(macs / 100e9 / 2)
    assert int4_share.share == pytest.approx(macs / 300e9 / 2)
    assert int4_share.bound == "arithmetic" and "G products" in int4_share.line


def test_tiles_are_the_peak_where_there_are_some(config):
    peak = dataclasses.replace(PEAK, int8_tile_macs=3000e9, bf16_tile_macs=1500e9)
    results = results_of(
        ("prefill 400", INT8, 2.0), ("encode", FLOAT, 2.0), ("wave 50", INT8, 2.0))
    prompt, recording, wave = shares(released(config), peak, READ, results)
    assert prompt.share == pytest.approx(400 * 357_826_560 / 3000e9 / 2)
    # a product of float32 is six of bfloat16 in the encoders, and three in the wave generator
    assert recording.share == pytest.approx(recording.macs / 250e9 / 2)
    assert wave.share == pytest.approx(wave.macs / 500e9 / 2)


def test_only_what_was_measured(config):
    assert shares(config, PEAK, READ, Results()) == []
    tasks = {work.task for work in all_work(config, READ, tiles=False)}
    assert tasks >= {"encode", "wave 250", "prefill 400"}


def test_the_table_and_the_report(config):
    found = shares(released(config), PEAK, READ, results_of(("decode 400 16 20", INT8, 0.1)))
    limit = Limits(PEAK, found)
    assert limit.table().startswith("Limits: memory 10.0 GB/s; products a second: float32 100 G")
    report = limit.as_json()
    assert report["machine"]["read"] == 10e9
    assert report["stages"][0]["label"] == "a token each of 16 at 400"
    assert 0 < report["stages"][0]["share"] < 1


@pytest.mark.parametrize("target", ["-march=x86-64-v2", "-march=x86-64-v3", "-march=native"])
def test_the_program_compiles_for_other_processors(target):
    compiler = library._compiler()
    if compiler is None or ("x86-64" in target and platform.machine() != "x86_64"):
        pytest.skip("no compiler for it here")
    subprocess.run([compiler, *library.FLAGS, target, "-fsyntax-only", "-I", str(library.FOLDER),
                    str(machine_peak.SOURCE)], check=True)


@pytest.mark.slow
def test_the_peak_of_this_machine(kernels, tmp_path):
    peak = measure_peak(tmp_path)
    assert peak.read > 1e8 and peak.float_macs > 1e8 and peak.int8_macs > 1e8
    assert (peak.int8_tile_macs > 0) == (peak.bf16_tile_macs > 0) == library.has_tiles()
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]


def test_without_a_compiler_there_are_no_limits(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert measure_peak(tmp_path) is None
