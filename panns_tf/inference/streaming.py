"""Sound that comes in while it is made: from a microphone, a socket, a long file."""

import math
import numbers

import numpy as np
import soxr

from panns_tf.inference.detection import SoundEventDetector
from panns_tf.inference.events import EventFinder, EventSettings
from panns_tf.inference.results import Event, Tagging
from panns_tf.inference.tagging import AudioTagger, best, check_choice
from panns_tf.inference.window import WindowCutter, samples_of
from tfrecords.audio import FULL_SCALE, AudioError, mix_to_mono, to_float


class Resampler:
    """Blocks of a stream, of any length, as mono samples at a network's rate.

    Args:
        rate: samples a second of the stream; None for ``sample_rate``.
        sample_rate: wanted.

    Attributes:
        delay: seconds by which the samples may come later than the block that holds them.
    """

    def __init__(self, rate: int | None, sample_rate: int):
        rate = sample_rate if rate is None else rate
        whole = isinstance(rate, numbers.Real) and math.isfinite(rate) and int(rate) == rate
        if not (whole and 1000 <= rate <= 768000):
            raise ValueError(f"rate must be 1000 to 768000 samples a second; received {rate!r}")
        self._ended = False
        self._stream, self.delay = None, 0.0
        # The resampler's rounding depends on how its input is cut; so it is always cut alike.
        self._size = max(1, int(rate) // 100)
        self._held = np.zeros(0, np.float32)
        if rate != sample_rate:
            self._stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
            self.delay = _delay(int(rate), sample_rate, self._size)

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Takes a block, (n,) or (n, channels), int16 or floats; returns samples (m,) float32.

        Raises:
            AudioError: for values that are not finite, or no samples.
        """
        self._check_open()
        if np.ma.is_masked(block):
            raise AudioError("a block with masked values; fill them first")
        block = np.asarray(block)
        if block.dtype.kind != "f" and block.dtype.name not in FULL_SCALE:
            raise AudioError(
                f"a block of {block.dtype.name} values; expected {', '.join(FULL_SCALE)} or floats "
                "in [-1, 1]"
            )
        if block.ndim not in (1, 2) or (block.ndim == 2 and not 1 <= block.shape[1] <= 64):
            raise AudioError(
                f"a block of shape {block.shape}; expected (samples,) or (samples, channels)"
            )
        if not len(block):
            return np.zeros(0, np.float32)
        samples = mix_to_mono(to_float(block))
        if not np.isfinite(samples).all():
            raise AudioError(f"{np.count_nonzero(~np.isfinite(samples))} samples are not finite")
        if self._stream is None:
            return samples
        held = np.concatenate([self._held, samples])
        whole = len(held) - len(held) % self._size
        self._held = held[whole:]
        found = [self._stream.resample_chunk(part) for part in held[:whole].reshape(-1, self._size)]
        return np.concatenate([np.zeros(0, np.float32), *found])

    def finish(self) -> np.ndarray:
        """Returns the samples that are left."""
        self._check_open()
        self._ended = True
        if self._stream is None:
            return self._held
        held, self._held = self._held, self._held[:0]
        return self._stream.resample_chunk(held, last=True)

    def _check_open(self) -> None:
        if self._ended:
            raise ValueError("the stream has ended; make another for what comes now")


def _delay(rate: int, sample_rate: int, size: int) -> float:
    """The most seconds that a resampler holds back, found by feeding it two seconds of silence."""
    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    most, given, block = 0.0, 0, np.zeros(size, np.float32)
    for fed in range(size, 2 * rate, size):
        most = max(most, fed / rate - given / sample_rate)  # just before the block is complete
        given += len(stream.resample_chunk(block))
    return most


class StreamingTagger:
    """Tags the last seconds of a stream again and again.

    What comes out does not depend on how the stream is cut into blocks, but for TensorFlow's
    rounding, some 1e-7.

    Args:
        tagger: the network.
        rate: samples a second of the stream; None for the network's.
        window: seconds that are heard each time.
        hop: seconds from one result to the next.
        top, threshold: as for `AudioTagger.tag`.

    Attributes:
        latency: seconds of sound, at most, from a sample to the first result that heard it: the
            hop and the resampler's delay. The time that the network takes comes on top.

    Example:

    >>> stream = StreamingTagger(AudioTagger("Cnn14"), rate=44100, window=2.0, hop=0.5)
    >>> for block in microphone:
    ...     for tagging in stream.feed(block):
    ...         print(tagging.start, tagging.tags[0])
    """

    def __init__(
        self,
        tagger: AudioTagger,
        rate: int | None = None,
        *,
        window: float = 2.0,
        hop: float = 0.5,
        top: int | None = 10,
        threshold: float = 0.0,
    ):
        if not isinstance(tagger, AudioTagger):
            raise ValueError(f"expected an AudioTagger; received {type(tagger).__name__}")
        check_choice(top, threshold)
        self._tagger, self._top, self._threshold = tagger, top, threshold
        self._resampler = Resampler(rate, tagger.sample_rate)
        size, hop_samples = samples_of(window, hop, tagger.sample_rate)
        self._cutter = WindowCutter(size, hop_samples)
        self.latency = hop_samples / tagger.sample_rate + self._resampler.delay

    def feed(self, block: np.ndarray) -> list[Tagging]:
        """Takes the next block of the stream.

        Args:
            block: (n,) or (n, channels), int16, or floats in [-1, 1]; any n, 0 too.

        Returns:
            A result for every window that the block completed, with its ``start`` in seconds.

        Raises:
            AudioError: for values that are not finite, or of a type that is no sound; the block is
                then left out.
        """
        return self._heard(self._cutter.feed(self._resampler.feed(block)))

    def finish(self) -> list[Tagging]:
        """Ends the stream; returns the results of what is left, the last one ends with it."""
        found = self._heard(self._cutter.feed(self._resampler.finish()))
        return found + self._heard(self._cutter.finish())

    def _heard(self, windows) -> list[Tagging]:
        tagger, found = self._tagger, []
        # One by one, so that their number in a block changes nothing, not even rounding.
        for start, sound in windows:
            scores = tagger.hearer.hear(sound[None])["clipwise_output"][0]
            tags = best(scores, tagger.labels, self._top, self._threshold)
            seconds = len(sound) / tagger.sample_rate
            found.append(Tagging("stream", seconds, tags, scores, start / tagger.sample_rate))
        return found


class StreamingDetector:
    """Finds events in a stream.

    The events are those of the whole stream at once, however it is cut into blocks.

    Args:
        detector: the network.
        rate: samples a second of the stream; None for the network's.
        settings: what counts as an event.
        latency: wanted, in seconds; the network's reach may ask for more. Less costs more work.

    Attributes:
        latency: seconds of sound, at most, from a sample to the probabilities of its step. An event
            comes out once it is over, and no smoothing or joining can change it.
    """

    def __init__(
        self,
        detector: SoundEventDetector,
        rate: int | None = None,
        settings: EventSettings | None = None,
        latency: float = 4.0,
    ):
        if not isinstance(detector, SoundEventDetector):
            raise ValueError(f"expected a SoundEventDetector; received {type(detector).__name__}")
        if not (isinstance(latency, numbers.Real) and 0 <= latency <= 3600):
            raise ValueError(f"latency must be seconds, 0 to 3600; received {latency!r}")
        self._resampler = Resampler(rate, detector.sample_rate)
        self._track = detector.new_track(latency)
        self._finder = EventFinder(
            detector.labels, settings or EventSettings(), self._track.step_seconds
        )
        self._rate = detector.sample_rate
        self.latency = self._track.latency + self._resampler.delay

    def feed(self, block: np.ndarray) -> list[Event]:
        """Takes the next block, as `StreamingTagger.feed`; returns the events that are certain."""
        return self._finder.feed(self._track.feed(self._resampler.feed(block)))

    def finish(self) -> list[Event]:
        """Ends the stream; returns the other events."""
        found = self._finder.feed(self._track.feed(self._resampler.finish()))
        if not self._track.samples:
            return found
        found += self._finder.feed(self._track.finish())
        return found + self._finder.finish(self._track.samples / self._rate)
