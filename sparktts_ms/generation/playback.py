"""When the listener of a stream runs out of samples, if he hears them as they come."""

import time


class Playback:
    """The listener of a job. `end`, by time.perf_counter, is when he has heard all samples so far,
    before the first ones the time of the request.

    streamed: False for samples that are not heard as they come; each piece of them has its turn
    when the last would have been heard, so that a job of them neither delays streams nor starves.
    """

    def __init__(self, sample_rate: int, streamed: bool):
        self.sample_rate = sample_rate
        self.seconds = 0.0              # of samples so far
        self.end = time.perf_counter()
        self._streamed = streamed

    def add(self, samples) -> None:
        """Samples [N] have come; if there were none left, the listener goes on now."""
        now = time.perf_counter()
        seconds = len(samples) / self.sample_rate
        self.seconds += seconds
        self.end = (max(self.end, now) if self._streamed else now) + seconds
