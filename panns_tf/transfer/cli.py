"""The commands `finetune` and `predict`."""

import argparse
import dataclasses

from panns_tf.config import NetworkOverrides
from panns_tf.inference.cli import ModelSettings, add_paths, quiet_tensorflow, recordings_of
from panns_tf.inference.output import TABLES, OutputSettings, open_results
from panns_tf.transfer.settings import FinetuneConfig, Options, finetune_config, finetune_options
from tfrecords.files import check_output_folder
from tfrecords.flags import CheckedSettings, add_flags, given_settings, setting

_FINETUNE = """\
Train on a new task from a pretrained network, or from nothing, and report how well it went.

--data is a data set of your own, a folder with one folder for each class, a CSV of files and
labels, or a folder of files whose names --label-pattern reads; or, with --task, one of the paper's
six data sets. The same command continues after a kill with the trainings that are missing.
"""
_FINETUNE_EXAMPLES = """\
examples:
  panns-tf finetune --data sounds/ --output runs/mine
  panns-tf finetune --data clips.csv --audio sounds/ --strategy linear_probe
  panns-tf finetune --data flat/ --label-pattern '(?P<label>[a-z]+)_\\d+'
  panns-tf finetune --task esc50 --data ESC-50-master --strategy freeze_l1
  panns-tf finetune --task gtzan --data GTZAN --weights Cnn14_mAP=0.431.pth
  panns-tf finetune --task esc10 --data ESC-10 --arch MobileNetV1 --strategy scratch
  panns-tf finetune --task esc50 --data ESC-50-master --clips-per-class 1,2,5,10,20,all \\
    --seeds 5 --strategy linear_probe --output runs/esc50
"""


def add_finetune_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `finetune`."""
    parser.description, parser.epilog = _FINETUNE, _FINETUNE_EXAMPLES
    for settings in (Options, FinetuneConfig, NetworkOverrides):
        add_flags(parser, settings)


def run_finetune(args: argparse.Namespace) -> None:
    """Trains, tests, writes and prints."""
    # What needs no TensorFlow is checked before it is imported.
    options, config = finetune_options(args), finetune_config(args)
    overrides = NetworkOverrides(**given_settings(args, NetworkOverrides)).overrides
    for flag, folder in (("--cache", options.cache), ("--output", options.output)):
        if folder is not None:
            check_output_folder(folder, flag)
    task, dataset = _dataset(options)
    if dataset.multi_label and options.metric not in (None, "mAP"):
        raise ValueError(f"--metric {options.metric} needs clips of one label each; take mAP")
    quiet_tensorflow()
    from panns_tf.transfer.runner import finetune

    finetune(task, dataset, config, options, overrides)


def _dataset(options: Options):
    """The task or None, and the data set."""
    if options.task is not None:
        from panns_tf.transfer.layouts import read_task
        from panns_tf.transfer.tasks import find_task

        task = find_task(options.task)
        return task, read_task(options.data, task)
    from panns_tf.transfer.user_dataset import read_dataset

    names = ("audio", "labels_from", "label_pattern", "group_pattern", "drop_rare")
    given = {name: getattr(options, name) for name in names}
    return None, read_dataset(options.data, classes_file=options.classes, **given)


_PREDICT = """\
Print the classes of new recordings by a network that was trained on a task.

Where a clip has one label it is the most probable class, else every class that reaches
--threshold. Recordings are predicted as in the training's test: in windows of its clips' length,
over which probabilities are averaged; `tag --window` gives each window's. Files that cannot be read
give an error of one line and exit status 1.
"""
_PREDICT_EXAMPLES = """\
examples:
  panns-tf predict new/*.wav --model runs/mine
  panns-tf predict recordings/ --model runs/mine --output predictions.csv
  panns-tf predict recordings/ --model runs/mine --top 3 --json
"""


@dataclasses.dataclass(frozen=True)
class PredictSettings(CheckedSettings):
    """Which classes are shown."""

    model: str = setting(help="run directory or .keras file of a network trained on the task")
    top: int | None = setting(
        None, "classes at most", minimum=1, shown="1, or all above --threshold of several labels"
    )
    threshold: float = setting(0.5, "least probability of several labels", minimum=0, maximum=1)


def add_predict_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `predict`."""
    parser.description, parser.epilog = _PREDICT, _PREDICT_EXAMPLES
    add_flags(parser, PredictSettings)
    add_paths(parser)
    add_flags(parser, OutputSettings, defaults={"output": f"none; {', '.join(TABLES)}"})
    add_flags(parser, ModelSettings, names=("precision", "batch_size"))


def run_predict(args: argparse.Namespace) -> int:
    """Predicts recordings; the exit status is 1 if one could not be read."""
    shown, where = PredictSettings.given(args), OutputSettings.given(args)
    model = ModelSettings.given(args)
    where.check(TABLES)
    quiet_tensorflow()
    from panns_tf.inference.tagger import AudioTagger
    from panns_tf.transfer import predict

    clip_seconds, multi_label = predict.read_transfer(shown.model)
    tagger = AudioTagger(**dataclasses.asdict(model))
    single_label = not multi_label
    if multi_label is None:
        single_label = tagger.model.network.arch.activation == "softmax"

    settings = model.identity("predict", args)
    with open_results(where, args.form, settings, predict.COLUMNS) as results:
        sources = results.missing(recordings_of(args.paths))
        recordings = predict.predict_recordings(tagger, clip_seconds, sources, where.workers)
        for recording in results.readable(recordings):
            row = predict.prediction_row(
                recording, tagger.labels, single_label, shown.top, shown.threshold
            )
            results.add(row, predict.row_text(row, shown.threshold))
    return results.status()
