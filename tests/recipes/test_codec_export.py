"""Export of the codec; needs PyTorch, which only the recipe does."""

import pytest

from tests.helpers import ROOT

torch = pytest.importorskip("torch")

DEMO_MODEL = ROOT / "pretrained_models" / "Spark-TTS-demo"


@pytest.fixture(scope="module")
def networks():
    from recipes.demo_voice.codec.model import Codec, WaveGenerator
    from recipes.demo_voice.config import BICODEC

    return Codec(), WaveGenerator(BICODEC["decoder"])


def test_released_codec_round_trip(networks, tmp_path):
    """What is read from the shipped model and exported again has the same weights, up to rounding
    the directions of weight norm to float16."""
    from recipes.demo_voice.codec import export

    state = {}
    export.load_released_codec(DEMO_MODEL, *networks)
    for prefix, network in zip(("codec", "generator"), networks, strict=True):
        state.update({f"{prefix}.{name}": w for name, w in network.state_dict().items()})
    torch.save({"net": state}, tmp_path / "joint.pt")
    export.export_codec(tmp_path, tmp_path / "model")
    export.export_decoder(tmp_path, DEMO_MODEL, tmp_path / "decoder")
    for config in ("config.yaml", "BiCodec/config.yaml", "wav2vec2-large-xlsr-53/config.json"):
        assert (tmp_path / "model" / config).read_text() == (DEMO_MODEL / config).read_text()
    for folder in ("model/BiCodec", "model/wav2vec2-large-xlsr-53", "decoder/BiCodec"):
        expected = export.fused_weights(DEMO_MODEL / folder.partition("/")[2])
        exported = export.fused_weights(tmp_path / folder)
        assert exported.keys() == expected.keys()
        for name, weight in expected.items():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(exported[name], weight, rtol=1e-3, atol=1e-6)


def test_stored_dtype_is_exact():
    from recipes.demo_voice.codec.export import to_stored_dtype

    assert to_stored_dtype("zeros", torch.zeros(3)).dtype == torch.float8_e5m2
    assert to_stored_dtype("ones", torch.ones(3)).dtype == torch.float8_e5m2
    assert to_stored_dtype("thirds", torch.full((3,), 1 / 3)).dtype == torch.float16
    with pytest.raises(ValueError, match="large exceeds"):
        to_stored_dtype("large", torch.tensor(1e6))
