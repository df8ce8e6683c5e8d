"""What the stages of the language model keep in WORK: where they were, what they noted, the model that came of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from recipes.demo_voice.lm.model import Qwen2


def save(work: Path, step: int, stage: str, **parts) -> None:
    part = work / f"{stage}.part"
    torch.save({"step": step, **{name: part.state_dict() for name, part in parts.items()}}, part)
    os.replace(part, work / f"{stage}.pt")


def load(work: Path, stage: str, **parts) -> int:
    """Go on from what was saved; returns how many steps that are."""
    if not (work / f"{stage}.pt").exists():
        return 0
    state = torch.load(work / f"{stage}.pt", weights_only=True, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"]


def note(work: Path, line: dict, stage: str) -> None:
    print(json.dumps(line), flush=True)
    with open(work / f"{stage}.log", "a") as log:
        log.write(json.dumps(line) + "\n")


def write(model: Path, target: Path, net: Qwen2) -> None:
    """MODEL with the language model that was learnt, as float16."""
    if not target.exists():
        shutil.copytree(model, target)
    config, count = json.loads((model / "LLM" / "config.json").read_text()), net.sizes.num_hidden_layers
    config |= {"num_hidden_layers": count, "max_window_layers": count}
    (target / "LLM" / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    part = target / "LLM" / "model.safetensors.part"
    save_file({name: w.astype(np.float16) for name, w in net.released().items()}, part, metadata={"format": "pt"})
    os.replace(part, target / "LLM" / "model.safetensors")
