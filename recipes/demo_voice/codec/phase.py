"""A sense of phase for the wave generator, within the released architecture.

A convolutional generator repeats itself from frame to frame (20 ms) while its input stays the same, so a steady voice is drawn
to multiples of 50 Hz. Here two channels of its input say how the pitch turns: `base`, whole periods a frame (2, for a high voice
4), and `ramp`, by how many periods the voice has got ahead of that since it set in. What draws them out to 2,000 Hz is wired into
two transposed convolutions: the ramp in a straight line from frame to frame, the base's anew in each, where it jumps by whole
periods. A snake, which is x + sin²(ax) / a, makes cosine and sine of that: two channels that turn with the pitch, from which the
layers behind learn to time their pulses. The prenet learns the ramp from the ids, by its increase alone (`turning_loss`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.demo_voice.codec.dataset import BASE, RAMP

FAR = 6.0       # periods, beyond which a ramp is too long to be kept exactly


class Wires:
    """The weights of a generator that are wired. `begin` puts them in, `hold` puts them back after a step of training."""

    FIRST, SECOND, THIRD = 2, 3, 5          # so many channels, the first ones, are taken at 50, 400 and 2,000 Hz

    def __init__(self, generator: nn.Module):
        self.parameters = dict(generator.named_parameters())
        self.wired: dict[str, tuple[Tensor, Tensor]] = {}
        self.fifty()
        self.four_hundred()
        self.two_thousand()
        self.turning()

    def fifty(self) -> None:
        ramp, base = range(self.FIRST)
        self.put("model.0.weight", np.s_[:self.FIRST])
        self.put("model.0.weight", np.s_[:, RAMP:BASE + 1])
        self.put("model.0.weight", np.s_[ramp, RAMP, 3], 1)
        self.put("model.0.weight", np.s_[base, BASE, 3], 1)
        self.put("model.0.bias", np.s_[:self.FIRST])

    def four_hundred(self) -> None:
        """Ramp; the base's turns since the frame's middle; and the base itself."""
        (ramp, base), (ahead, since, held) = range(self.FIRST), range(self.SECOND)
        self.put("model.1.block.0.alpha", np.s_[:, :self.FIRST])
        self.put("model.1.block.1.weight", np.s_[:self.FIRST])
        self.put("model.1.block.1.weight", np.s_[:, :self.SECOND])
        self.put("model.1.block.1.bias", np.s_[:self.SECOND])
        taps = torch.arange(16) - 7.5
        inside = taps.abs() < 4
        self.put("model.1.block.1.weight", np.s_[ramp, ahead], 1 - taps.abs() / 8)
        self.put("model.1.block.1.weight", np.s_[base, since], taps / 8 * inside)
        self.put("model.1.block.1.weight", np.s_[base, held], 1.0 * inside)
        for unit in (2, 3, 4):
            self.apart(f"model.1.block.{unit}.block", self.SECOND, self.SECOND)

    def two_thousand(self) -> None:
        """All turns; the same, a quarter ahead; and once more, for the snake leaves x in what it makes of the first two."""
        (ahead, since, held), (whole, quarter, plain, *_) = range(self.SECOND), range(self.THIRD)
        self.put("model.2.block.0.alpha", np.s_[:, :self.SECOND])
        self.put("model.2.block.1.weight", np.s_[:self.SECOND])
        self.put("model.2.block.1.weight", np.s_[:, :self.THIRD])
        self.put("model.2.block.1.bias", np.s_[:self.THIRD])
        taps = torch.arange(11) - 5.0
        inside = taps.abs() < 3
        for copy in (whole, quarter, plain):
            self.put("model.2.block.1.weight", np.s_[ahead, copy], (1 - taps.abs() / 5).clamp(0))
            self.put("model.2.block.1.weight", np.s_[since, copy], 1.0 * inside)
            self.put("model.2.block.1.weight", np.s_[held, copy], taps / 40 * inside)
        self.put("model.2.block.1.bias", np.s_[quarter], 0.25)
        self.put("model.3.block.1.weight", np.s_[:plain + 1])

    def turning(self) -> None:
        """Cosine and sine, by the first two of the channels between the convolutions of the first residual unit."""
        whole, quarter, plain, cosine, sine = range(self.THIRD)
        unit, turn = "model.2.block.2.block", 2 * math.pi
        self.put(f"{unit}.0.alpha", np.s_[:, [whole, quarter]], math.pi)
        self.put(f"{unit}.0.alpha", np.s_[:, plain])
        self.apart(unit, plain + 1, self.THIRD)
        self.put(f"{unit}.1.weight", np.s_[:2])
        self.put(f"{unit}.1.weight", np.s_[0, [whole, plain], 3], torch.tensor([-turn, turn]))
        self.put(f"{unit}.1.weight", np.s_[1, [quarter, plain], 3], torch.tensor([turn, -turn]))
        self.put(f"{unit}.1.bias", np.s_[:2], torch.tensor([1, -1 - turn / 4]))
        self.put(f"{unit}.2.alpha", np.s_[:, :2])
        self.put(f"{unit}.3.weight", np.s_[:, :2])
        self.put(f"{unit}.3.weight", np.s_[[cosine, sine], [0, 1]], 1)
        for later in (3, 4):
            self.apart(f"model.2.block.{later}.block", plain + 1, self.THIRD)

    def apart(self, unit: str, unread: int, unwritten: int) -> None:
        """A residual unit that reads none of the first `unread` channels and writes none of the first `unwritten`."""
        self.put(f"{unit}.1.weight", np.s_[:, :unread])
        self.put(f"{unit}.3.weight", np.s_[:unwritten])
        self.put(f"{unit}.3.bias", np.s_[:unwritten])

    def put(self, name: str, where, value: float | Tensor = 0.0) -> None:
        p = self.parameters[name]
        mask, wanted = self.wired.setdefault(name, (torch.zeros_like(p, dtype=torch.bool), torch.zeros_like(p)))
        mask[where], wanted[where] = True, torch.as_tensor(value, dtype=p.dtype)

    @torch.no_grad()
    def hold(self) -> None:
        for name, (mask, wanted) in self.wired.items():
            self.parameters[name].copy_(torch.where(mask, wanted, self.parameters[name]))


def turning_loss(made: Tensor, turning: Tensor) -> Tensor:
    """How far the ramp's increase and the base are from what they should be: the prenet's output [B, T, I] with `Corpus.turning`
    [B, T, 3]."""
    increase, wanted = made[:, 1:, RAMP] - made[:, :-1, RAMP], turning[:, :-1, 2]
    known = ~wanted.isnan()
    far = F.relu(made[..., RAMP].abs() - FAR).mean()
    return (increase - wanted)[known].abs().mean() + 0.25 * (made[..., BASE] - turning[..., 1]).abs().mean() + 0.05 * far
