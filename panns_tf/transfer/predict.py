"""Predictions for new recordings by a network that was trained on a task."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from panns_tf.inference.results import rounded, top_tags
from panns_tf.inference.tagger import AudioTagger, Recording
from panns_tf.windows import Windows, aggregate
from tfrecords.files import read_json

#: In a run directory: what is known of the training that its network does not tell.
TRANSFER = "transfer.json"
COLUMNS = ("file", "seconds", "label", "probability")


def read_transfer(model: str | Path) -> tuple[float | None, bool | None]:
    """The windows of a network's test, s, and whether clips may have several labels, if known.

    They are in ``transfer.json`` of a run directory, or beside a ``.keras`` file.
    """
    path = Path(model)
    path = (path if path.is_dir() else path.parent) / TRANSFER
    if not path.is_file() or not Path(model).exists():
        return None, None
    content = read_json(path)
    try:
        seconds, multi_label = content.get("clip_seconds"), content.get("multi_label")
        Windows(seconds)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, expected clip_seconds: {error}") from None
    return seconds, multi_label if isinstance(multi_label, bool) else None


def predict_recordings(
    tagger: AudioTagger, clip_seconds: float | None, sources: Iterable, workers: int = 2
) -> Iterator[Recording]:
    """Predicts recordings as the training's test did: the mean over windows, if these are known."""
    windows = Windows(clip_seconds).samples(tagger.sample_rate)
    for prediction in tagger.predict_each(sources, workers=workers, windows=windows):
        if prediction.error is None and prediction.starts is not None:
            outputs = prediction.outputs.items()
            prediction.outputs = {name: aggregate(rows, "mean") for name, rows in outputs}
            prediction.starts = None
        yield prediction


def prediction_row(
    prediction: Recording,
    labels: Sequence[str],
    single_label: bool,
    top: int | None = None,
    threshold: float = 0.5,
) -> dict:
    """The predicted classes of a recording, the most probable first, as JSON takes it.

    A clip of one label has the ``top`` ones, by default one; others have all that reach the
    threshold, or ``top`` of them, and ``nearest`` where none does.
    """
    scores = prediction.outputs["clipwise_output"]

    def tags(most: int | None, least: float) -> list[dict]:
        found = top_tags(scores, labels, most, least)
        return [{"label": tag.label, "probability": rounded(tag.score)} for tag in found]

    predicted = tags(top or 1, 0.0) if single_label else tags(top, threshold)
    row = {"file": prediction.file, "seconds": rounded(prediction.seconds), "predicted": predicted}
    return row if predicted else {**row, "nearest": tags(1, 0.0)[0]}


def row_text(row: dict, threshold: float) -> str:
    """A recording's predictions as a line."""
    text = ", ".join(f"{tag['label']} {tag['probability']:.3f}" for tag in row["predicted"])
    if not text:
        near = row["nearest"]
        text = f"nothing above {threshold:g}; nearest: {near['label']} {near['probability']:.3f}"
    return f"{row['file']}: {text}"
