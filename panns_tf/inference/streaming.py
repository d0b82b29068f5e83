"""Tags and events of audio that comes in while it is made: a microphone, a socket, a long file."""

import numbers

import numpy as np
import soxr

from panns_tf.inference.detector import SoundEventDetector
from panns_tf.inference.events import Event, EventFinder, EventSettings
from panns_tf.inference.long_audio import WindowPredictor
from panns_tf.inference.results import Tagging, TagSettings
from panns_tf.inference.tagger import AudioTagger, Recording, tag_windows
from panns_tf.windows import Windows
from tfrecords.audio import RATES, AudioError, mix_to_mono
from tfrecords.decoders import to_float


class StreamResampler:
    """Blocks of a stream, as mono samples at another rate, ``delay`` seconds later at most."""

    def __init__(self, rate: int | None, sample_rate: int):
        rate = sample_rate if rate is None else rate
        if rate not in RATES:
            raise ValueError(
                f"rate must be {RATES[0]} to {RATES[-1]} samples a second; received {rate!r}"
            )
        self._ended, self._stream, self.delay = False, None, 0.0
        if rate != sample_rate:
            self._stream, silence = (
                soxr.ResampleStream(rate, sample_rate, 1, quality="HQ") for _ in range(2)
            )
            returned, block = 0, np.zeros(int(rate) // 100, np.float32)
            for fed in range(len(block), 2 * int(rate), len(block)):
                # The delay is largest just before a block is complete.
                self.delay = max(self.delay, fed / rate - returned / sample_rate)
                returned += len(silence.resample_chunk(block))

    def feed(self, block: np.ndarray) -> np.ndarray:
        """Takes a block, (n,) or (n, channels), int16 or floats; returns samples (m,) float32."""
        self._check_open()
        values = to_float(block)
        if values.ndim not in (1, 2) or (values.ndim == 2 and not 1 <= values.shape[1] <= 64):
            raise AudioError(
                f"a block of shape {values.shape}; expected (samples,) or (samples, channels)"
            )
        samples = mix_to_mono(values)
        if not np.isfinite(samples).all():
            raise AudioError(f"{np.count_nonzero(~np.isfinite(samples))} samples are not finite")
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def finish(self) -> np.ndarray:
        self._check_open()
        self._ended, nothing = True, np.zeros(0, np.float32)
        return nothing if self._stream is None else self._stream.resample_chunk(nothing, last=True)

    def _check_open(self) -> None:
        if self._ended:
            raise ValueError("the stream has ended; make another for what comes now")


class StreamingTagger:
    """Tags the last seconds of a stream again and again.

    Results do not depend on how it is cut into blocks, but for rounding (some 1e-7). ``rate`` is
    samples a second of the stream, None for the network's; ``window`` seconds of its input, ``hop``
    seconds from one result to the next; ``top`` and ``threshold`` are as for `AudioTagger.tag`.

    ``latency`` is seconds of audio, at most, from a sample to the first result that depends on it:
    the hop and the resampler's delay. The time that the network takes comes on top.

    >>> stream = StreamingTagger(AudioTagger("Cnn14"), rate=44100, window=2.0, hop=0.5)
    >>> for block in microphone:
    ...     print([tagging.tags[0] for tagging in stream.feed(block)])
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
        self._tagger, self._settings = tagger, TagSettings(top, threshold)
        self._resampler = StreamResampler(rate, tagger.sample_rate)
        size, hop = Windows(window, hop).samples(tagger.sample_rate)
        self._window = size / tagger.sample_rate
        # Windows one by one, so that their number in a block changes not even rounding.
        self._windows = WindowPredictor(tagger.model, size, hop, batch_size=1)
        self.latency = hop / tagger.sample_rate + self._resampler.delay

    def feed(self, block: np.ndarray) -> list[Tagging]:
        """Takes a block, (n,) or (n, channels), int16 or floats in [-1, 1], any n; returns a result
        for every window that it completed. Values that are not finite, or no sound by their type,
        raise AudioError, and the block is left out.
        """
        return self._tagged(self._windows.feed(self._resampler.feed(block)))

    def finish(self) -> list[Tagging]:
        """Ends the stream; returns the remaining results, the last of which ends with it."""
        taggings = self._tagged(self._windows.feed(self._resampler.finish()))
        return taggings + self._tagged(self._windows.finish())

    def _tagged(self, outputs) -> list[Tagging]:
        tagger, taggings = self._tagger, []
        for output in outputs:
            starts = tuple((output["start"] / tagger.sample_rate).tolist())
            seconds = self._windows.samples / tagger.sample_rate
            stream = Recording("stream", "stream", seconds=seconds, outputs=output, starts=starts)
            taggings += tag_windows(stream, tagger.labels, self._settings, self._window)
        return taggings


class StreamingDetector:
    """Finds the events of a stream, those of the whole at once, however it is cut into blocks.

    ``rate`` is samples a second of the stream, None for the network's; ``latency`` is wanted, in
    seconds: less costs more work, and the network's receptive field may ask for more.

    The attribute ``latency`` is seconds of audio, at most, from a sample to the probabilities of
    its step. An event comes out once it is over, and no smoothing or joining can change it.
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
        self._resampler = StreamResampler(rate, detector.sample_rate)
        self._scores = detector.new_scores(latency)
        self._finder = EventFinder(
            detector.labels, settings or EventSettings(), detector.step_seconds
        )
        self._rate = detector.sample_rate
        self.latency = self._scores.engine.latency + self._resampler.delay

    def feed(self, block: np.ndarray) -> list[Event]:
        """Takes the next block, as `StreamingTagger.feed`; returns the events that are certain."""
        return self._finder.feed(self._scores.feed(self._resampler.feed(block)))

    def finish(self) -> list[Event]:
        """Ends the stream; returns the other events."""
        events = self._finder.feed(self._scores.feed(self._resampler.finish()))
        if not self._scores.engine.samples:
            return events
        events += self._finder.feed(self._scores.finish())
        return events + self._finder.finish(self._scores.engine.samples / self._rate)
