"""Labels and embeddings of recordings, which are read ahead and predicted in batches."""

import collections
import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.long_audio import WindowPredictor
from panns_tf.inference.model import WINDOW_SECONDS, InferenceModel, load_network
from panns_tf.inference.results import Embedding, Tagging, TagSettings, file_of, top_tags
from panns_tf.models.network import Network
from panns_tf.windows import Windows
from tfrecords.audio import AudioError, AudioStream, describe, open_audio, prefetch
from tfrecords.search import find_audio
from tfrecords.text import one_line

#: Recordings read ahead of their use, at most; of each at most `WINDOW_SECONDS`.
READ_AHEAD = 16
#: Recordings that wait, perhaps for others of their length, at most, and seconds of audio.
MOST_WAITING, MOST_SECONDS = 64, 1500.0
#: Samples read of a long recording at a time.
BLOCK = 2**18


class AudioTagger:
    """Predicts the classes of recordings, and gives their embeddings.

    A recording of any length is predicted as a whole, as the networks were trained and evaluated;
    one of more than 30 s in overlapping windows, in constant memory, with the same result but for
    rounding (some 1e-6). It is resampled to the network's ``sample_rate``, in Hz.

    Args:
        model: the name of a network, a ``.keras`` or ``.pth`` file, a run directory, or a network
            from `panns_tf.create_model`.
        weights: for a name: ``"audioset"`` for the published ones, a file or a run directory.
        precision: ``"float32"``, or ``"bfloat16"`` where the processor has it.
        batch_size: clips of 10 s at a time, or as much audio in others.

    Raises ValueError if there is no such network or file, OSError if a download fails.

    >>> AudioTagger("Cnn14", weights="Cnn14_mAP=0.431.pth").tag("R9_ZSCveAHg_7s.wav").tags[0]
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
        self.model = InferenceModel(load_network(model, weights), precision, batch_size)
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
        """Returns a `Tagging`, with ``window`` a list of them; of a folder or list a list of such.

        Args:
            source: a path; a folder of audio files; the content of a file (bytes); an array
                (samples,) or (samples, channels), int16 or floats in [-1, 1]; or a list of such.
            rate: samples a second of arrays.
            top: tags at most; None for all.
            threshold: the lowest score of a tag.
            window: seconds; a recording shorter than one is padded with zeros.
            hop: seconds from one window to the next; None for ``window``.

        Raises AudioError if one cannot be read (`predict_each` goes on), ValueError for settings
        out of range.
        """
        settings = TagSettings(top, threshold)

        def result(recording: "Recording"):
            taggings = tag_windows(recording, self.labels, settings, window)
            return taggings if window else taggings[0]

        windows = Windows(window, hop).samples(self.sample_rate)
        predict = functools.partial(self.predict_each, rate=rate, windows=windows)
        return results_of(source, predict, result)

    def embed(
        self,
        source,
        rate: int | None = None,
        *,
        window: float | None = None,
        hop: float | None = None,
    ):
        """Returns the `Embedding` of a recording, with ``window`` a vector for each, or a list of
        those of a folder or list; arguments and errors are as for `tag`.
        """
        windows = Windows(window, hop).samples(self.sample_rate)
        predict = functools.partial(self.predict_each, rate=rate, windows=windows)
        return results_of(source, predict, embedding_of)

    def predict_each(
        self,
        sources: Iterable,
        *,
        rate: int | None = None,
        workers: int = 2,
        windows: tuple[int, int] | None = None,
    ) -> Iterator["Recording"]:
        """Yields recordings, in order, with the network's outputs or their error; ``windows``, size
        and hop in samples, ask for outputs of every window.
        """
        waiting: collections.deque[Recording] = collections.deque()
        most = MOST_WAITING if windows is None else 0  # windows fill batches by themselves
        most_samples = MOST_SECONDS * self.sample_rate
        for recording in read_ahead(sources, self.sample_rate, rate=rate, workers=workers):
            waiting.append(recording)
            while len(waiting) > most or sum(len(each.samples) for each in waiting) > most_samples:
                yield self._predict_first(waiting, windows)
        while waiting:
            yield self._predict_first(waiting, windows)

    def _predict_first(
        self, waiting: collections.deque["Recording"], windows: tuple[int, int] | None
    ) -> "Recording":
        """Takes the first recording out, predicted: a short one together with others like it."""
        model, first = self.model, waiting.popleft()
        if first.error is not None or first.outputs:
            return first
        try:
            if windows is not None:
                batches = list(first.through(WindowPredictor(model, *windows)))
                for name in batches[0]:
                    first.outputs[name] = np.concatenate([batch[name] for batch in batches])
                first.starts = tuple((first.outputs.pop("start") / model.sample_rate).tolist())
            elif first.stream is not None:
                first.outputs = model.pool(first.through(model.streaming_encoder()))
            else:
                length = len(first.samples)
                alike = [each for each in waiting if len(each.samples) == length]
                batch = [first, *alike][: model.clips_at_once(length)]
                outputs = model.predict(np.stack([each.samples for each in batch]))
                for index, each in enumerate(batch):
                    each.outputs = {name: values[index] for name, values in outputs.items()}
                    each.samples = ()
        except AudioError as error:
            first.error = error
        return first


@dataclasses.dataclass(eq=False)
class Recording:
    """A recording, read as far as a window of the model goes, and what a network gives of it."""

    source: object  # a path, bytes, an array or a file
    name: str  # of the source, in one line
    samples: np.ndarray | tuple = ()  # (n,) float32, mono; of a long one the beginning
    seconds: float = 0.0  # 0 while a long one is not predicted
    notes: tuple[str, ...] = ()  # what a user should know of it
    error: AudioError | None = None  # why it cannot be read
    stream: AudioStream | None = None  # the rest of a long one
    outputs: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    starts: tuple[float, ...] | None = None  # seconds; outputs have a row for each window
    detection: object = None  # a `Detection`, by `SoundEventDetector`
    spectrogram: object = None  # for a picture

    @property
    def file(self) -> str:
        return file_of(self.source)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields all of its samples, once, and completes its notes; AudioError if damaged."""
        yield self.samples
        if self.stream is not None:
            with self.stream as stream:
                yield from stream.blocks(BLOCK)
                self.notes = tuple(stream.notes)

    def through(self, engine) -> Iterator[dict[str, np.ndarray]]:
        """Yields what a `WindowPredictor` or `StreamingEncoder` gives; completes its length."""
        for block in self.blocks():
            yield from engine.feed(block)
        yield from engine.finish()
        self.seconds = engine.samples / engine.sample_rate


def read_ahead(
    sources: Iterable, sample_rate: int, *, rate: int | None = None, workers: int = 2
) -> Iterator[Recording]:
    """Yields recordings in order, read by threads; what cannot be read with its error."""
    return prefetch(functools.partial(_read, sample_rate, rate), sources, workers, READ_AHEAD)


def _read(sample_rate: int, rate: int | None, source) -> Recording:
    name, limit = describe(source), round(WINDOW_SECONDS * sample_rate)
    try:
        stream = open_audio(source, sample_rate, rate, name=name)
        samples = stream.read(limit + 1)
        if len(samples) > limit:
            return Recording(source, name, samples, stream=stream)
        stream.close()
        return Recording(source, name, samples, len(samples) / sample_rate, tuple(stream.notes))
    except AudioError as error:
        return Recording(source, name, error=error)
    except Exception as error:  # of one file; the others go on
        return Recording(source, name, error=AudioError(f"{name}: {one_line(error)}"))


def results_of(source, predict: Callable, result: Callable):
    """The result of a recording, or a list of those of a folder or list; ``predict`` makes
    `Recording` objects, whose first error is raised, and whose notes become warnings.
    """
    sources, many, results = [source], False, []
    if isinstance(source, list | tuple):
        sources, many = source, True
    # os.path.isdir is False for a name that is too long, where pathlib raises.
    elif isinstance(source, str | os.PathLike) and os.path.isdir(source):  # noqa: PTH112
        sources, many = find_audio([source]), True
    for recording in predict(sources):
        for note in recording.notes:
            warnings.warn(note, stacklevel=3)
        if recording.error is not None:
            raise recording.error
        results.append(result(recording))
    return results if many else results[0]


def tag_windows(
    recording: Recording, labels, settings: TagSettings, window: float | None = None
) -> list[Tagging]:
    """The `Tagging` of a recording, or those of its windows of so many seconds."""
    starts, rows = recording.starts or (0.0,), recording.outputs["clipwise_output"]
    seconds = min(window or recording.seconds, recording.seconds)
    results = []
    for start, scores in zip(starts, np.atleast_2d(rows), strict=True):
        tags = top_tags(scores, labels, settings.top, settings.threshold)
        results.append(Tagging(recording.file, seconds, tags, scores, start))
    return results


def embedding_of(recording: Recording) -> Embedding:
    """The embedding of a recording, or those of its windows."""
    vector = recording.outputs["embedding"]
    return Embedding(recording.file, recording.seconds, vector, recording.starts)
