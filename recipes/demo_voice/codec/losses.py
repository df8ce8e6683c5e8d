"""Losses between waveforms: log mel magnitudes, band energies, and the waveform below 1 kHz."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import firwin
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import SAMPLE_RATE, htk_mel_filters


class MelLoss(nn.Module):
    """L1 distance of log mel magnitudes, averaged over pairs of FFT size and number of mels."""

    def __init__(self, resolutions=((2048, 100), (1024, 80), (512, 60), (256, 40), (128, 20))):
        super().__init__()
        self.resolutions = resolutions
        for n_fft, num_mels in resolutions:
            filters = torch.from_numpy(htk_mel_filters(num_mels, n_fft))
            self.register_buffer(f"filters_{n_fft}", filters)
            self.register_buffer(f"window_{n_fft}", torch.hann_window(n_fft))

    def forward(self, generated: Tensor, reference: Tensor) -> Tensor:
        total = 0
        for n_fft, _ in self.resolutions:
            difference = self._log_mel(generated, n_fft) - self._log_mel(reference, n_fft)
            total = total + difference.abs().mean()
        return total / len(self.resolutions)

    def _log_mel(self, x: Tensor, n_fft: int) -> Tensor:
        window = getattr(self, f"window_{n_fft}")
        spectrum = torch.stft(x, n_fft, max(n_fft // 4, 64), window=window, center=False,
                              return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        magnitude = torch.sqrt(power + 1e-9) * (2 / window.sum())
        return torch.log(getattr(self, f"filters_{n_fft}") @ magnitude + 3e-4)


class BandEnergyLoss(nn.Module):
    """L1 distance of the log energies of 30 broad bands and of their change over 32 ms.

    Loud frames weigh most. This is the spectral envelope, which speech recognition depends on.
    """

    N_FFT = 512
    NUM_BANDS = 30
    HOP_LENGTH = 128
    DELTA_FRAMES = 4
    FLOOR = 1e-3

    def __init__(self):
        super().__init__()
        filters = torch.from_numpy(htk_mel_filters(self.NUM_BANDS, self.N_FFT)).float()
        self.register_buffer("filters", filters / filters.sum(1, keepdim=True))
        self.register_buffer("window", torch.hann_window(self.N_FFT))

    def forward(self, generated: Tensor, reference: Tensor) -> Tensor:
        target = self._log_bands(reference)
        difference = self._log_bands(generated) - target
        weight = 0.3 + torch.sigmoid(target + 1.5)
        delta = difference[..., self.DELTA_FRAMES:] - difference[..., :-self.DELTA_FRAMES]
        delta_loss = (weight[..., self.DELTA_FRAMES:] * delta.abs()).mean()
        return (weight * difference.abs()).mean() + 0.7 * delta_loss

    def _log_bands(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(x, self.N_FFT, self.HOP_LENGTH, window=self.window, center=False,
                              return_complex=True)
        magnitude = torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-9)
        return torch.log(self.filters @ magnitude + 30 * self.FLOOR)


class LowpassLoss(nn.Module):
    """Relative L1 distance of waveforms below 1 kHz, for signals whose phase should agree."""

    def __init__(self):
        super().__init__()
        lowpass = firwin(161, 1000, fs=SAMPLE_RATE).astype(np.float32)
        self.register_buffer("lowpass", torch.from_numpy(lowpass)[None, None])

    def forward(self, generated: Tensor, reference: Tensor) -> Tensor:
        difference = F.conv1d((generated - reference)[:, None], self.lowpass)
        return difference.abs().mean() / F.conv1d(reference[:, None], self.lowpass).abs().mean()
