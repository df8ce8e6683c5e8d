"""Trains the codec in stages: `generator` and `content` side by side, `joint` from both, with `listener` to judge it.

python train.py STAGE CORPUS WORK --steps N. Every stage draws step n's batch from (seed, n), saves WORK/STAGE.pt every few
hundred steps and goes on from there when started again.

- generator: described frames and how the pitch turns (acoustics.py, phase.py) -> samples; log mels at five resolutions, and the
  waveform below 1 kHz.
- content: samples -> feature network -> encoder -> quantizer -> prenet, conditioned on the voice, -> described frames; the
  quantized frames must also tell the phone that flite spoke, the voice vector the pitch.
- listener: samples -> phones, a recogniser for the stage that follows (listener.py).
- joint: quantized frames (now fixed) -> prenet -> generator -> samples, in which the listener should hear what flite spoke. With
  --model it begins with a finished codec.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import BASE, FEATURES, HOP, RAMP, RATE, Corpus
from recipes.demo_voice.codec.losses import EnvelopeLoss, LowLoss, MelLoss, VoiceMel
from recipes.demo_voice.codec.model import Prenet, Quantizer, SemanticEncoder, SpeakerEncoder, Wav2Vec2, WaveGenerator
from recipes.demo_voice.codec.perceptual_loss import Ear, Listener, disturbed
from recipes.demo_voice.codec.phase import Wires, turning_loss
from recipes.demo_voice.config import BICODEC, TRAINED_BLOCKS, WAV2VEC2
from recipes.demo_voice.import_weights import read_model

SAVE_EVERY = 250


# ---- the stages -----------------------------------------------------------------------------------------------------------
def pick(corpus: Corpus, frames: int, count: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """`count` stretches of `frames` frames: utterance and first frame."""
    picks = []
    while len(picks) < count:
        n = int(random.integers(len(corpus)))
        if corpus.frames(n) > frames:
            picks.append((n, int(random.integers(corpus.frames(n) - frames))))
    return picks


class SpokenPhones:
    """What flite said when."""

    def __init__(self, corpus: Corpus):
        self.lines = corpus.lines
        self.names = sorted({name for line in corpus.lines for name, _ in line["phones"]})

    def __len__(self) -> int:
        return len(self.names)

    def at(self, n: int, seconds: np.ndarray) -> Tensor:
        """Ids of the phones of utterance n at these times."""
        names, ends = zip(*self.lines[n]["phones"], strict=True)
        which = np.minimum(np.searchsorted(np.array(ends), seconds), len(names) - 1)
        return torch.tensor([self.names.index(names[k]) for k in which])


class GeneratorStage(nn.Module):
    FRAMES, BATCH, RATE = 40, 12, 1.5e-3
    MARGIN = 4          # frames on either side that only give context

    def __init__(self, corpus: Corpus):
        super().__init__()
        self.generator = WaveGenerator(BICODEC["decoder"]["input_channel"], **{
            k: v for k, v in BICODEC["decoder"].items() if k != "input_channel"})
        self.wires = Wires(self.generator)
        self.fast = torch.compile(self.generator)
        self.loss, self.low = MelLoss(), LowLoss()
        self.corpus = corpus

    def batch(self, random: np.random.Generator):
        picks = pick(self.corpus, self.FRAMES, self.BATCH, random)
        x = torch.stack([self.corpus.described(n, first, self.FRAMES) for n, first in picks])
        turning = torch.stack([self.corpus.turning(n, first, self.FRAMES) for n, first in picks])
        wave = torch.stack([self.corpus.wave(n, first, self.FRAMES) for n, first in picks])
        return widen(torch.cat([x, from_zero(turning)], -1)), wave

    def forward(self, batch):
        x, wave = batch
        edge = self.MARGIN * HOP
        made, wave = self.fast(x.mT)[:, edge:-edge], wave[:, edge:-edge]
        mel, low = self.loss(made, wave), self.low(made, wave)
        return mel + 0.5 * low, {"mel": mel.item(), "low": low.item()}


def from_zero(turning: Tensor) -> Tensor:
    """Ramp and base, less the whole periods at the start, which make no difference."""
    ramp, base = turning[..., :1], turning[..., 1:2]
    return torch.cat([ramp - ramp[:, :1].round(), base], -1)


def widen(described: Tensor) -> Tensor:
    """Described frames with zeros up to the generator's input width."""
    return F.pad(described, (0, BICODEC["decoder"]["input_channel"] - described.shape[-1]))


class Codec(nn.Module):
    """Every trained part, under the names of the released files."""

    def __init__(self):
        super().__init__()
        c = BICODEC
        self.wav2vec2 = Wav2Vec2(WAV2VEC2["hidden_size"], WAV2VEC2["num_attention_heads"], WAV2VEC2["intermediate_size"],
                                 WAV2VEC2["conv_dim"][0], TRAINED_BLOCKS)
        self.encoder = SemanticEncoder(**without(c["encoder"], "sample_ratios"))
        self.quantizer = Quantizer(*(c["quantizer"][k] for k in ("input_dim", "codebook_size", "codebook_dim")))
        self.speaker_encoder = SpeakerEncoder(**without(c["speaker_encoder"], "fsq_num_quantizers"))
        self.prenet = Prenet(**without(c["prenet"], "sample_ratios", "use_tanh_at_final"))
        self.voice_mel = VoiceMel()


def without(section: dict, *names: str) -> dict:
    return {k: v for k, v in section.items() if k not in names}


class ContentStage(nn.Module):
    SECONDS, BATCH, RATE = 2.0, 12, 1.5e-3

    def __init__(self, corpus: Corpus):
        super().__init__()
        self.codec = Codec()
        self.corpus = corpus
        self.phones = SpokenPhones(corpus)
        self.speakers = sorted({line["speaker"] for line in corpus.lines})
        width = BICODEC["prenet"]["condition_dim"]
        self.tell_phone = nn.Linear(BICODEC["quantizer"]["input_dim"], len(self.phones))
        self.tell_early = nn.Linear(WAV2VEC2["hidden_size"], len(self.phones))
        self.tell_voice = nn.Linear(width, len(self.speakers) + 1)
        pitch = corpus.features[:, 80].astype(np.float32) / 2
        voiced = corpus.features[:, 81] > 0
        self.heights = np.array([np.median(pitch[a:b][voiced[a:b]]) if voiced[a:b].any() else 0.0
                                 for a, b in itertools.pairwise(corpus.start)])

    def batch(self, random: np.random.Generator):
        frames = int(self.SECONDS * RATE / HOP)
        picks = pick(self.corpus, frames, self.BATCH, random)
        clip = int(self.SECONDS * RATE)         # inference hears 6 s; the voice is in any 2 s of them

        def voice(n):
            x = self.corpus.wave(n)
            return torch.roll(x, int(random.integers(len(x))))[:clip]
        return (torch.stack([self.corpus.wave(n, first, frames) for n, first in picks]),
                torch.stack([voice(n) for n, _ in picks]),
                torch.stack([self.corpus.described(n, first, frames) for n, first in picks]),
                torch.stack([self.corpus.turning(n, first, frames) for n, first in picks]),
                torch.stack([self.phones.at(n, (np.arange(first, first + frames) + 0.6) * HOP / RATE) for n, first in picks]),
                torch.tensor([self.speakers.index(self.corpus.lines[n]["speaker"]) for n, _ in picks]),
                torch.tensor([self.heights[n] for n, _ in picks], dtype=torch.float32))

    def forward(self, batch):
        wave, clip, described, turning, phones, speakers, heights = batch
        c = self.codec
        features = c.wav2vec2(F.pad(wave, (0, 80)))
        quantized, commitment, ids = c.quantizer(c.encoder(features))
        d = c.speaker_encoder(c.voice_mel(clip))
        made = c.prenet(quantized, d) + d[:, None]
        frame = (made[..., :FEATURES] - described).abs().mean()
        step = (made[:, 1:, :FEATURES] - made[:, :-1, :FEATURES] - (described[:, 1:] - described[:, :-1])).abs().mean()
        turn, rest = turning_loss(made, turning), made[..., BASE + 1:].square().mean()
        told = self.tell_voice(d)
        voice = F.cross_entropy(told[:, 1:], speakers)
        height = (told[:, 0] - 2 * heights).abs().mean()
        early = F.cross_entropy(self.tell_early(features).flatten(0, 1), phones.flatten())
        late = F.cross_entropy(self.tell_phone(quantized).flatten(0, 1), phones.flatten())
        loss = 3 * frame + 1.5 * step + 0.5 * turn + rest + commitment + 0.3 * early + late + 0.1 * voice + 0.5 * height
        return loss, {"frame": frame.item(), "slope": step.item(), "turn": turn.item(), "commit": commitment.item(),
                      "early": early.item(), "phone": late.item(), "voice": voice.item(), "pitch": height.item(),
                      "codes": len(ids.unique())}


class ListenerStage(nn.Module):
    """The recogniser that judges in the joint stage, trained on the teacher's recordings."""

    FRAMES, BATCH, RATE = 80, 12, 2e-3

    def __init__(self, corpus: Corpus):
        super().__init__()
        self.corpus, self.phones = corpus, SpokenPhones(corpus)
        self.listener = Listener(len(self.phones))

    def batch(self, random: np.random.Generator):
        picks = pick(self.corpus, self.FRAMES, self.BATCH, random)
        wave = torch.stack([self.corpus.wave(n, first, self.FRAMES) for n, first in picks])
        return wave, torch.stack([self.phones.at(n, first * HOP / RATE + Ear.times(wave.shape[1])) for n, first in picks])

    def forward(self, batch):
        wave, said = batch
        loss, right = self.listener(*disturbed(wave), said)
        return loss, {"phone": loss.item(), "right": right.item()}


class JointStage(nn.Module):
    """Begins with what the two others left in WORK, or with a model directory; the ids of every utterance are computed once, by
    weights as they ship."""

    FRAMES, CONTEXT, BATCH, RATE = 80, 36, 6, 8e-4
    FINISHED_RATE = 4e-4        # from a finished codec
    MARGIN = 4
    LED = 3         # of the batch turn as the recordings do, whose waveform they should then have; the others as the ids tell

    def __init__(self, corpus: Corpus, work: Path, model: Path | None):
        super().__init__()
        self.codec, self.corpus, self.phones = Codec(), corpus, SpokenPhones(corpus)
        self.listener = Listener(len(self.phones))
        state = torch.load(work / "listener.pt", weights_only=True)["net"]
        self.listener.load_state_dict({k.removeprefix("listener."): v for k, v in state.items()})
        self.loss, self.heard = MelLoss(((1024, 80), (512, 60), (256, 40))), EnvelopeLoss()
        begun = GeneratorStage(corpus)
        if model:
            read_model(model, self.codec, begun.generator)
            self.RATE = self.FINISHED_RATE
        else:
            self.read_stages(work, begun)
        self.generator, self.wires, self.low = begun.generator, begun.wires, begun.low
        self.fast = torch.compile(self.generator)
        for part in (self.codec.wav2vec2, self.codec.encoder, self.codec.quantizer, self.codec.speaker_encoder,
                     self.listener):
            part.requires_grad_(False)
        self.tokens = Tokens(self.codec, corpus, work)

    def read_stages(self, work: Path, begun: GeneratorStage) -> None:
        for net, stage in ((begun, "generator"), (self, "content")):
            state = torch.load(work / f"{stage}.pt", weights_only=True)["net"]
            net.load_state_dict({k: v for k, v in state.items() if stage == "generator" or k.startswith("codec.")}, strict=False)
        for part in (self.codec.wav2vec2, self.codec.encoder, self.codec.speaker_encoder, self.codec.quantizer.in_project,
                     self.codec.quantizer.codebook):
            as_shipped(part)

    def train(self, mode: bool = True):
        super().train(mode)
        self.codec.speaker_encoder.eval()
        self.listener.eval()
        return self

    def batch(self, random: np.random.Generator):
        picks = pick(self.corpus, self.FRAMES, self.BATCH, random)
        spans = [(n, max(0, first - self.CONTEXT), min(self.corpus.frames(n), first + self.FRAMES + self.CONTEXT), first)
                 for n, first in picks]
        inside = self.FRAMES - 2 * self.MARGIN
        wave = torch.stack([self.corpus.wave(n, first + self.MARGIN, inside) for n, first in picks])
        return (spans, torch.stack([self.corpus.described(n, first, self.FRAMES) for n, first in picks]),
                torch.stack([self.corpus.turning(n, first, self.FRAMES) for n, first in picks]), wave,
                torch.stack([self.phones.at(n, (first + self.MARGIN) * HOP / RATE + Ear.times(inside * HOP))
                             for n, first in picks]))

    def forward(self, batch):
        spans, described, turning, wave, said = batch
        c, width = self.codec, self.FRAMES + 2 * self.CONTEXT
        ids = torch.zeros(len(spans), width, dtype=torch.long)
        for row, (n, begin, end, _) in enumerate(spans):        # an utterance's end counts as the silence it is
            ids[row, :end - begin] = self.tokens.semantic(n)[begin:end]
            ids[row, end - begin:] = ids[row, end - begin - 1]
        with torch.no_grad():
            voice = c.speaker_encoder.quantizer.project_out(self.tokens.codes[[n for n, *_ in spans]])
            d = c.speaker_encoder.project(voice.mT.flatten(1))
        made = c.prenet(c.quantizer.decode(ids), d) + d[:, None]
        made = torch.stack([made[row, first - begin:first - begin + self.FRAMES]
                            for row, (_, begin, _, first) in enumerate(spans)])
        frame = (made[..., :FEATURES] - described).abs().mean()
        turn, edge = turning_loss(made, turning), self.MARGIN * HOP
        turned = torch.cat([from_zero(turning[:self.LED]), made[self.LED:, :, RAMP:BASE + 1].detach()])
        sound = self.fast(torch.cat([made[..., :RAMP], turned, made[..., BASE + 1:]], -1).mT)[:, edge:-edge]
        mel, heard = self.loss(sound, wave), self.heard(sound, wave)
        low = self.low(sound[:self.LED], wave[:self.LED])
        phone, apart = self.listener.compare(sound, wave, said)
        return 0.4 * mel + heard + 0.3 * (2 * frame + turn) + low + phone + apart, {
            "mel": mel.item(), "heard": heard.item(), "frame": frame.item(), "turn": turn.item(), "low": low.item(),
            "phone": phone.item(), "apart": apart.item()}


@torch.no_grad()
def as_shipped(part: nn.Module) -> None:
    """Round to float16, which `export.py` stores."""
    for tensor in (*part.parameters(), *(b for b in part.buffers() if b.is_floating_point())):
        tensor.copy_(tensor.half().float())


class Tokens:
    """Semantic ids and voice codes of every utterance, kept in WORK."""

    @torch.no_grad()
    def __init__(self, codec: Codec, corpus: Corpus, work: Path):
        self.corpus, path = corpus, work / "tokens.pt"
        if not path.exists():
            codec.eval()
            ids, codes = [], []
            for n in range(len(corpus)):
                x = corpus.wave(n)[None]
                ids.append(codec.quantizer.encode(codec.encoder(codec.wav2vec2(F.pad(x, (0, 80)))))[0][0].to(torch.int16))
                clip = x.repeat(1, 6 * RATE // x.shape[1] + 1)[:, :6 * RATE]
                codes.append(codec.speaker_encoder.quantizer.codes(codec.speaker_encoder.latents(codec.voice_mel(clip)))[0])
            torch.save({"ids": torch.cat(ids), "codes": torch.stack(codes)}, path.with_suffix(".part"))
            os.replace(path.with_suffix(".part"), path)
        kept = torch.load(path, weights_only=True)
        self.ids, self.codes = kept["ids"], kept["codes"]

    def semantic(self, n: int) -> Tensor:
        return self.ids[int(self.corpus.start[n]):int(self.corpus.start[n + 1])].long()


STAGES = {"generator": GeneratorStage, "content": ContentStage, "listener": ListenerStage, "joint": JointStage}


# ---- training -------------------------------------------------------------------------------------------------------------
def train(stage: str, corpus: Path, work: Path, model: Path | None, steps: int, seed: int, threads: int) -> None:
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    net = STAGES[stage](Corpus(corpus), *([work, model] if stage == "joint" else []))
    rate = net.RATE
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], rate, betas=(0.8, 0.98), weight_decay=1e-3)
    path, done = work / f"{stage}.pt", 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        net.load_state_dict(state["net"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        done = state["step"]
    if wires := getattr(net, "wires", None):
        wires.hold()
        optimizer.register_step_post_hook(lambda *_: wires.hold())
    net.train()
    sums, count, since = {}, 0, time.monotonic()
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1, step / steps))))
        torch.manual_seed(seed * 1_000_003 + step)
        loss, parts = net(net.batch(np.random.default_rng((seed, step))))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        count += 1
        if (step + 1) % 50 == 0:
            line = {"step": step + 1, "s": round((time.monotonic() - since) / count, 3),
                    **{name: round(value / count, 4) for name, value in sums.items()}}
            print(json.dumps(line), flush=True)
            with open(work / f"{stage}.log", "a") as log:
                log.write(json.dumps(line) + "\n")
            sums, count, since = {}, 0, time.monotonic()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            torch.save({"net": {k: v for k, v in net.state_dict().items() if not k.startswith("fast.")},
                        "optimizer": optimizer.state_dict(), "step": step + 1}, path.with_suffix(".part"))
            os.replace(path.with_suffix(".part"), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--model", type=Path, help="joint: begin with this model directory, not with the stages before")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    train(**vars(options))


if __name__ == "__main__":
    main()
