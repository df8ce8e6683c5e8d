"""Two more layers for the language model, which remember where in the text it was, and true speech to learn that from.

python drill.py CORPUS CODEC MODEL WORK --steps N puts them behind the middle layer of MODEL, saves WORK/drill.pt every few
hundred steps and goes on from there when started again; WORK/model is the result, a running mean of the weights.

The middle layer finds the place in the text by what was said last: after "r ih p" it looks at a word that goes on so, which may
be the one before. In the first of the new layers every frame looks a few frames back, at what those had found; in the second it
looks for the place again. So a place follows from the one before (as attention does in arXiv 1506.07503), in the shape of Qwen2.
Both begin as layers that add nothing.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "ALL")        # sparktts_ms would choose what MindSpore needs: no bfloat16 products

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from recipes.demo_voice.lm.checkpoint import load, note, save, write
from recipes.demo_voice.lm.dataset import AlignedRecording
from recipes.demo_voice.lm.losses import Lesson, Page, drawn, page
from recipes.demo_voice.lm.model import DEEP, Layer, Qwen2
from recipes.demo_voice.lm.phone_targets import phone_inventory
from recipes.demo_voice.lm.prompts import known
from sparktts_ms.config import Qwen2Config
from sparktts_ms.config_files import read_config
from sparktts_ms.generation.vocabulary import Vocabulary

LONGEST = 640
WARPED = 0.3                    # share of recordings that are read unevenly
NEWER = 4                       # times the learning rate of the layers that were there
KEPT = 0.997                    # of the mean of the weights, at each step
BACK = (1, 4, 10, 25)           # frames that the heads of the first new layer begin by looking back
SHARP = 12.0                    # how much better such a place is than others, as a logarithm
TOKENS = {"cpu": 2048, "cuda": 40_000}      # of a step
RATE = {"cpu": 4e-4, "cuda": 1.5e-3}        # of the layers that were there; new ones learn faster
BATCHES = 25                    # that are drawn together, so that rows of similar length are
SAVE_EVERY = 250


def deepened(net: Qwen2) -> Qwen2:
    """The same function with two layers more, the second of which begins by looking where the middle one does."""
    c = replace(net.sizes, num_hidden_layers=len(net.layers) + 2)
    made, middle = Qwen2(c), len(net.layers) // 2
    old = [*net.layers[:middle + 1], None, None, *net.layers[middle + 1:]]
    made.embed_tokens, made.norm = net.embed_tokens, net.norm
    for layer, before in zip(made.layers, old, strict=True):
        if before is not None:
            layer.load_state_dict(before.state_dict())
    back, again = made.layers[middle + 1], made.layers[middle + 2]
    again.self_attn.load_state_dict(net.layers[middle].self_attn.state_dict())
    looking_back(back, c)
    for layer in (back, again):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            getattr(layer, norm).load_state_dict(getattr(net.layers[middle + 1], norm).state_dict())
        nn.init.zeros_(layer.self_attn.o_proj.weight)
        nn.init.zeros_(layer.mlp.down_proj.weight)
    some = torch.arange(64)[None]
    assert torch.equal(made(some)[0], net(some)[0])
    return made


def looking_back(layer: Layer, c: Qwen2Config) -> None:
    """Heads that look some frames back, whatever is there: biases that rotary positions turn into a distance."""
    attention, half = layer.self_attn, c.head_dim // 2
    rate = torch.tensor([c.rope_theta ** (-n / half) for n in range(half)])
    share = (rate > 0.02).float()
    size = torch.sqrt(SHARP * math.sqrt(c.head_dim) * share / share.sum())
    for part in (attention.q_proj, attention.k_proj):
        nn.init.normal_(part.weight, std=0.01)
    with torch.no_grad():
        attention.k_proj.bias.copy_(torch.cat([size, torch.zeros(half)]).repeat(c.num_key_value_heads))
        attention.q_proj.bias.copy_(torch.cat([part for back in (BACK * c.num_attention_heads)[:c.num_attention_heads]
                                               for part in (size * (rate * back).cos(), -size * (rate * back).sin())]))
    attention.v_proj.reset_parameters()


class Pages(Dataset):
    """`BATCHES` batches at a time of recordings drawn by (seed, number)."""

    def __init__(self, v: Vocabulary, recordings: list[AlignedRecording], names: list[str], tokens: int, seed: int):
        self.v, self.recordings, self.names, self.seed = v, recordings, names, seed
        length = np.mean([len(one.text) + len(one.semantic_ids) for one in recordings]) + 2 * len(recordings[0].global_ids)
        self.some = math.ceil(BATCHES * tokens / length / 2)        # each once by its labels, and once as a clone

    def __getitem__(self, number: int) -> list[Page]:
        random = np.random.default_rng((self.seed, number))
        return [page(batch, self.v, self.names, random)
                for batch in drawn(self.v, self.recordings, random, self.some, BATCHES, LONGEST, WARPED)]


def drill(corpus: Path, codec: Path, model: Path, work: Path, steps: int, seed: int, threads: int, workers: int,
          device: str) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    work.mkdir(parents=True, exist_ok=True)
    config = read_config(model).llm
    v = Vocabulary(model / "LLM" / "tokenizer.json", config.eos_token_id, config.vocab_size)
    recordings = known(corpus, codec)
    net = Qwen2.read(model / "LLM" / "model.safetensors", config)
    newer = len(net.layers) < DEEP
    net = (deepened(net) if newer else net).to(device)
    names = phone_inventory(recordings.spoken)
    mean, lesson = Qwen2(net.sizes).to(device), Lesson(net, len(names))
    mean.load_state_dict(net.state_dict())
    new = [*net.layers[net.led[0] + 1].parameters(), *net.layers[net.led[0] + 2].parameters(), *lesson.teller.parameters()]
    old = [p for p in net.parameters() if all(p is not other for other in new)]
    optimizer = torch.optim.AdamW([{"params": old, "times": 1}, {"params": new, "times": NEWER if newer else 1}],
                                  betas=(0.9, 0.98), weight_decay=0.0)
    done = load(work, "drill", net=net, mean=mean, teller=lesson.teller, optimizer=optimizer)
    source = Pages(v, recordings.loss_mask, names, TOKENS[device], seed)
    loader = DataLoader(source, None, num_workers=workers, collate_fn=lambda pages: pages,
                        sampler=range(done // BATCHES, math.ceil(steps / BATCHES)))
    pages = itertools.islice(itertools.chain.from_iterable(loader), done % BATCHES, None)
    sums, began = {}, time.monotonic()
    for step, one in zip(range(done, steps), pages, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = group["times"] * RATE[device] * min(1, (step + 1) / 100) * (0.05 + 0.95 * (1 - step / steps))
        optimizer.zero_grad()
        found = lesson(one)
        found["norm"] = nn.utils.clip_grad_norm_([*net.parameters(), *lesson.teller.parameters()], 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(net.parameters()), 1 - min(KEPT, (step + 1) / (step + 10)))
        sums = {name: sums.get(name, 0.0) + value / 50 for name, value in found.items()}
        if (step + 1) % 50 == 0:
            note(work, {"step": step + 1, **{name: round(float(value), 4) for name, value in sums.items()},
                        "s": round((time.monotonic() - began) / 50, 3)}, "drill")
            sums, began = {}, time.monotonic()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save(work, step + 1, "drill", net=net, mean=mean, teller=lesson.teller, optimizer=optimizer)
            write(model, work / "model", mean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("corpus", "codec", "model", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=0, help="processes that draw the batches")
    parser.add_argument("--device", choices=TOKENS, default="cpu")
    drill(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
