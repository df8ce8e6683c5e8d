"""Perceptual loss of the joint stage, by frozen phone classifiers.

In generated speech they should recognise the phones that were spoken (cross-entropy), and their
layers should respond to it as to the recording (feature matching).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import SAMPLE_RATE, htk_mel_filters


class PhoneClassifier(nn.Module):
    """Samples [B, N] -> outputs of all layers, the last being phone logits, each [B, C, frames].

    Its input are log energies of `num_bands` mel bands between 130 and 6,800 Hz, or `num_cepstra`
    cepstral coefficients of them, with first and second differences. Convolutions see 0.1 s to
    either side.
    """

    N_FFT = 512
    WIN_LENGTH = 410
    HOP_LENGTH = 160
    FLOOR = 1e-4
    EDGE_FRAMES = 10        # on either side, whose context is not complete

    def __init__(self, num_phones: int, num_bands: int, num_cepstra: int = 0, width: int = 128):
        super().__init__()
        filters = htk_mel_filters(num_bands, self.N_FFT, 130.0, 6800.0)
        self.register_buffer("filters", torch.from_numpy(filters), persistent=False)
        window = torch.hamming_window(self.WIN_LENGTH)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("transform", _dct(num_cepstra, num_bands), persistent=False)
        inputs = 3 * len(self.transform)
        self.input_norm = nn.BatchNorm1d(inputs, affine=False)
        self.layers = nn.ModuleList([
            nn.Conv1d(inputs, width, 5, padding=2),
            nn.Conv1d(width, width, 5, padding=4, dilation=2),
            nn.Conv1d(width, width, 5, padding=4, dilation=2),
        ])
        self.head = nn.Conv1d(width, num_phones, 1)

    def forward(self, samples: Tensor) -> list[Tensor]:
        x = self.input_norm(self._features(samples))
        outputs = [x]
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            outputs.append(x)
        return [*outputs, self.head(x)]

    def _features(self, samples: Tensor) -> Tensor:
        x = samples - 0.97 * F.pad(samples, (1, 0))[:, :-1]
        spectrum = torch.stft(x, self.N_FFT, self.HOP_LENGTH, self.WIN_LENGTH, self.window,
                              center=False, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        x = self.transform @ torch.log(self.filters @ power + self.FLOOR)
        padded = F.pad(x, (3, 3), mode="replicate")
        delta = padded[..., 4:] - padded[..., :-4]      # over 40 ms, one frame more on each side
        return torch.cat([x, delta[..., 1:-1], delta[..., 2:] - delta[..., :-2]], 1)

    @classmethod
    def frame_times(cls, num_samples: int) -> np.ndarray:
        """Seconds at the middle of each frame."""
        starts = np.arange((num_samples - cls.N_FFT) // cls.HOP_LENGTH + 1) * cls.HOP_LENGTH
        return (starts + cls.N_FFT / 2) / SAMPLE_RATE


def _dct(num_cepstra: int, num_bands: int) -> Tensor:
    """DCT-II [num_cepstra, num_bands]; the identity for 0."""
    if not num_cepstra:
        return torch.eye(num_bands)
    angles = np.pi / num_bands * np.arange(num_cepstra)[:, None] * (np.arange(num_bands) + 0.5)
    return torch.from_numpy(np.cos(angles) * math.sqrt(2 / num_bands)).float()


class PerceptualLoss(nn.Module):
    """Three classifiers with different inputs, so that the generator cannot exploit one."""

    def __init__(self, num_phones: int):
        super().__init__()
        self.classifiers = nn.ModuleList([
            PhoneClassifier(num_phones, 40),
            PhoneClassifier(num_phones, 25, 13),
            PhoneClassifier(num_phones, 60, 20, 96),
        ])

    def classification_loss(self, samples: Tensor, phones: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the phones [B, frames] and accuracy, to train the classifiers."""
        target = _inner(phones)
        losses = []
        accuracies = []
        for classifier in self.classifiers:
            logits = _inner(classifier(samples)[-1])
            losses.append(F.cross_entropy(logits, target))
            accuracies.append((logits.argmax(1) == target).float().mean())
        return torch.stack(losses).mean(), torch.stack(accuracies).mean()

    def forward(self, generated: Tensor, reference: Tensor, phones: Tensor,
                ) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the phones in `generated`, and feature matching loss to `reference`."""
        losses = []
        distances = []
        generated, reference = augment(generated, reference)
        for classifier in self.classifiers:
            outputs = classifier(generated)
            with torch.no_grad():
                targets = classifier(reference)
            losses.append(F.cross_entropy(_inner(outputs[-1]), _inner(phones)))
            for output, target in zip(outputs[:-1], targets[:-1], strict=True):
                distance = (_inner(output) - _inner(target)).abs().mean()
                distances.append(distance / _inner(target).abs().mean())
        return torch.stack(losses).mean(), torch.stack(distances).mean()


def _inner(x: Tensor) -> Tensor:
    return x[..., PhoneClassifier.EDGE_FRAMES:-PhoneClassifier.EDGE_FRAMES]


def augment(*signals: Tensor) -> list[Tensor]:
    """Random gain, spectral tilt and noise, the same for all signals [B, N]."""
    batch_size = len(signals[0])
    tilt = _uniform(batch_size, -0.4, 0.4)
    gain = 10 ** _uniform(batch_size, -0.4, 0.3)
    noise_level = signals[-1].std(1, keepdim=True) * 10 ** _uniform(batch_size, -2.5, -1)
    noise = noise_level * torch.randn_like(signals[-1])
    return [(x + tilt * F.pad(x, (1, 0))[:, :-1] + noise) * gain for x in signals]


def _uniform(batch_size: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(batch_size, 1)
