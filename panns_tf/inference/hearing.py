"""A network ready to hear clips and recordings of any length."""

import collections
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from panns_tf.inference.fold import FoldedBook
from panns_tf.inference.parts import Parts, split
from panns_tf.inference.precision import in_precision
from panns_tf.inference.stitching import Stitcher
from panns_tf.layers.compiled import for_this_machine, without_xla
from panns_tf.models import Network
from panns_tf.models.graph import graph

#: What is kept of a clip; the frames repeat the segments.
OUTPUTS = ("clipwise_output", "embedding", "segmentwise_output")

#: Clips longer than this many seconds are heard in windows of this many.
WINDOW_SECONDS = 30.0

#: Clips in a batch at most, however short.
MOST_CLIPS = 64

#: A shape is compiled by XLA once so many seconds of sound came in it. Compiling takes a few
#: seconds, and is paid back by about as many seconds of sound as this.
COMPILED_AFTER = 60.0
#: Shapes compiled at most, for the memory that each takes.
MOST_COMPILED = 16


class Hearer:
    """A network for inference: normalisations folded, compiled where it pays.

    Args:
        network: from `panns_tf.create_model`, trained.
        precision: ``"float32"`` or ``"bfloat16"``.
        batch_size: clips of 10 s at a time; as much sound in shorter or longer clips.

    Attributes:
        network: that was given.
        sample_rate: Hz.
        labels: of the classes.
        embedding_size: width of an embedding.
    """

    def __init__(self, network: Network, precision: str = "float32", batch_size: int = 8):
        if batch_size < 1:
            raise ValueError(f"--batch-size must be at least 1; received {batch_size}")
        self.network = network
        self.sample_rate = network.row.frontend.sample_rate
        self.embedding_size = network.output_shapes["embedding"][-1]
        self.labels = list(network.labels or map(str, range(network.num_classes)))
        self._seconds_at_once = 10 * batch_size
        self._row = network.row
        self._book = FoldedBook(in_precision(network, precision))
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        outputs = graph(self._row, self._book, waveform, None, network.num_classes)
        kept = {name: outputs[name] for name in OUTPUTS if name in outputs}
        # In half precision a processor's own operations are faster than XLA's for it.
        on_gpu = bool(tf.config.list_physical_devices("GPU"))
        self._compiles = precision == "float32" or on_gpu
        self._hear = HearingFunction(keras.Model(waveform, kept), self.sample_rate, self._compiles)

    @property
    def segment_seconds(self) -> float | None:
        """Seconds of a segment of a decision-level network; None for others."""
        return self.parts.reach.stride / self.sample_rate if self.has_segments else None

    @property
    def has_segments(self) -> bool:
        """Whether the network is one of the decision-level ones."""
        return self._row.is_decision_level

    def clips_at_once(self, samples: int) -> int:
        """Returns how many clips of a length make a full batch."""
        clips = self._seconds_at_once * self.sample_rate // max(1, samples)
        return max(1, min(int(clips), MOST_CLIPS))

    def hear(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        """Hears clips whole.

        Args:
            waveforms: (batch, samples) float32.

        Returns:
            float32: ``clipwise_output`` (batch, classes), ``embedding`` (batch, width), and of
            decision-level networks ``segmentwise_output`` (batch, segments, classes).
        """
        return self._hear(waveforms)

    @functools.cached_property
    def parts(self) -> Parts:
        """The network in two parts; see `panns_tf.inference.parts`."""
        return split(self._row, self._book, self.network.num_classes)

    @functools.cached_property
    def _hear_window(self) -> "HearingFunction":
        return HearingFunction(self.parts.local, self.sample_rate, self._compiles)

    def stitcher(self, latency: float | None = None) -> Stitcher:
        """Returns what hears a recording of any length as if whole, in constant memory.

        Args:
            latency: seconds wanted from a sample to the outputs of its step; None for whatever
                costs least.
        """
        reach, window = self.parts.reach, WINDOW_SECONDS
        if latency is not None:
            window = latency + (reach.before + reach.stride) / self.sample_rate
        return Stitcher(self.parts, self._hear_window, window)


class HearingFunction:
    """A model as a function of NumPy arrays, compiled for the shapes that keep coming."""

    def __init__(self, model: keras.Model, sample_rate: int, compiles: bool):
        self._run: Callable = functools.partial(model, training=False)
        self._sample_rate = sample_rate
        self._compiles = compiles
        self._seconds: collections.Counter = collections.Counter()
        self._compiled: dict[tuple, Callable] = {}
        signature = [tf.TensorSpec((None, None), tf.float32)]
        self._plain = tf.function(self._traced, input_signature=signature, autograph=False)

    def _within_xla(self, waveforms):
        with without_xla():  # the layers need not compile themselves in what is compiled whole
            return self._run(waveforms)

    def _traced(self, waveforms):
        with without_xla(), for_this_machine():
            return self._run(waveforms)

    def __call__(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        shape = waveforms.shape
        function = self._compiled.get(shape, self._plain)
        if self._compiles and function is self._plain and len(self._compiled) < MOST_COMPILED:
            if self._seconds[shape] >= COMPILED_AFTER:
                function = tf.function(self._within_xla, jit_compile=True, autograph=False)
                self._compiled[shape] = function
                del self._seconds[shape]
            else:
                self._seconds[shape] += waveforms.size / self._sample_rate
        found = function(tf.constant(waveforms))
        return {name: np.asarray(tf.cast(value, tf.float32)) for name, value in found.items()}
