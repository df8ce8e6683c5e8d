"""Stage by stage against the public implementation, each fed with the golden output of the stage before, so that a break
names its room. Floats within 1e-4 of the array's maximum."""

import numpy as np
import pytest
from mindspore import Tensor

from sparktts_ms.bicodec.prenet import Prenet
from sparktts_ms.bicodec.semantic import Codebook, SemanticEncoder, SemanticQuantizer
from sparktts_ms.bicodec.speaker import FiniteScalarQuantizer, SpeakerDecoder, SpeakerEncoder
from sparktts_ms.bicodec.wave_generator import WaveGenerator
from sparktts_ms.config_files import read_config
from sparktts_ms.ops.convolution import to_conv_layout, to_frames
from sparktts_ms.ops.padding import padding_mask
from sparktts_ms.wav2vec2.encoder import load_wav2vec2
from sparktts_ms.wav2vec2.features import normalize
from sparktts_ms.weights.checkpoint import Checkpoint

pytestmark = pytest.mark.both_forms
WHOLE = ("codec_16k_3s", "codec_24k_0s5")               # recordings whose every stage is kept
ALL = (*WHOLE, "codec_44k_9s")


class Rooms:
    """The codec's cells without the pipeline around them, one operator at a time."""

    def __init__(self, model_dir, native):
        self.native = native
        config = read_config(model_dir)
        codec, weights = config.bicodec, Checkpoint(model_dir / "BiCodec" / "model.safetensors")
        self.wav2vec2 = load_wav2vec2(model_dir / "wav2vec2-large-xlsr-53" / "model.safetensors", config.wav2vec2)
        self.encoder = SemanticEncoder(weights.at("encoder"), weights.at("quantizer.in_project"), codec.encoder, codec.quantizer)
        self.quantizer = SemanticQuantizer(weights.at("quantizer"), codec.quantizer)
        self.codebook = Codebook(weights.at("quantizer.codebook"), codec.quantizer)
        self.speaker = SpeakerEncoder(weights.at("speaker_encoder"), codec.speaker_encoder)
        self.d_vector = SpeakerDecoder(weights.at("speaker_encoder"), codec.speaker_encoder)
        self.levels = FiniteScalarQuantizer(codec.speaker_encoder.fsq_levels)
        self.prenet = Prenet(weights.at("prenet"), codec.prenet)
        self.generator = WaveGenerator(weights.at("decoder"), codec.decoder)

    def keep(self, frames):
        """All frames are real: said by nothing where lengths are free, by ones where they are padded."""
        return None if self.native else Tensor(padding_mask(frames, frames))


@pytest.fixture(scope="module")
def rooms(tiny_model, form):
    return Rooms(tiny_model, form == "native")


@pytest.fixture(scope="module")
def arrays(golden):
    return {name: dict(np.load(golden / f"{name}.npz")) for name in ALL}


def close(actual, expected, tolerance=1e-4):
    actual = actual.asnumpy() if isinstance(actual, Tensor) else actual
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max() / np.abs(expected).max()
    assert error <= tolerance, f"relative error {error:.1e}"


@pytest.mark.parametrize("name", WHOLE)
class TestFeatures:
    def test_standardised_samples(self, arrays, name):
        close(normalize(arrays[name]["wav"]), arrays[name]["w2v.input_values"])

    def test_convolutions(self, rooms, arrays, name):
        x = to_conv_layout(Tensor(arrays[name]["w2v.input_values"]).reshape(-1, 1))
        for conv in rooms.wav2vec2.convs:
            x = conv(x)
        close(to_frames(x), arrays[name]["w2v.conv_features"])

    def test_projection_and_positions(self, rooms, arrays, name):
        z, net = arrays[name], rooms.wav2vec2
        close(net.in_proj(net.norm(Tensor(z["w2v.conv_features"]))), z["w2v.projected"])
        close(net.positional_conv(Tensor(z["w2v.projected"]), rooms.keep(len(z["w2v.projected"]))), z["w2v.hidden_0"])

    def test_layers(self, rooms, arrays, name):
        z, net = arrays[name], rooms.wav2vec2
        x = Tensor(z["w2v.hidden_0"])
        for number, layer in enumerate(net.layers, 1):
            x = layer(x, rooms.keep(len(x)))
            if f"w2v.hidden_{number}" in z:
                close(x, z[f"w2v.hidden_{number}"])
        assert number == 16

    def test_the_mixture(self, rooms, arrays, name):
        z = arrays[name]
        close(rooms.wav2vec2(Tensor(z["w2v.input_values"]), rooms.keep(len(z["w2v.mix"]))), z["w2v.mix"])


@pytest.mark.parametrize("name", ALL)
class TestSemanticEncoder:
    def test_backbone_and_first_stage(self, rooms, arrays, name):
        z = arrays[name]
        if "enc.backbone" not in z:
            return                  # the long recording keeps only its ends, checked below
        keep = rooms.keep(len(z["w2v.mix"]))
        close(rooms.encoder.backbone(Tensor(z["w2v.mix"]), keep), z["enc.backbone"])
        close(rooms.encoder.stages[0](Tensor(z["enc.backbone"]), keep), z["enc.down0"])

    def test_vectors_and_ids(self, rooms, arrays, name):
        z = arrays[name]
        close(rooms.encoder.code_proj(Tensor(np.ascontiguousarray(z["enc.z"].T))), z["enc.z_e"].T)
        vectors = rooms.encoder(Tensor(z["w2v.mix"]), rooms.keep(len(z["w2v.mix"])))
        close(vectors, z["enc.z_e"].T)
        np.testing.assert_array_equal(rooms.codebook.quantize(vectors.asnumpy()), z["semantic_ids"])


def test_the_semantic_codebook_both_ways(rooms, golden):
    z = np.load(golden / "quantizers.npz")
    vectors = rooms.encoder.code_proj(Tensor(np.ascontiguousarray(z["vq.in"].T)))
    np.testing.assert_array_equal(rooms.codebook.quantize(vectors.asnumpy()), z["vq.indices"])
    close(rooms.quantizer(Tensor(rooms.codebook.dequantize(z["vq.detok_ids"]))), z["vq.detok"].T)


def test_global_ids_become_the_same_d_vector(rooms, golden):
    z = np.load(golden / "quantizers.npz")
    for ids, expected in zip(z["spk.global"], z["spk.d_vector"], strict=True):
        close(rooms.d_vector(Tensor(rooms.levels.dequantize(ids)))[0], expected)


@pytest.mark.parametrize("name", ALL)
class TestSpeakerEncoder:
    def test_ecapa_layer_by_layer(self, rooms, arrays, name):
        z, ecapa = arrays[name], rooms.speaker.ecapa
        if "spk.layer1" not in z:
            close(rooms.speaker.perceiver(ecapa(Tensor(z["mel"])).transpose(1, 0)), z["spk.latents"])
            return
        x = ecapa.conv1(Tensor(z["mel"]).reshape(1, 128, 1, -1))
        close(x[0, :, 0], z["spk.layer1"])
        for number, block in enumerate(ecapa.blocks, 2):
            x = block(x)
            if f"spk.layer{number}" in z:
                close(x[0, :, 0], z[f"spk.layer{number}"])
        close(ecapa(Tensor(z["mel"])), z["spk.ecapa_latent"])

    def test_perceiver(self, rooms, arrays, name):
        z, perceiver = arrays[name], rooms.speaker.perceiver
        if "spk.ecapa_latent" in z:
            frames = Tensor(np.ascontiguousarray(z["spk.ecapa_latent"].T))
            close(perceiver.in_proj(frames), z["spk.context"])
            close(perceiver(frames), z["spk.latents"])
        close(rooms.speaker.code_proj(Tensor(z["spk.latents"])), z["spk.fsq_in"])

    def test_rounding(self, rooms, arrays, name):
        z = arrays[name]
        close(rooms.levels.bound(z["spk.fsq_in"]), z["spk.fsq_bound"])
        np.testing.assert_array_equal(rooms.levels.quantize(z["spk.fsq_in"]), z["global_ids"])


@pytest.mark.parametrize("name", WHOLE)
class TestWaveDecoder:
    def test_vectors_of_speech_and_voice(self, rooms, arrays, name):
        z = arrays[name]
        close(rooms.quantizer(Tensor(rooms.codebook.dequantize(z["semantic_ids"]))), z["dec.z_q"].T)
        close(rooms.d_vector(Tensor(rooms.levels.dequantize(z["global_ids"])))[0], z["dec.d_vector"])

    def test_prenet(self, rooms, arrays, name):
        z = arrays[name]
        vectors = Tensor(np.ascontiguousarray(z["dec.z_q"].T))
        close(rooms.prenet.in_proj(vectors), z["dec.prenet_pre"])
        close(rooms.prenet(vectors, Tensor(z["dec.d_vector"][None]), rooms.keep(vectors.shape[0])), z["dec.prenet"].T)

    def test_wave_generator(self, rooms, arrays, name):
        z = arrays[name]
        x = z["dec.prenet"] + z["dec.d_vector"][:, None]
        close(to_frames(rooms.generator.conv_pre(to_conv_layout(Tensor(np.ascontiguousarray(x.T))))).T, z["dec.gen_stage0"])
        close(rooms.generator(Tensor(np.ascontiguousarray(x.T)), rooms.keep(x.shape[1])), z["dec.wav"])
