"""What the stages measure: distances of log mel magnitudes, and the mel of the released model's voice path."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import firwin
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import HOP, RATE, mel_filters
from sparktts_ms.audio.mel import mel_filters as released_filters


class MelLoss(nn.Module):
    """Mean distance of log mel magnitudes, averaged over window lengths."""

    def __init__(self, resolutions=((2048, 100), (1024, 80), (512, 60), (256, 40), (128, 20))):
        super().__init__()
        self.resolutions = resolutions
        for fft, mels in resolutions:
            self.register_buffer(f"filters_{fft}", torch.from_numpy(mel_filters(mels, fft)))
            self.register_buffer(f"window_{fft}", torch.hann_window(fft))

    def logmel(self, x: Tensor, fft: int) -> Tensor:
        window = getattr(self, f"window_{fft}")
        spectrum = torch.stft(x, fft, max(fft // 4, 64), window=window, center=False, return_complex=True)
        magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9) * (2 / window.sum())
        return torch.log(getattr(self, f"filters_{fft}") @ magnitude + 3e-4)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        return sum((self.logmel(made, fft) - self.logmel(true, fft)).abs().mean() for fft, _ in self.resolutions) \
            / len(self.resolutions)


class EnvelopeLoss(nn.Module):
    """Mean distance of what a recogniser hears: log energies of 30 broad bands, and how they change over 32 ms. Loud places
    count most."""

    FFT, BANDS, HOP, LATER, FLOOR = 512, 30, 128, 4, 1e-3

    def __init__(self):
        super().__init__()
        filters = torch.from_numpy(mel_filters(self.BANDS, self.FFT)).float()
        self.register_buffer("filters", filters / filters.sum(1, keepdim=True))
        self.register_buffer("window", torch.hann_window(self.FFT))

    def bands(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(x, self.FFT, self.HOP, window=self.window, center=False, return_complex=True)
        return torch.log(self.filters @ torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9) + 30 * self.FLOOR)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        wanted = self.bands(true)
        off = self.bands(made) - wanted
        weight = 0.3 + torch.sigmoid(wanted + 1.5)
        change = off[..., self.LATER:] - off[..., :-self.LATER]
        return (weight * off.abs()).mean() + 0.7 * (weight[..., self.LATER:] * change.abs()).mean()


class VoiceMel(nn.Module):
    """The released model's mel of the voice path: magnitudes [B, 128, T] of samples [B, N]."""

    def __init__(self):
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(released_filters(RATE, 1024, 128, 10, None).T.astype(np.float32)))
        self.register_buffer("window", torch.hann_window(640))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(x, 1024, HOP, 640, self.window, center=True, pad_mode="reflect", return_complex=True)
        return self.filters @ spectrum.abs()


class LowLoss(nn.Module):
    """Distance of the waveforms below 1 kHz, as a share of the true one: for those that share their phase."""

    def __init__(self):
        super().__init__()
        self.register_buffer("low", torch.from_numpy(firwin(161, 1000, fs=RATE).astype(np.float32))[None, None])

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        off, whole = (F.conv1d(x[:, None], self.low).abs().mean() for x in (made - true, true))
        return off / whole
