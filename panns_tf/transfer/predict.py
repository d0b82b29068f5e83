"""Predictions for new recordings by a network that was trained on a task."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from panns_tf.inference.batching import Prediction
from panns_tf.inference.results import Tag, rounded, top_tags
from panns_tf.inference.tagger import AudioTagger
from panns_tf.windows import Windows, aggregate
from tfrecords.files import read_json

#: In a run directory: what is known of the training that its network does not tell.
TRANSFER = "transfer.json"
COLUMNS = ("file", "seconds", "label", "probability")


@dataclasses.dataclass(frozen=True)
class TransferInfo:
    """How a network was trained.

    Attributes:
        clip_seconds: of the windows that it was tested on; None if not known.
        multi_label: whether clips could have several labels; None if not known.
    """

    clip_seconds: float | None = None
    multi_label: bool | None = None


def read_transfer(model: str | Path) -> TransferInfo:
    """Reads ``transfer.json`` of a run directory, or beside a ``.keras`` file, where there is one.

    Raises:
        ValueError: in one line, if it is damaged.
    """
    path = Path(model)
    path = (path if path.is_dir() else path.parent) / TRANSFER
    if not path.is_file() or not Path(model).exists():
        return TransferInfo()
    content = read_json(path)
    try:
        seconds, multi_label = content.get("clip_seconds"), content.get("multi_label")
        seconds = None if seconds is None else float(seconds)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from None
    if seconds is not None and not 0 < seconds <= 3600:
        raise ValueError(
            f"{path}: expected clip_seconds above 0 and up to 3600; received {seconds}"
        )
    return TransferInfo(seconds, multi_label if isinstance(multi_label, bool) else None)


def predict_recordings(
    tagger: AudioTagger, info: TransferInfo, sources: Iterable, workers: int = 2
) -> Iterator[Prediction]:
    """Predicts recordings as the training's test did: in windows, over which the mean is taken.

    As `panns_tf.windows` has them. Without a known window recordings are predicted as a whole.

    Args:
        tagger: of the network.
        info: of `read_transfer`.
        sources: as of `AudioTagger.predict_each`.
        workers: threads that decode.

    Yields:
        Predictions, whose ``clipwise_output`` is (classes,).
    """
    windows = Windows(info.clip_seconds).samples(tagger.sample_rate)
    for prediction in tagger.predict_each(sources, workers=workers, windows=windows):
        if prediction.error is None and prediction.starts is not None:
            outputs = prediction.outputs.items()
            prediction.outputs = {name: aggregate(rows, "mean") for name, rows in outputs}
            prediction.starts = None
        yield prediction


def prediction_row(
    prediction: Prediction,
    labels: Sequence[str],
    single_label: bool,
    top: int | None = None,
    threshold: float = 0.5,
) -> dict:
    """The predicted classes of a recording, as JSON takes it.

    Args:
        prediction: of `predict_recordings`, without an error.
        labels: of the classes.
        single_label: whether exactly one is true.
        top: classes at most; None for one of single-label networks, for all of others.
        threshold: least probability, of networks that are not single-label.

    Returns:
        ``file``, ``seconds`` and ``predicted``, the most probable first; ``nearest``, the most
        probable class, where nothing is predicted.
    """
    scores = prediction.outputs["clipwise_output"]
    most, least = (top or 1, 0.0) if single_label else (top, threshold)
    tags = [_plain(tag) for tag in top_tags(scores, labels, most, least)]
    row = {"file": prediction.file, "seconds": rounded(prediction.seconds), "predicted": tags}
    if not tags:
        row["nearest"] = _plain(top_tags(scores, labels, 1, 0.0)[0])
    return row


def _plain(tag: Tag) -> dict:
    return {"label": tag.label, "probability": rounded(tag.score)}


def table_rows(row: dict) -> list[dict]:
    """The rows of a table for a recording; one without label if nothing is predicted."""
    start = {"file": row["file"], "seconds": row["seconds"]}
    return [{**start, **tag} for tag in row["predicted"]] or [start]


def row_text(row: dict, threshold: float) -> str:
    """A recording's predictions as a line."""
    text = ", ".join(f"{tag['label']} {tag['probability']:.3f}" for tag in row["predicted"])
    if not text:
        near = row["nearest"]
        text = f"nothing above {threshold:g}; nearest: {near['label']} {near['probability']:.3f}"
    return f"{row['file']}: {text}"
