"""Each stage against the public implementation, fed with the golden output of the stage before.

Floats agree within 1e-4 of the array's maximum.
"""

import functools

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.bicodec.prenet import Prenet
from sparktts_ms.bicodec.semantic import Codebook, SemanticEncoder, pointwise_conv
from sparktts_ms.bicodec.speaker import FiniteScalarQuantizer, SpeakerDecoder, SpeakerEncoder
from sparktts_ms.bicodec.wave_generator import WaveGenerator
from sparktts_ms.config_files import read_config
from sparktts_ms.ops.convolution import to_conv_layout, to_frames
from sparktts_ms.ops.padding import padding_mask
from sparktts_ms.ops.self_attention import attention_mask
from sparktts_ms.wav2vec2.encoder import load_wav2vec2
from sparktts_ms.wav2vec2.features import normalize
from sparktts_ms.weights.checkpoint import Checkpoint
from tests.helpers import assert_close

pytestmark = pytest.mark.both_forms
COMPLETE = ("codec_16k_3s", "codec_24k_0s5")        # recordings whose every stage is stored
ALL = (*COMPLETE, "codec_44k_9s")
close = functools.partial(assert_close, tolerance=1e-4)


class Networks:
    """The codec's cells without the pipeline, one operator at a time."""

    def __init__(self, model_dir, native):
        self.native = native
        config = read_config(model_dir)
        codec = config.bicodec
        weights = Checkpoint(model_dir / "BiCodec" / "model.safetensors")
        self.wav2vec2 = load_wav2vec2(
            model_dir / "wav2vec2-large-xlsr-53" / "model.safetensors", config.wav2vec2)
        self.encoder = SemanticEncoder(weights.at("encoder"), weights.at("quantizer.in_project"),
                                       codec.encoder, codec.quantizer)
        self.code_proj = pointwise_conv(weights.at("quantizer.out_project"),
                                        codec.quantizer.codebook_dim, codec.quantizer.input_dim)
        self.codebook = Codebook(weights.at("quantizer.codebook"), codec.quantizer)
        speaker_weights = weights.at("speaker_encoder")
        self.speaker = SpeakerEncoder(speaker_weights, codec.speaker_encoder)
        self.speaker_decoder = SpeakerDecoder(speaker_weights, codec.speaker_encoder)
        self.speaker_quantizer = FiniteScalarQuantizer(codec.speaker_encoder.fsq_levels)
        self.prenet = Prenet(weights.at("prenet"), codec.prenet)
        self.generator = WaveGenerator(weights.at("decoder"), codec.decoder)

    def mask(self, frames):
        """All frames are valid: None with variable lengths, ones where inputs are padded."""
        return None if self.native else Tensor(padding_mask(frames, frames))


@pytest.fixture(scope="module")
def networks(tiny_model, form):
    return Networks(tiny_model, form == "native")


@pytest.fixture(scope="module")
def arrays(golden):
    return {name: dict(np.load(golden / f"{name}.npz")) for name in ALL}


@pytest.mark.parametrize("name", COMPLETE)
class TestFeatures:
    def test_normalized_samples(self, arrays, name):
        close(normalize(arrays[name]["wav"]), arrays[name]["w2v.input_values"])

    def test_convolutions(self, networks, arrays, name):
        x = to_conv_layout(Tensor(arrays[name]["w2v.input_values"]).reshape(-1, 1))
        for layer in networks.wav2vec2.front_end.conv_layers:
            x = layer(x)
        close(to_frames(x), arrays[name]["w2v.conv_features"])

    def test_projection_and_positions(self, networks, arrays, name):
        z = arrays[name]
        network = networks.wav2vec2.front_end
        features = Tensor(z["w2v.conv_features"])
        close(network.in_proj(network.norm(features)), z["w2v.projected"])
        projected = Tensor(z["w2v.projected"])
        mask = networks.mask(len(projected))
        close(network.positional_conv(projected, mask), z["w2v.hidden_0"])

    def test_layers(self, networks, arrays, name):
        z = arrays[name]
        x = Tensor(z["w2v.hidden_0"])
        mask = attention_mask(networks.mask(len(x)))
        for number, layer in enumerate(networks.wav2vec2.layers, 1):
            x = layer(x, mask)
            if f"w2v.hidden_{number}" in z:
                close(x, z[f"w2v.hidden_{number}"])
        assert number == 16

    def test_mean_of_layers(self, networks, arrays, name):
        z = arrays[name]
        mask = networks.mask(len(z["w2v.mix"]))
        close(networks.wav2vec2(Tensor(z["w2v.input_values"]), mask), z["w2v.mix"])


@pytest.mark.parametrize("name", ALL)
class TestSemanticEncoder:
    def test_backbone_and_first_stage(self, networks, arrays, name):
        z = arrays[name]
        if "enc.backbone" not in z:
            return                  # only the output of the long recording is stored
        encoder = networks.encoder
        mask = networks.mask(len(z["w2v.mix"]))
        close(encoder.backbone(Tensor(z["w2v.mix"]), mask), z["enc.backbone"])
        close(encoder.stages[0](3.0 * Tensor(z["enc.backbone"]), mask), z["enc.down0"])

    def test_vectors_and_ids(self, networks, arrays, name):
        z = arrays[name]
        projected = Tensor(np.ascontiguousarray(z["enc.z"].T))
        close(networks.encoder.code_proj(projected), z["enc.z_e"].T)
        vectors = networks.encoder(Tensor(z["w2v.mix"]), networks.mask(len(z["w2v.mix"])))
        close(vectors, z["enc.z_e"].T)
        ids = networks.codebook.quantize(vectors.asnumpy())
        np.testing.assert_array_equal(ids, z["semantic_ids"])


def test_semantic_codebook(networks, golden):
    z = np.load(golden / "quantizers.npz")
    vectors = networks.encoder.code_proj(Tensor(np.ascontiguousarray(z["vq.in"].T)))
    ids = networks.codebook.quantize(vectors.asnumpy())
    np.testing.assert_array_equal(ids, z["vq.indices"])
    codes = Tensor(networks.codebook.dequantize(z["vq.detok_ids"]))
    close(networks.code_proj(codes), z["vq.detok"].T)


def test_d_vector(networks, golden):
    z = np.load(golden / "quantizers.npz")
    for ids, expected in zip(z["spk.global"], z["spk.d_vector"], strict=True):
        codes = Tensor(networks.speaker_quantizer.dequantize(ids))
        close(networks.speaker_decoder(codes)[0], expected)


@pytest.mark.parametrize("name", ALL)
class TestSpeakerEncoder:
    def test_ecapa_layers(self, networks, arrays, name):
        z = arrays[name]
        ecapa = networks.speaker.ecapa
        mel = Tensor(z["mel"])
        if "spk.layer1" not in z:
            close(networks.speaker.perceiver(ecapa(mel)), z["spk.latents"])
            return
        x = ecapa.conv1(to_conv_layout(mel.transpose(1, 0)))
        close(to_frames(x).transpose(1, 0), z["spk.layer1"])
        for number, block in enumerate(ecapa.blocks, 2):
            x = block(x)
            if f"spk.layer{number}" in z:
                close(to_frames(x).transpose(1, 0), z[f"spk.layer{number}"])
        close(ecapa(mel).transpose(1, 0), z["spk.ecapa_latent"])

    def test_perceiver(self, networks, arrays, name):
        z = arrays[name]
        perceiver = networks.speaker.perceiver
        if "spk.ecapa_latent" in z:
            frames = Tensor(np.ascontiguousarray(z["spk.ecapa_latent"].T))
            close(perceiver.in_proj(frames), z["spk.context"])
            close(perceiver(frames), z["spk.latents"])
        close(networks.speaker.code_proj(Tensor(z["spk.latents"])), z["spk.fsq_in"])

    def test_quantizer(self, networks, arrays, name):
        z = arrays[name]
        quantizer = networks.speaker_quantizer
        close(quantizer.bound(z["spk.fsq_in"]), z["spk.fsq_bound"])
        np.testing.assert_array_equal(quantizer.quantize(z["spk.fsq_in"]), z["global_ids"])


@pytest.mark.parametrize("name", COMPLETE)
class TestDecoder:
    def test_semantic_vectors_and_d_vector(self, networks, arrays, name):
        z = arrays[name]
        codes = Tensor(networks.codebook.dequantize(z["semantic_ids"]))
        close(networks.code_proj(codes), z["dec.z_q"].T)
        codes = Tensor(networks.speaker_quantizer.dequantize(z["global_ids"]))
        close(networks.speaker_decoder(codes)[0], z["dec.d_vector"])

    def test_prenet(self, networks, arrays, name):
        z = arrays[name]
        vectors = Tensor(np.ascontiguousarray(z["dec.z_q"].T))
        close(networks.prenet.in_proj(vectors), z["dec.prenet_pre"])
        mask = networks.mask(vectors.shape[0])
        close(networks.prenet(vectors, Tensor(z["dec.d_vector"][None]), mask), z["dec.prenet"].T)

    def test_wave_generator(self, networks, arrays, name):
        z = arrays[name]
        x = Tensor(np.ascontiguousarray((z["dec.prenet"] + z["dec.d_vector"][:, None]).T))
        close(to_frames(networks.generator.conv_pre(to_conv_layout(x))).T, z["dec.gen_stage0"])
        close(networks.generator(x, networks.mask(x.shape[0])), z["dec.wav"])

    def test_wave_generator_in_tiles(self, kernels, tiny_model, arrays, name):
        """As beside quantized weights: products of sums of two bfloat16 parts, 16 bits; float32's
        error is near 1e-6."""
        if not kernels.has_tiles():
            pytest.skip("needs a processor with AMX")
        z = arrays[name]
        weights = Checkpoint(tiny_model / "BiCodec" / "model.safetensors")
        config = read_config(tiny_model).bicodec.decoder
        generator = WaveGenerator(weights.at("decoder"), config, tiles=True)
        x = Tensor(np.ascontiguousarray((z["dec.prenet"] + z["dec.d_vector"][:, None]).T))
        error = np.abs(generator(x, None).asnumpy() - z["dec.wav"]).max()
        assert 1e-5 < error / np.abs(z["dec.wav"]).max() < 2e-4
