"""What a network that was trained on a task says of new recordings."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from panns_tf.inference.batching import Prediction as Heard
from panns_tf.inference.results import Tag, csv_text, rounded, top_tags
from panns_tf.inference.tagger import AudioTagger
from panns_tf.models import Network
from panns_tf.transfer.windows import window_starts

#: In a run directory: what is known of the training that its network does not tell.
TRANSFER = "transfer.json"


@dataclasses.dataclass(frozen=True)
class About:
    """How a network was about.

    Attributes:
        clip_seconds: of the windows that it was trained and tested on; None if not known.
        multi_label: whether clips could have several labels; None if not known.
    """

    clip_seconds: float | None = None
    multi_label: bool | None = None


def read_about(model: str | Path) -> About:
    """Reads ``transfer.json`` of a run directory, or beside a ``.keras`` file, where there is one.

    Raises:
        ValueError: in one line, if it is damaged.
    """
    path = Path(model)
    path = (path if path.is_dir() else path.parent) / TRANSFER
    if not path.is_file() or not Path(model).exists():
        return About()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        seconds, several = found.get("clip_seconds"), found.get("multi_label")
        seconds = None if seconds is None else float(seconds)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from None
    if seconds is not None and not 0 < seconds <= 3600:
        raise ValueError(
            f"{path}: expected clip_seconds above 0 and up to 3600; received {seconds}"
        )
    return About(seconds, several if isinstance(several, bool) else None)


def is_single_label(network: Network, about: About) -> bool:
    """Whether exactly one class is true of a clip: the training says so, or a softmax does."""
    if about.multi_label is not None:
        return not about.multi_label
    return network.row.activation == "softmax"


class Predictor(AudioTagger):
    """A tagger that hears recordings as the training's tests did: in windows of equal length.

    What is longer than a window is cut into windows, the last of which ends with the recording,
    and their probabilities are averaged; what is shorter is padded with zeros. See
    `panns_tf.transfer.windows`. Of networks whose window is not known recordings are heard whole.

    Args:
        about: of `read_about`.
        model, weights, precision, batch_size: as for `AudioTagger`.

    Attributes:
        single_label: whether exactly one class is true of a clip.
    """

    def __init__(self, model, weights="audioset", *, about: About | None = None, **settings):
        super().__init__(model, weights, **settings)
        if about is None:
            about = About() if isinstance(model, Network) else read_about(model)
        self.single_label = is_single_label(self.model.network, about)
        self.window = None
        if about.clip_seconds is not None:
            self.window = round(about.clip_seconds * self.sample_rate)

    def predict_each(self, sources, workers: int = 2):
        """Yields what became of recordings, one by one; ``clipwise_output`` is (classes,)."""
        windows = None if self.window is None else (self.window, self.window)
        for heard in super().predict_each(sources, workers=workers, windows=windows):
            if heard.error is None and heard.starts is not None:
                heard.outputs = self._averaged(heard)
                heard.starts = None
            yield heard

    def _averaged(self, heard: Heard) -> dict[str, np.ndarray]:
        samples = round(heard.seconds * self.sample_rate)
        wanted = window_starts(samples, self.window)
        starts = [round(start * self.sample_rate) for start in heard.starts]
        # A negligible rest has a window of its own among those heard.
        rows = [starts.index(start) for start in wanted]
        return {
            name: values[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
            for name, values in heard.outputs.items()
        }


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The classes of a recording.

    Attributes:
        file: the recording.
        seconds: its length.
        tags: those predicted, the most probable first: of single-label networks as many as asked
            for, of others those that reach the threshold.
        nearest: the most probable class of all.
    """

    file: str
    seconds: float
    tags: tuple[Tag, ...]
    nearest: Tag

    def as_dict(self) -> dict:
        """As JSON takes it."""
        tags = [_plain(tag) for tag in self.tags]
        at = {"file": self.file, "seconds": rounded(self.seconds), "predicted": tags}
        return at if tags else {**at, "nearest": _plain(self.nearest)}

    def to_csv(self) -> str:
        """A table with a header: ``file, seconds, label, probability``."""
        return csv_text(COLUMNS, rows_of(self.as_dict()))


COLUMNS = ("file", "seconds", "label", "probability")


def rows_of(found: dict) -> list[dict]:
    """The rows of a table for a prediction's object; one without label if nothing is predicted."""
    at = {"file": found["file"], "seconds": found["seconds"]}
    return [{**at, **tag} for tag in found["predicted"]] or [at]


def prediction_of(
    heard: Heard, labels, single_label: bool, top: int | None = None, threshold: float = 0.5
) -> Prediction:
    """Returns the classes of a recording.

    Args:
        heard: of `Predictor.predict_each`, without an error.
        labels: of the classes.
        single_label: whether exactly one is true.
        top: classes at most; None for one of single-label networks, for all of others.
        threshold: least probability, of networks that are not single-label.
    """
    scores = heard.outputs["clipwise_output"]  # (classes,)
    most, least = (top or 1, 0.0) if single_label else (top, threshold)
    (nearest,) = top_tags(scores, labels, 1, -np.inf)
    return Prediction(heard.file, heard.seconds, top_tags(scores, labels, most, least), nearest)


def _plain(tag: Tag) -> dict:
    return {"label": tag.label, "probability": rounded(tag.score)}
