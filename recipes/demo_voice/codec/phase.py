"""Phase channels: an oscillator within the released wave generator.

A convolutional generator repeats its output every frame (20 ms) while its input stays the same, so
a steady voice is drawn to multiples of 50 Hz. Here two channels of its input say how the phase of
the fundamental advances: the base frequency, whole periods a frame (2, for a high voice 4), and the
phase offset, by how many periods the voice is ahead of that. Fixed weights of the first two
transposed convolutions upsample the phase to 2,000 Hz: the offset by linear interpolation, that of
the base frequency anew in each frame, where it jumps by whole periods.

A snake makes an oscillator of it: with alpha = pi it is x + sin(pi x)^2 / pi, which equals
x + (1 - cos(2 pi x)) / (2 pi). Less a copy of x that leaves the cosine of the phase, and the same
of x + 1/4 the sine. Later layers learn to time their pulses by them. The prenet learns the offset
by its increase alone, for no semantic id tells the phase (`phase_loss`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import BASE_FREQUENCY, PHASE_OFFSET

MAX_OFFSET = 6.0        # periods; a larger offset loses precision

# Channels that carry the phase, the first ones of their layer.
OFFSET_50, BASE_50 = range(2)
OFFSET_400, BASE_PHASE_400, BASE_400 = range(3)
PHASE, QUARTER_AHEAD, PHASE_COPY, COSINE, SINE = range(5)
CHANNELS_50 = 2
CHANNELS_400 = 3
CHANNELS_2000 = 5


class PhaseChannels:
    """The fixed weights of a generator. `restore` sets them; call it after each optimizer step."""

    def __init__(self, generator: nn.Module):
        self.parameters = dict(generator.named_parameters())
        self.fixed: dict[str, tuple[Tensor, Tensor]] = {}      # mask and values
        self._fix_input()
        self._fix_upsampling_to_400()
        self._fix_upsampling_to_2000()
        self._fix_oscillator()

    @torch.no_grad()
    def restore(self) -> None:
        for name, (mask, values) in self.fixed.items():
            parameter = self.parameters[name]
            parameter.copy_(torch.where(mask, values, parameter))

    def _fix_input(self) -> None:
        self._fix("model.0.weight", np.s_[:CHANNELS_50])
        self._fix("model.0.weight", np.s_[:, PHASE_OFFSET:BASE_FREQUENCY + 1])
        self._fix("model.0.weight", np.s_[OFFSET_50, PHASE_OFFSET, 3], 1)
        self._fix("model.0.weight", np.s_[BASE_50, BASE_FREQUENCY, 3], 1)
        self._fix("model.0.bias", np.s_[:CHANNELS_50])

    def _fix_upsampling_to_400(self) -> None:
        """Offset, phase of the base frequency since the middle of the frame, and base frequency."""
        weight = "model.1.block.1.weight"
        self._fix("model.1.block.0.alpha", np.s_[:, :CHANNELS_50])
        self._fix(weight, np.s_[:CHANNELS_50])
        self._fix(weight, np.s_[:, :CHANNELS_400])
        self._fix("model.1.block.1.bias", np.s_[:CHANNELS_400])
        taps = torch.arange(16) - 7.5
        inside = taps.abs() < 4
        self._fix(weight, np.s_[OFFSET_50, OFFSET_400], 1 - taps.abs() / 8)
        self._fix(weight, np.s_[BASE_50, BASE_PHASE_400], taps / 8 * inside)
        self._fix(weight, np.s_[BASE_50, BASE_400], 1.0 * inside)
        for unit in (2, 3, 4):
            self._isolate(f"model.1.block.{unit}.block", CHANNELS_400, CHANNELS_400)

    def _fix_upsampling_to_2000(self) -> None:
        """The phase, the phase a quarter period ahead, and a copy of the phase."""
        weight = "model.2.block.1.weight"
        self._fix("model.2.block.0.alpha", np.s_[:, :CHANNELS_400])
        self._fix(weight, np.s_[:CHANNELS_400])
        self._fix(weight, np.s_[:, :CHANNELS_2000])
        self._fix("model.2.block.1.bias", np.s_[:CHANNELS_2000])
        taps = torch.arange(11) - 5.0
        inside = taps.abs() < 3
        for channel in (PHASE, QUARTER_AHEAD, PHASE_COPY):
            self._fix(weight, np.s_[OFFSET_400, channel], (1 - taps.abs() / 5).clamp(0))
            self._fix(weight, np.s_[BASE_PHASE_400, channel], 1.0 * inside)
            self._fix(weight, np.s_[BASE_400, channel], taps / 40 * inside)
        self._fix("model.2.block.1.bias", np.s_[QUARTER_AHEAD], 0.25)
        self._fix("model.3.block.1.weight", np.s_[:PHASE_COPY + 1])

    def _fix_oscillator(self) -> None:
        """Cosine and sine, in the first two inner channels of the first residual unit."""
        unit = "model.2.block.2.block"
        period = 2 * math.pi
        self._fix(f"{unit}.0.alpha", np.s_[:, [PHASE, QUARTER_AHEAD]], math.pi)
        self._fix(f"{unit}.0.alpha", np.s_[:, PHASE_COPY])
        self._isolate(unit, PHASE_COPY + 1, CHANNELS_2000)
        weight = f"{unit}.1.weight"
        self._fix(weight, np.s_[:2])
        self._fix(weight, np.s_[0, [PHASE, PHASE_COPY], 3], torch.tensor([-period, period]))
        self._fix(weight, np.s_[1, [QUARTER_AHEAD, PHASE_COPY], 3], torch.tensor([period, -period]))
        self._fix(f"{unit}.1.bias", np.s_[:2], torch.tensor([1, -1 - period / 4]))
        self._fix(f"{unit}.2.alpha", np.s_[:, :2])
        self._fix(f"{unit}.3.weight", np.s_[:, :2])
        self._fix(f"{unit}.3.weight", np.s_[[COSINE, SINE], [0, 1]], 1)
        for unit in (3, 4):
            self._isolate(f"model.2.block.{unit}.block", PHASE_COPY + 1, CHANNELS_2000)

    def _isolate(self, unit: str, num_unread: int, num_unwritten: int) -> None:
        """The residual unit neither reads nor writes so many of the first channels."""
        self._fix(f"{unit}.1.weight", np.s_[:, :num_unread])
        self._fix(f"{unit}.3.weight", np.s_[:num_unwritten])
        self._fix(f"{unit}.3.bias", np.s_[:num_unwritten])

    def _fix(self, name: str, index, value: float | Tensor = 0.0) -> None:
        parameter = self.parameters[name]
        if name not in self.fixed:
            mask = torch.zeros_like(parameter, dtype=torch.bool)
            self.fixed[name] = (mask, torch.zeros_like(parameter))
        mask, values = self.fixed[name]
        mask[index] = True
        values[index] = torch.as_tensor(value, dtype=parameter.dtype)


def phase_loss(predicted: Tensor, phase: Tensor) -> Tensor:
    """Loss of the prenet's output [B, T, I] for phase features [B, T, 3] (dataset.py)."""
    offset = predicted[..., PHASE_OFFSET]
    increase = offset[:, 1:] - offset[:, :-1]
    target = phase[:, :-1, 2]
    known = ~target.isnan()
    increase_loss = (increase - target)[known].abs().mean()
    base_loss = (predicted[..., BASE_FREQUENCY] - phase[..., 1]).abs().mean()
    range_loss = F.relu(offset.abs() - MAX_OFFSET).mean()
    return increase_loss + 0.25 * base_loss + 0.05 * range_loss
