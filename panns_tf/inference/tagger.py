"""Labels and embeddings of recordings."""

import functools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.batching import Prediction, predict_each
from panns_tf.inference.loading import load_network
from panns_tf.inference.model import InferenceModel
from panns_tf.inference.results import Embedding, Tagging, TagSettings, top_tags
from panns_tf.models.network import Network
from panns_tf.windows import Windows
from tfrecords.search import find_audio


class AudioTagger:
    """Predicts the classes of recordings, and gives their embeddings.

    A recording of any length is predicted as a whole, as the networks were trained and evaluated;
    those of more than half a minute in overlapping windows, in constant memory, with the same
    result but for rounding (some 1e-6).

    Args:
        model: the name of a network, a ``.keras`` or ``.pth`` file, a run directory, or a network
            from `panns_tf.create_model`.
        weights: for a name: ``"audioset"`` for the published weights, or a file.
        precision: ``"float32"``, or ``"bfloat16"`` where the processor has it.
        batch_size: clips of 10 s at a time, or as much audio in others.

    Attributes:
        labels: of the classes, in order.
        sample_rate: that of the network, in Hz; recordings are resampled to it.
        model: the `InferenceModel`.

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
        self.model = InferenceModel(network, precision, batch_size)
        self.labels, self.sample_rate = self.model.labels, self.model.sample_rate

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
            threshold: the lowest score of a tag.
            window: seconds; a result for every window rather than for the whole recording. One
                shorter than the window is padded with zeros.
            hop: seconds from one window to the next; None for ``window``.

        Returns:
            A `Tagging`; of a folder or list a list of them. With ``window`` each is a list, a
            `Tagging` for each window.

        Raises:
            AudioError: if one cannot be read; `predict_each` goes on after it.
            ValueError: for settings out of range.
        """
        settings = TagSettings(top, threshold)
        windows = Windows(window, hop).samples(self.sample_rate)

        def result(prediction: Prediction):
            found = taggings(prediction, self.labels, settings, window)
            return found if window else found[0]

        predict = functools.partial(self.predict_each, rate=rate, windows=windows)
        return one_or_each(source, predict, result)

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
        windows = Windows(window, hop).samples(self.sample_rate)
        predict = functools.partial(self.predict_each, rate=rate, windows=windows)
        return one_or_each(source, predict, embedding)

    def predict_each(self, sources: Iterable, **settings) -> Iterator[Prediction]:
        """Predicts recordings one by one; see `panns_tf.inference.batching.predict_each`."""
        return predict_each(self.model, sources, **settings)


def one_or_each(source, predict: Callable, result: Callable):
    """Makes the result of one source, or those of each of a folder or list.

    Args:
        source: as for `AudioTagger.tag`.
        predict: from an iterable of sources to their predictions.
        result: of a prediction.

    Raises:
        AudioError: if one cannot be read.
    """
    many = isinstance(source, list | tuple)
    is_path = isinstance(source, str | os.PathLike) and str(source) != ""
    # os.path says no to names that are too long, where pathlib raises.
    if is_path and os.path.isdir(source):  # noqa: PTH112
        many, source = True, find_audio([source])
    results = []
    for prediction in predict(source if many else [source]):
        for note in prediction.notes:
            warnings.warn(note, stacklevel=3)
        if prediction.error is not None:
            raise prediction.error
        results.append(result(prediction))
    return results if many else results[0]


def taggings(
    prediction: Prediction, labels, settings: TagSettings, window: float | None = None
) -> list[Tagging]:
    """Returns the classes of a recording, or those of each of its windows.

    Args:
        prediction: without an error.
        labels: of the classes.
        settings: which of them become tags.
        window: its length in seconds.
    """
    scores, starts, seconds = prediction.outputs["clipwise_output"], (0.0,), prediction.seconds
    if prediction.starts is not None:
        starts, seconds = prediction.starts, min(window or seconds, seconds)
    results = []
    for start, row in zip(starts, np.atleast_2d(scores), strict=True):
        tags = top_tags(row, labels, settings.top, settings.threshold)
        results.append(Tagging(prediction.file, seconds, tags, row, start))
    return results


def embedding(prediction: Prediction) -> Embedding:
    """Returns the embedding of a recording, or those of its windows."""
    vector = prediction.outputs["embedding"]
    return Embedding(prediction.file, prediction.seconds, vector, prediction.starts)
