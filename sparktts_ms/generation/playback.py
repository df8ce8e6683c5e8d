"""When the playback of a stream runs out of samples, if it begins with the first ones."""

import time


class Playback:
    """The playback of a job's samples. `end`, by time.perf_counter, is when all samples so far have
    been played; before the first ones, the time of the request.

    streamed: False for samples that are not played as they come; each piece of them has its turn
    when the last would have been played, so that a job of them neither delays streams nor starves.
    """

    def __init__(self, sample_rate: int, streamed: bool):
        self.sample_rate = sample_rate
        self.seconds = 0.0              # of samples so far
        self.end = time.perf_counter()
        self._streamed = streamed

    def add(self, samples) -> None:
        """Samples [N] have come; if there were none left, playback goes on now."""
        now = time.perf_counter()
        seconds = len(samples) / self.sample_rate
        self.seconds += seconds
        self.end = (max(self.end, now) if self._streamed else now) + seconds
