"""Labels and embeddings of recordings."""

import functools
import numbers
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.batching import Heard, hear_each
from panns_tf.inference.hearing import Hearer
from panns_tf.inference.loading import load_network
from panns_tf.inference.results import Embedding, Tag, Tagging
from panns_tf.inference.window import windows_of
from panns_tf.models import Network
from tfrecords.search import find_audio


class AudioTagger:
    """Says what is to be heard in recordings, and gives their embeddings.

    A recording of any length is heard as a whole, as the networks were trained and evaluated; those
    of more than half a minute in windows without seams, in constant memory, with the same result
    but for rounding (some 1e-6).

    Args:
        model: the name of a network, a ``.keras`` or ``.pth`` file, a run directory, or a network
            from `panns_tf.create_model`.
        weights: for a name: ``"audioset"`` for the published weights, or a file.
        precision: ``"float32"``, or ``"bfloat16"`` where the processor has it.
        batch_size: clips of 10 s at a time, or as much sound in others.

    Attributes:
        labels: of the classes, in order.
        sample_rate: that of the network, in Hz; recordings are resampled to it.

    Raises:
        ValueError: if there is no such network or file.
        OSError: if published weights cannot be downloaded.

    Example:

    >>> tagger = AudioTagger("Cnn14", weights="Cnn14_mAP=0.431.pth")
    >>> tagger.tag("R9_ZSCveAHg_7s.wav").tags[0]
    Tag(label='Speech', score=0.893, index=0)
    """

    def __init__(
        self,
        model: str | Path | Network = "Cnn14",
        weights: str | Path | None = "audioset",
        *,
        precision: str = "float32",
        batch_size: int = 8,
    ):
        network = model if isinstance(model, Network) else load_network(model, weights)
        self.hearer = Hearer(network, precision, batch_size)
        self.labels, self.sample_rate = self.hearer.labels, self.hearer.sample_rate

    def tag(
        self,
        source,
        rate: int | None = None,
        *,
        top: int | None = 10,
        threshold: float = 0.0,
        window: float | None = None,
        hop: float | None = None,
    ):
        """Returns the classes of recordings.

        Args:
            source: a path; a folder, whose audio files are taken; the content of a file (bytes); an
                array (samples,) or (samples, channels), int16 or floats in [-1, 1]; or a list of
                such.
            rate: samples a second of arrays.
            top: tags at most; None for all.
            threshold: of the tags' scores.
            window: seconds; a result for every window rather than for the whole recording.
            hop: seconds from one window to the next; None for ``window``.

        Returns:
            A `Tagging`; of a folder or list a list of them. With ``window`` each is a list, a
            `Tagging` for each window.

        Raises:
            AudioError: if one cannot be read; `hear_each` goes on after it.
            ValueError: for settings out of range.
        """
        check_choice(top, threshold)
        windows = windows_of(window, hop, self.sample_rate)
        hear = functools.partial(self.hear_each, rate=rate, windows=windows)
        return each_or_one(
            source, hear, lambda heard: self._taggings(heard, top, threshold, window)
        )

    def embed(
        self,
        source,
        rate: int | None = None,
        *,
        window: float | None = None,
        hop: float | None = None,
    ):
        """Returns the embeddings of recordings.

        Args:
            source, rate: as for `tag`.
            window, hop: seconds; a vector for every window rather than for the whole recording.

        Returns:
            An `Embedding`; of a folder or list a list of them.

        Raises:
            AudioError, ValueError: as `tag`.
        """
        windows = windows_of(window, hop, self.sample_rate)
        hear = functools.partial(self.hear_each, rate=rate, windows=windows)
        return each_or_one(source, hear, embedding_of)

    def hear_each(self, sources: Iterable, **settings) -> Iterator[Heard]:
        """Hears recordings one by one without end; see `panns_tf.inference.batching.hear_each`."""
        return hear_each(self.hearer, sources, **settings)

    def _taggings(self, heard: Heard, top, threshold, window):
        found = taggings_of(heard, self.labels, top, threshold, window)
        return found if window else found[0]


def each_or_one(source, hear: Callable, result: Callable):
    """Hears one source, or each of a folder or list, and makes results of what was heard.

    Args:
        source: as for `AudioTagger.tag`.
        hear: of an iterable of sources, gives what became of each.
        result: makes one of what was heard.

    Raises:
        AudioError: if one cannot be read.
    """
    many = isinstance(source, list | tuple)
    if is_folder(source):
        many, source = True, find_audio([source])
    found = []
    for heard in hear(source if many else [source]):
        for note in heard.notes:
            warnings.warn(note, stacklevel=3)
        if heard.error is not None:
            raise heard.error
        found.append(result(heard))
    return found if many else found[0]


def is_folder(source) -> bool:
    """Says whether a source is a folder of recordings."""
    # os.path says no to names that are too long, where pathlib raises.
    is_path = isinstance(source, str | os.PathLike) and str(source) != ""
    return is_path and os.path.isdir(source)  # noqa: PTH112


def check_choice(top: int | None, threshold: float) -> None:
    """Raises ValueError for an impossible choice of tags."""
    if top is not None and not (isinstance(top, int | np.integer) and top >= 1):
        raise ValueError(f"--top must be a whole number of at least 1; received {top!r}")
    if not (isinstance(threshold, numbers.Real) and 0 <= threshold <= 1):
        raise ValueError(f"--threshold must lie in [0, 1]; received {threshold!r}")


def taggings_of(
    heard: Heard,
    labels,
    top: int | None = 10,
    threshold: float = 0.0,
    window: float | None = None,
) -> list[Tagging]:
    """Returns the classes of a recording, or those of each of its windows.

    Args:
        heard: without an error.
        labels: of the classes.
        top: tags at most; None for all.
        threshold: of the tags' scores.
        window: its length in seconds.
    """
    scores, starts = heard.outputs["clipwise_output"], heard.starts
    if starts is None:
        tags = best(scores, labels, top, threshold)
        return [Tagging(heard.file, heard.seconds, tags, scores)]
    seconds = min(window or heard.seconds, heard.seconds)
    return [
        Tagging(heard.file, seconds, best(row, labels, top, threshold), row, start)
        for start, row in zip(starts, scores, strict=True)
    ]


def best(scores: np.ndarray, labels, top: int | None, threshold: float) -> tuple[Tag, ...]:
    """Returns the most probable classes, the first first; of equal ones that of lower number.

    Args:
        scores: (classes,).
        labels, top, threshold: as for `taggings_of`.
    """
    order = np.argsort(-scores, kind="stable")[:top]
    return tuple(Tag(labels[i], float(scores[i]), int(i)) for i in order if scores[i] >= threshold)


def embedding_of(heard: Heard) -> Embedding:
    """Returns the embedding of a recording, or those of its windows."""
    return Embedding(heard.file, heard.seconds, heard.outputs["embedding"], heard.starts)
