"""The codec's training stages: each draws its batches and computes its loss.

- vocoder: acoustic and phase features of recordings -> wave generator -> waveform.
- tokenizer: waveform -> wav2vec 2.0 -> encoder -> quantizer -> prenet, conditioned on the speaker
  vector, -> acoustic and phase features. Auxiliary heads predict the phone from quantized frames,
  speaker and pitch from the speaker vector.
- perceptual: waveform -> phones, the classifiers of the perceptual loss.
- joint: semantic ids, now fixed, -> prenet -> wave generator -> waveform, with the perceptual loss.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import (
    HOP_LENGTH,
    NUM_ACOUSTIC,
    NUM_FEATURES,
    SAMPLE_RATE,
    Corpus,
    PhoneLabels,
)
from recipes.demo_voice.codec.export import load_released_codec
from recipes.demo_voice.codec.losses import BandEnergyLoss, LowpassLoss, MelLoss
from recipes.demo_voice.codec.model import Codec, WaveGenerator
from recipes.demo_voice.codec.perceptual_loss import PerceptualLoss, PhoneClassifier, augment
from recipes.demo_voice.codec.phase import PhaseChannels, phase_loss
from recipes.demo_voice.codec.tokens import CodecTokens
from recipes.demo_voice.config import BICODEC, WAV2VEC2
from recipes.demo_voice.training import submodule_state


class Segments:
    """Randomly drawn segments of the corpus, all of `num_frames` frames: utterance, first frame."""

    def __init__(self, corpus: Corpus, num_frames: int, count: int, rng: np.random.Generator):
        self.corpus = corpus
        self.num_frames = num_frames
        self.picks: list[tuple[int, int]] = []
        while len(self.picks) < count:
            n = int(rng.integers(len(corpus)))
            length = corpus.num_frames(n)
            if length > num_frames:
                self.picks.append((n, int(rng.integers(length - num_frames))))

    def acoustic_features(self) -> Tensor:
        """[B, T, 164]"""
        return self._stack(self.corpus.acoustic_features)

    def phase_features(self) -> Tensor:
        """[B, T, 3]"""
        return self._stack(self.corpus.phase_features)

    def waveforms(self, margin: int = 0) -> Tensor:
        """[B, 320 (T - 2 margin)], without `margin` frames on either side."""
        waveforms = []
        for n, first in self.picks:
            inner_frames = self.num_frames - 2 * margin
            waveforms.append(self.corpus.waveform(n, first + margin, inner_frames))
        return torch.stack(waveforms)

    def frame_phones(self, labels: PhoneLabels) -> Tensor:
        """[B, T]"""
        rows = []
        for n, first in self.picks:
            frames = np.arange(first, first + self.num_frames) + 0.6
            rows.append(labels.at(n, frames * HOP_LENGTH / SAMPLE_RATE))
        return torch.stack(rows)

    def classifier_phones(self, labels: PhoneLabels, margin: int = 0) -> Tensor:
        """[B, frames of `PhoneClassifier`] of `waveforms(margin)`."""
        num_samples = (self.num_frames - 2 * margin) * HOP_LENGTH
        seconds = PhoneClassifier.frame_times(num_samples)
        rows = []
        for n, first in self.picks:
            rows.append(labels.at(n, (first + margin) * HOP_LENGTH / SAMPLE_RATE + seconds))
        return torch.stack(rows)

    def _stack(self, features) -> Tensor:
        return torch.stack([features(n, first, self.num_frames) for n, first in self.picks])


class Stage(nn.Module):
    """A network with `batch`, which draws from a generator, and `forward`, which returns loss and
    metrics. `after_step` is called once before training and after each optimizer step."""

    learning_rate = 1.5e-3

    def after_step(self) -> None:
        pass


class VocoderStage(Stage):
    NUM_FRAMES = 40
    BATCH_SIZE = 12
    MARGIN = 4              # frames on either side that are only context

    def __init__(self, corpus: Corpus):
        super().__init__()
        self.generator = WaveGenerator(BICODEC["decoder"])
        self.generator.compile()
        self.phase_channels = PhaseChannels(self.generator)
        self.mel_loss = MelLoss()
        self.lowpass_loss = LowpassLoss()
        self.corpus = corpus

    def after_step(self) -> None:
        self.phase_channels.restore()

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        segments = Segments(self.corpus, self.NUM_FRAMES, self.BATCH_SIZE, rng)
        phase = generator_phase(segments.phase_features())
        features = torch.cat([segments.acoustic_features(), phase], -1)
        padding = BICODEC["decoder"]["input_channel"] - features.shape[-1]
        return F.pad(features, (0, padding)), segments.waveforms()

    def forward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict]:
        features, waveform = batch
        margin = self.MARGIN * HOP_LENGTH
        generated = self.generator(features.mT)[:, margin:-margin]
        waveform = waveform[:, margin:-margin]
        mel = self.mel_loss(generated, waveform)
        lowpass = self.lowpass_loss(generated, waveform)
        return mel + 0.5 * lowpass, {"mel": mel, "lowpass": lowpass}


def generator_phase(phase: Tensor) -> Tensor:
    """Phase features [B, T, 3] -> offset and base frequency [B, T, 2]; the offset begins near 0."""
    offset = phase[..., :1]
    return torch.cat([offset - offset[:, :1].round(), phase[..., 1:2]], -1)


class TokenizerBatch(NamedTuple):
    waveform: Tensor        # [B, 320 T]
    reference: Tensor       # [B, 320 T], of the same utterance, for the speaker encoder
    acoustic: Tensor        # [B, T, 164]
    phase: Tensor           # [B, T, 3]
    phones: Tensor          # [B, T]
    speakers: Tensor        # [B]
    log_pitch: Tensor       # [B], median of the utterance


class TokenizerStage(Stage):
    NUM_FRAMES = 100
    BATCH_SIZE = 12

    def __init__(self, corpus: Corpus):
        super().__init__()
        self.codec = Codec()
        self.corpus = corpus
        self.labels = PhoneLabels(corpus)
        self.speakers = sorted({entry["speaker"] for entry in corpus.entries})
        condition_dim = BICODEC["prenet"]["condition_dim"]
        self.phone_head = nn.Linear(BICODEC["quantizer"]["input_dim"], len(self.labels))
        self.feature_phone_head = nn.Linear(WAV2VEC2["hidden_size"], len(self.labels))
        self.speaker_head = nn.Linear(condition_dim, len(self.speakers) + 1)    # the first: pitch
        self.log_pitch = np.zeros(len(corpus))
        for n in range(len(corpus)):
            log_pitch = corpus.voiced_log_pitch(n)
            if len(log_pitch):
                self.log_pitch[n] = np.median(log_pitch)

    def batch(self, rng: np.random.Generator) -> TokenizerBatch:
        segments = Segments(self.corpus, self.NUM_FRAMES, self.BATCH_SIZE, rng)
        references = []
        speakers = []
        for n, _ in segments.picks:
            samples = self.corpus.waveform(n)
            samples = torch.roll(samples, int(rng.integers(len(samples))))
            references.append(samples[:self.NUM_FRAMES * HOP_LENGTH])
            speakers.append(self.speakers.index(self.corpus.entries[n]["speaker"]))
        log_pitch = self.log_pitch[[n for n, _ in segments.picks]]
        return TokenizerBatch(segments.waveforms(), torch.stack(references),
                              segments.acoustic_features(), segments.phase_features(),
                              segments.frame_phones(self.labels), torch.tensor(speakers),
                              torch.from_numpy(log_pitch).float())

    def forward(self, batch: TokenizerBatch) -> tuple[Tensor, dict]:
        codec = self.codec
        features = codec.wav2vec2_features(batch.waveform)
        quantized, commitment, ids = codec.quantizer(codec.encoder(features))
        speaker = codec.speaker_encoder(codec.speaker_mel(batch.reference))
        predicted = codec.wave_features(quantized, speaker)
        acoustic = predicted[..., :NUM_ACOUSTIC]
        feature_loss = (acoustic - batch.acoustic).abs().mean()
        delta = acoustic[:, 1:] - acoustic[:, :-1]
        target_delta = batch.acoustic[:, 1:] - batch.acoustic[:, :-1]
        delta_loss = (delta - target_delta).abs().mean()
        phase = phase_loss(predicted, batch.phase)
        unused = predicted[..., NUM_FEATURES:].square().mean()
        speaker_logits = self.speaker_head(speaker)
        speaker_loss = F.cross_entropy(speaker_logits[:, 1:], batch.speakers)
        pitch_loss = (speaker_logits[:, 0] - 2 * batch.log_pitch).abs().mean()
        feature_phone_loss = _phone_loss(self.feature_phone_head(features), batch.phones)
        phone_loss = _phone_loss(self.phone_head(quantized), batch.phones)
        loss = (3 * feature_loss + 1.5 * delta_loss + 0.5 * phase + unused + commitment
                + 0.3 * feature_phone_loss + phone_loss + 0.1 * speaker_loss + 0.5 * pitch_loss)
        return loss, {"features": feature_loss, "delta": delta_loss, "phase": phase,
                      "commitment": commitment, "feature_phones": feature_phone_loss,
                      "phones": phone_loss, "speaker": speaker_loss, "pitch": pitch_loss,
                      "codes_used": len(ids.unique())}


def _phone_loss(logits: Tensor, phones: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), phones.flatten())


class PerceptualStage(Stage):
    """Trains the classifiers of the perceptual loss on recordings of the reference synthesizer."""

    NUM_FRAMES = 80
    BATCH_SIZE = 12
    learning_rate = 2e-3

    def __init__(self, corpus: Corpus):
        super().__init__()
        self.corpus = corpus
        self.labels = PhoneLabels(corpus)
        self.perceptual_loss = PerceptualLoss(len(self.labels))

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        segments = Segments(self.corpus, self.NUM_FRAMES, self.BATCH_SIZE, rng)
        return segments.waveforms(), segments.classifier_phones(self.labels)

    def forward(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict]:
        waveform, phones = batch
        loss, accuracy = self.perceptual_loss.classification_loss(*augment(waveform), phones)
        return loss, {"phones": loss, "accuracy": accuracy}


class JointBatch(NamedTuple):
    utterances: list[int]
    ids: Tensor             # [B, CONTEXT + T + CONTEXT]
    offsets: list[int]      # where the segment begins in its row of ids
    acoustic: Tensor        # [B, T, 164]
    phase: Tensor           # [B, T, 3]
    waveform: Tensor        # [B, 320 (T - 2 MARGIN)]
    phones: Tensor          # [B, frames of the classifiers]


class JointStage(Stage):
    """Prenet and generator together, from the checkpoints of the vocoder and tokenizer stages, or
    from a finished model directory. Semantic ids are fixed: those of the weights as exported."""

    NUM_FRAMES = 80
    CONTEXT = 36            # frames on either side that the prenet gets beside
    MARGIN = 4
    BATCH_SIZE = 6
    NUM_TRUE_PHASE = 3      # rows of a batch with the recording's phase; the others: as predicted
    learning_rate = 8e-4

    def __init__(self, corpus: Corpus, work: Path, model_dir: Path | None):
        super().__init__()
        self.codec = Codec()
        self.corpus = corpus
        self.labels = PhoneLabels(corpus)
        self.perceptual_loss = PerceptualLoss(len(self.labels))
        state = submodule_state(work, "perceptual", "perceptual_loss")
        self.perceptual_loss.load_state_dict(state)
        self.mel_loss = MelLoss(((1024, 80), (512, 60), (256, 40)))
        self.band_energy_loss = BandEnergyLoss()
        vocoder = VocoderStage(corpus)
        self.generator = vocoder.generator
        self.phase_channels = vocoder.phase_channels
        self.lowpass_loss = vocoder.lowpass_loss
        if model_dir:
            load_released_codec(model_dir, self.codec, self.generator)
            self.learning_rate = 4e-4
        else:
            self._load_stages(work)
        codec = self.codec
        for part in (codec.wav2vec2, codec.encoder, codec.quantizer, codec.speaker_encoder,
                     self.perceptual_loss):
            part.requires_grad_(False)
        self.tokens = CodecTokens(codec, corpus, work)

    def _load_stages(self, work: Path) -> None:
        codec = self.codec
        self.generator.load_state_dict(submodule_state(work, "vocoder", "generator"))
        codec.load_state_dict(submodule_state(work, "tokenizer", "codec"))
        for part in (codec.wav2vec2, codec.encoder, codec.speaker_encoder,
                     codec.quantizer.in_project, codec.quantizer.codebook):
            round_to_float16(part)

    def after_step(self) -> None:
        self.phase_channels.restore()

    def train(self, mode: bool = True):
        super().train(mode)
        self.codec.speaker_encoder.eval()
        self.perceptual_loss.eval()
        return self

    def batch(self, rng: np.random.Generator) -> JointBatch:
        segments = Segments(self.corpus, self.NUM_FRAMES, self.BATCH_SIZE, rng)
        ids = torch.zeros(self.BATCH_SIZE, self.NUM_FRAMES + 2 * self.CONTEXT, dtype=torch.long)
        offsets = []
        for row, (n, first) in zip(ids, segments.picks, strict=True):
            begin = max(0, first - self.CONTEXT)
            end = min(self.corpus.num_frames(n), first + self.NUM_FRAMES + self.CONTEXT)
            row[:end - begin] = self.tokens.semantic_ids(n)[begin:end]
            row[end - begin:] = row[end - begin - 1].clone()    # an utterance ends in silence
            offsets.append(first - begin)
        utterances = [n for n, _ in segments.picks]
        return JointBatch(utterances, ids, offsets, segments.acoustic_features(),
                          segments.phase_features(), segments.waveforms(self.MARGIN),
                          segments.classifier_phones(self.labels, self.MARGIN))

    def forward(self, batch: JointBatch) -> tuple[Tensor, dict]:
        predicted = self._predict_features(batch)
        feature_loss = (predicted[..., :NUM_ACOUSTIC] - batch.acoustic).abs().mean()
        phase = phase_loss(predicted, batch.phase)
        generated = self._generate(predicted, batch.phase)
        waveform = batch.waveform
        mel = self.mel_loss(generated, waveform)
        bands = self.band_energy_loss(generated, waveform)
        in_phase = self.NUM_TRUE_PHASE
        lowpass = self.lowpass_loss(generated[:in_phase], waveform[:in_phase])
        phones, matching = self.perceptual_loss(generated, waveform, batch.phones)
        loss = 0.4 * mel + bands + 0.3 * (2 * feature_loss + phase) + lowpass + phones + matching
        return loss, {"mel": mel, "bands": bands, "features": feature_loss, "phase": phase,
                      "lowpass": lowpass, "phones": phones, "feature_matching": matching}

    def _predict_features(self, batch: JointBatch) -> Tensor:
        """Input of the generator [B, T, C] from semantic ids and speaker codes."""
        codec = self.codec
        with torch.no_grad():
            codes = self.tokens.speaker_codes[batch.utterances]
            speaker = codec.speaker_encoder.speaker_vector(codes)
        predicted = codec.wave_features(codec.quantizer.decode(batch.ids), speaker)
        rows = []
        for row, offset in zip(predicted, batch.offsets, strict=True):
            rows.append(row[offset:offset + self.NUM_FRAMES])
        return torch.stack(rows)

    def _generate(self, predicted: Tensor, phase: Tensor) -> Tensor:
        """Samples without margins; the first rows with the recording's phase, not the predicted."""
        true_phase = generator_phase(phase[:self.NUM_TRUE_PHASE])
        predicted_phase = predicted[self.NUM_TRUE_PHASE:, :, NUM_ACOUSTIC:NUM_FEATURES]
        phase = torch.cat([true_phase, predicted_phase.detach()])
        features = [predicted[..., :NUM_ACOUSTIC], phase, predicted[..., NUM_FEATURES:]]
        margin = self.MARGIN * HOP_LENGTH
        return self.generator(torch.cat(features, -1).mT)[:, margin:-margin]


@torch.no_grad()
def round_to_float16(part: nn.Module) -> None:
    """Round weights and statistics as `export.py` will store them."""
    for tensor in (*part.parameters(), *part.buffers()):
        if tensor.is_floating_point():
            tensor.copy_(tensor.half().float())
