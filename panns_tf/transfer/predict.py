"""The command `predict`: classes of new recordings by a network that was trained on a task."""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.inference.cli import ModelSettings, add_paths, recordings_of, shared_settings
from panns_tf.inference.results import TABLES, OutputSettings, open_results, rounded, top_tags
from panns_tf.windows import Windows, aggregate
from tfrecords.files import read_json
from tfrecords.flags import CheckedSettings, add_flags, setting

#: In a run directory: what is known of the training that its network does not tell.
TRANSFER = "transfer.json"
_COLUMNS = ("file", "seconds", "label", "probability")
_PREDICT = """\
Print the classes of new recordings by a network that was trained on a task.

Where a clip has one label it is the most probable class, else every class that reaches
--threshold. Recordings are predicted as in the training's test: in windows of its clips' length,
over which probabilities are averaged; `tag --window` gives each window's. Files that cannot be read
give an error of one line and exit status 1.
"""
_EXAMPLES = """\
examples:
  panns-tf predict new/*.wav --model runs/mine
  panns-tf predict recordings/ --model runs/mine --output predictions.csv
  panns-tf predict recordings/ --model runs/mine --top 3 --json
"""


@dataclasses.dataclass(frozen=True)
class PredictSettings(CheckedSettings):
    model: str = setting(help="run directory or .keras file of a network trained on the task")
    top: int | None = setting(
        None, "classes at most", minimum=1, shown="1, or all above --threshold of several labels"
    )
    threshold: float = setting(0.5, "least probability of several labels", minimum=0, maximum=1)


def add_predict_flags(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _PREDICT, _EXAMPLES
    add_flags(parser, PredictSettings)
    add_paths(parser)
    add_flags(parser, OutputSettings, defaults={"output": f"none; {', '.join(TABLES)}"})
    add_flags(parser, ModelSettings, names=("precision", "batch_size"))


def run_predict(args: argparse.Namespace) -> int:
    """Predicts recordings; the exit status is 1 if one could not be read."""
    shown = PredictSettings.from_flags(args)
    where, model = shared_settings(args, TABLES)
    from panns_tf.inference.tagger import AudioTagger

    clip_seconds, multi_label = _read_transfer(Path(shown.model))
    tagger = AudioTagger(**dataclasses.asdict(model))
    if multi_label is None:
        multi_label = tagger.model.network.arch.activation != "softmax"
    windows = Windows(clip_seconds).samples(tagger.sample_rate)
    how = {"workers": where.workers, "windows": windows}
    settings = model.identity("predict", args)
    with open_results(where, args.form, settings, _COLUMNS) as results:
        for recording in results.each(recordings_of(args.paths), tagger.predict_each, **how):
            scores = recording.outputs["clipwise_output"]
            if recording.starts is not None:
                scores = aggregate(scores, "mean")
            predicted = _predicted(scores, tagger.labels, multi_label, shown)
            row = {"file": recording.file, "seconds": rounded(recording.seconds), **predicted}
            results.add(row, _text(row, shown.threshold))
    return results.status()


def _read_transfer(model: Path) -> tuple[float | None, bool | None]:
    """The windows of a network's test, s, and whether clips may have several labels, if known."""
    path = (model if model.is_dir() else model.parent) / TRANSFER
    if not path.is_file() or not model.exists():
        return None, None
    content = read_json(path)
    try:
        seconds, multi_label = content.get("clip_seconds"), content.get("multi_label")
        Windows(seconds)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, expected clip_seconds: {error}") from None
    return seconds, multi_label if isinstance(multi_label, bool) else None


def _predicted(
    scores: np.ndarray, labels: Sequence[str], multi_label: bool, shown: PredictSettings
) -> dict:
    """The predicted classes, the most probable first, or the nearest one where there are none."""

    def tags(most: int | None, least: float) -> list[dict]:
        found = top_tags(scores, labels, most, least)
        return [{"label": tag.label, "probability": rounded(tag.score)} for tag in found]

    if not multi_label:
        return {"predicted": tags(shown.top or 1, 0.0)}
    predicted = tags(shown.top, shown.threshold)
    nearest = {} if predicted else {"nearest": tags(1, 0.0)[0]}
    return {"predicted": predicted, **nearest}


def _text(row: dict, threshold: float) -> str:
    text = ", ".join(f"{tag['label']} {tag['probability']:.3f}" for tag in row["predicted"])
    if not text:
        near = row["nearest"]
        text = f"nothing above {threshold:g}; nearest: {near['label']} {near['probability']:.3f}"
    return f"{row['file']}: {text}"
