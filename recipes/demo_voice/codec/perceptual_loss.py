"""A recogniser of phones for the joint stage: it should hear in generated samples what was said, as it does in the recording.

On 60 development sentences in four voices pocketsphinx got 20.4 % of the codec's words wrong before and 16.9 % after 2,200 steps
with these losses (the teacher's: 16.6 %); on 40 others, by which nothing was chosen, 19.8 and 16.4 % (15.0 %). Mel distance rose
from 3.3 to 3.5 dB, STOI fell from 0.894 to 0.887. In 400 steps, with a listener of 1,500 steps and nothing disturbed, a weight of
0.3 for the phones brought 19.1 %, of 1 18.6 %.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import RATE, mel_filters


class Ear(nn.Module):
    """Samples [B, N] -> what the layers make of them, the last being scores of phones, each [B, C, frames].

    Log energies of `bands` between 130 and 6,800 Hz, or `cepstra` numbers of them, with their changes; then convolutions that see
    a tenth of a second to either side."""

    FFT, WINDOW, HOP = 512, 410, 160
    FLOOR = 1e-4
    MARGIN = 10         # frames on either side that the layers have not seen whole

    def __init__(self, phones: int, bands: int, cepstra: int = 0, width: int = 128):
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(mel_filters(bands, self.FFT, 130.0, 6800.0)), persistent=False)
        self.register_buffer("window", torch.hamming_window(self.WINDOW), persistent=False)
        waves = np.cos(np.pi / bands * np.arange(cepstra)[:, None] * (np.arange(bands) + 0.5)) * math.sqrt(2 / bands)
        self.register_buffer("turned", torch.from_numpy(waves).float() if cepstra else torch.eye(bands), persistent=False)
        inputs = 3 * len(self.turned)
        self.level = nn.BatchNorm1d(inputs, affine=False)
        self.layers = nn.ModuleList([nn.Conv1d(inputs, width, 5, padding=2), nn.Conv1d(width, width, 5, padding=4, dilation=2),
                                     nn.Conv1d(width, width, 5, padding=4, dilation=2)])
        self.tell = nn.Conv1d(width, phones, 1)

    def heard(self, x: Tensor) -> Tensor:
        x = x - 0.97 * F.pad(x, (1, 0))[:, :-1]
        spectrum = torch.stft(x, self.FFT, self.HOP, self.WINDOW, self.window, center=False, return_complex=True)
        y = self.turned @ torch.log(self.filters @ (spectrum.real.square() + spectrum.imag.square()) + self.FLOOR)
        far = F.pad(y, (3, 3), mode="replicate")
        change = far[..., 4:] - far[..., :-4]                       # over 40 ms, for one frame more on either side
        return torch.cat([y, change[..., 1:-1], change[..., 2:] - change[..., :-2]], 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        y = self.level(self.heard(x))
        made = [y]
        for layer in self.layers:
            y = F.leaky_relu(layer(y), 0.1)
            made.append(y)
        return [*made, self.tell(y)]

    @classmethod
    def times(cls, samples: int) -> np.ndarray:
        """Seconds at the middle of each frame."""
        return (np.arange((samples - cls.FFT) // cls.HOP + 1) * cls.HOP + cls.FFT / 2) / RATE


class Listener(nn.Module):
    """Three ears of different make, so that no sound pleases one alone."""

    def __init__(self, phones: int):
        super().__init__()
        self.ears = nn.ModuleList([Ear(phones, 40), Ear(phones, 25, 13), Ear(phones, 60, 20, 96)])

    def forward(self, x: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the phones said [B, frames], and the share of frames told right: means over the ears."""
        losses, right = [], []
        for ear in self.ears:
            scores = inner(ear(x)[-1])
            losses.append(F.cross_entropy(scores, inner(said)))
            right.append((scores.argmax(1) == inner(said)).float().mean())
        return torch.stack(losses).mean(), torch.stack(right).mean()

    def compare(self, made: Tensor, true: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the phones said in `made`, and how far its layers are from those of the recording `true`, both
        disturbed alike."""
        losses, distances = [], []
        made, true = disturbed(made, true)
        for ear in self.ears:
            heard = ear(made)
            with torch.no_grad():
                wanted = ear(true)
            losses.append(F.cross_entropy(inner(heard[-1]), inner(said)))
            distances += [(inner(a) - inner(b)).abs().mean() / inner(b).abs().mean()
                          for a, b in zip(heard[:-1], wanted[:-1], strict=True)]
        return torch.stack(losses).mean(), torch.stack(distances).mean()


def inner(x: Tensor) -> Tensor:
    return x[..., Ear.MARGIN:-Ear.MARGIN]


def disturbed(*signals: Tensor) -> list[Tensor]:
    """Recordings [B, N] at other levels, brighter or duller, with some noise, as a recogniser must take them: all alike."""
    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(signals[0]), 1)
    tilt, level = uniform(-0.4, 0.4), 10 ** uniform(-0.4, 0.3)
    noise = signals[-1].std(1, keepdim=True) * 10 ** uniform(-2.5, -1) * torch.randn_like(signals[-1])
    return [(x + tilt * F.pad(x, (1, 0))[:, :-1] + noise) * level for x in signals]
