"""What a listener hears of a stream: when sound begins, and where the player runs dry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Player:
    """Plays 16-bit mono PCM at its rate from the moment at which the first bytes arrive.

    An underrun is an arrival after the player has played all that it had: it was silent for the
    time between. What has not arrived when the stream ends is not an underrun.

    sample_rate: in Hz. started: when the first bytes arrived, in seconds of the caller's clock.
    runs_dry: when the player will have played all that has arrived. gaps_s: seconds of silence.
    """

    sample_rate: float
    started: float | None = None
    runs_dry: float = 0.0
    received: int = 0
    underruns: int = 0
    gaps_s: float = 0.0

    def receive(self, now: float, size: int) -> None:
        """Count `size` bytes of PCM that arrive at `now`; times never decrease."""
        if size <= 0:
            return
        if self.started is None:
            self.started = self.runs_dry = now
        if now > self.runs_dry:
            self.underruns += 1
            self.gaps_s += now - self.runs_dry
            self.runs_dry = now
        self.received += size
        self.runs_dry += size / (2 * self.sample_rate)

    @property
    def audio_s(self) -> float:
        """Seconds of sound that have arrived."""
        return self.received / (2 * self.sample_rate)
