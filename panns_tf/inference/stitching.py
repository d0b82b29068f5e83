"""A recording of any length, heard in windows without seams and in constant memory."""

from collections.abc import Callable

import numpy as np

from panns_tf.inference.parts import Gathered, Parts


class Stitcher:
    """Hears a stream and gives what the network would give of all of it at once.

    The stream is cut into overlapping windows. Each begins where a step of the network begins and
    overlaps its neighbours by as much sound as a step depends on, so that of every step some window
    sees all that it sees in the whole recording. Only those are kept. Nothing depends on
    how the stream was cut into blocks.

    Args:
        parts: of the network.
        run: from waveforms (1, samples) to the steps' outputs, as ``parts.local``. All windows but
            the first ones and the last are of one length.
        window_seconds: of a window, overlaps included; longer if the network's reach asks for it.

    Attributes:
        gathered: what all steps so far come to.
        latency: seconds, at most, from a sample to the outputs of its step.
    """

    def __init__(self, parts: Parts, run: Callable, window_seconds: float):
        reach, rate = parts.reach, parts.row.frontend.sample_rate
        self._stride = reach.stride
        self._context = -(-reach.before // reach.stride)  # steps
        # Steps whose reach ends within a window of n steps: the first n - lost.
        self._lost = -(-(reach.after + 1) // reach.stride)
        wanted = round(window_seconds * rate / reach.stride)
        self._steps = max(wanted, self._context + self._lost + 1)
        self._run = run
        self._blocks: list[np.ndarray] = []
        self._held = 0  # samples
        self._start = 0  # the step at which what is held begins
        self._done = 0  # steps given so far
        self.samples = 0
        self.gathered = Gathered(parts)
        self.latency = (self._steps - self._context) * reach.stride / rate

    @property
    def window_samples(self) -> int:
        """Samples of the next window. The first ones have less before them to overlap with."""
        return (self._steps - self._context + min(self._done, self._context)) * self._stride

    def feed(self, samples: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Takes the next samples, any number of them, float32 (samples,).

        Returns:
            The outputs of the steps that became certain, (steps, n) by name, in order.
        """
        self.samples += len(samples)
        self._held += len(samples)
        self._blocks.append(np.asarray(samples, np.float32))
        found = []
        if self._held >= self.window_samples:
            held = np.concatenate(self._blocks)
            while len(held) >= (size := self.window_samples):
                local = self._run(held[None, :size])
                found.append(self._taken(local, self._start + size // self._stride - self._lost))
                begin = max(0, self._done - self._context)
                held = held[(begin - self._start) * self._stride :]
                self._start = begin
            self._blocks, self._held = [held.copy()], len(held)
        return found

    def finish(self) -> list[dict[str, np.ndarray]]:
        """Returns the outputs of the steps that are left. The stream must have had a sample."""
        held = np.concatenate(self._blocks)
        self._blocks, self._held = [], 0
        return [self._taken(self._run(held[None]), None)]

    def _taken(self, local: dict, end: int | None) -> dict[str, np.ndarray]:
        """Keeps the steps from the first that was not given yet up to ``end``."""
        first, last = self._done - self._start, None if end is None else end - self._start
        local = {name: np.asarray(values)[0, first:last] for name, values in local.items()}
        self._done += len(next(iter(local.values())))
        self.gathered.add(local)
        return local
