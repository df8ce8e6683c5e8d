"""Semantic ids and speaker codes of every utterance, computed once and cached in WORK/tokens.pt."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from recipes.demo_voice.codec.dataset import SAMPLE_RATE, Corpus
from recipes.demo_voice.codec.model import Codec
from sparktts_ms.files import atomic_write

REFERENCE_SAMPLES = 6 * SAMPLE_RATE     # of the recording that the speaker encoder gets


class CodecTokens:
    """`ids` int16 [T], frames of all utterances end to end; `speaker_codes` [N, tokens, digits]."""

    def __init__(self, codec: Codec, corpus: Corpus, work: Path):
        path = work / "tokens.pt"
        if not path.exists():
            encode_corpus(codec, corpus, path)
        tokens = torch.load(path, weights_only=True)
        self.start = corpus.start
        self.ids = tokens["ids"]
        self.speaker_codes = tokens["codes"]

    def semantic_ids(self, n: int) -> Tensor:
        return self.ids[int(self.start[n]):int(self.start[n + 1])].long()


@torch.no_grad()
def encode_corpus(codec: Codec, corpus: Corpus, path: Path) -> None:
    codec.eval()
    ids = []
    codes = []
    for n in range(len(corpus)):
        samples = corpus.waveform(n)[None]
        latents = codec.encoder(codec.wav2vec2_features(samples))
        ids.append(codec.quantizer.encode(latents)[0][0].to(torch.int16))
        repeats = REFERENCE_SAMPLES // samples.shape[1] + 1
        reference = samples.repeat(1, repeats)[:, :REFERENCE_SAMPLES]
        codes.append(codec.speaker_encoder.codes(codec.speaker_mel(reference))[0])
    with atomic_write(path) as file:
        torch.save({"ids": torch.cat(ids), "codes": torch.stack(codes)}, file)
