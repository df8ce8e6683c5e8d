"""Weights of a model directory in the released layout, back in the recipe's networks: the inverse of `export.py`.

python imported.py WORK MODEL OUT: MODEL's BiCodec with prenet and generator of WORK/joint.pt, in OUT/BiCodec. Every other tensor
is MODEL's to the bit, so that ids stay what they are.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from recipes.demo_voice.codec.export import save, trained, with_norm

TRAINED = ("prenet.", "decoder.")


def read_model(model: Path, codec: nn.Module, generator: nn.Module) -> None:
    """Fill `codec` and `generator` with the weights of a model directory, as inference understands them."""
    bicodec, wav2vec2 = (plain(load_file(model / name / "model.safetensors")) for name in ("BiCodec", "wav2vec2-large-xlsr-53"))
    known = {**{k: v for k, v in bicodec.items() if not k.startswith("decoder.")}, **wav2vec2}
    for net, weights in ((codec, known), (generator, {k.removeprefix("decoder."): v for k, v in bicodec.items()})):
        for name, tensor in net.state_dict().items():
            if name != "quantizer.steps" and not name.startswith("voice_mel."):
                tensor.copy_(weights[name].reshape(tensor.shape))


def plain(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as float32, each pair of direction and length as the one weight that it stands for."""
    weights = {k: v.float() for k, v in stored.items()}
    for name in [k.removesuffix("_v") for k in weights if k.endswith(".weight_v")]:
        v, length = weights.pop(f"{name}_v"), weights.pop(f"{name}_g")
        axes = [n for n, size in enumerate(length.shape) if size == 1]
        weights[name] = v * (length / torch.linalg.vector_norm(v, dim=axes, keepdim=True))
    return weights


def write_model(work: Path, model: Path, out: Path) -> None:
    codec, generator = trained(work)
    new = {**{k: v for k, v in codec.items() if k.startswith("prenet.")}, **{f"decoder.{k}": v for k, v in generator.items()}}
    for name in [k.removesuffix(".weight") for k in new if k.startswith("decoder.") and k.endswith(".weight")]:
        new.update(with_norm(new, name))
    stored = {k: v.float().numpy() for k, v in load_file(model / "BiCodec" / "model.safetensors").items()}
    assert {k: v.shape for k, v in new.items()} == {k: v.shape for k, v in stored.items() if k.startswith(TRAINED)}
    save({**stored, **new}, out / "BiCodec")
    shutil.copy(model / "BiCodec" / "config.yaml", out / "BiCodec")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    write_model(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
