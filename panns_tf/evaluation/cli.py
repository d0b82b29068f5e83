"""The command ``evaluate``."""

import argparse
from pathlib import Path

from panns_tf.evaluation.scores import EvaluateSettings
from tfrecords.flags import add_flags, flag_settings

_DESCRIPTION = """Evaluates trained networks on packed records, and compares them.

    panns-tf evaluate --model runs/mine --data packed/eval
    panns-tf evaluate --model runs/mine --data packed/eval30 --window 10 --hop 5 --aggregate mean
    panns-tf evaluate --compare runs/a runs/b runs/c --data packed/eval

The first prints mAP, mAUC, d-prime and more with their intervals, and writes metrics.json,
per_class.csv, scores.npz and report.html into evaluation/<data's name> of the run.

Clips of any length pass the network whole; with --window they are cut into windows. The last one
ends with the clip, so that all audio counts; a clip shorter than the window is padded with zeros.

--compare writes the differences to the first run, with their intervals over resamples of the same
clips, into comparison.csv and comparison.html. Runs are run directories, models, or directories
that hold scores.npz. Scores of the same model for the same records are used again.
"""


def add_evaluate_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    first = ("model", "data", "compare", "output")
    groups = add_flags(parser, EvaluateSettings, first)
    add_flags(parser, EvaluateSettings, skip=first, groups=groups)


def run_evaluate(args: argparse.Namespace) -> None:
    settings, given = EvaluateSettings.from_flags(args), flag_settings(args, EvaluateSettings)
    if "aggregate" in given and "window" not in given:
        raise ValueError(f"--aggregate {settings.aggregate} needs a --window")
    of_records = ("window", "hop", "aggregate", "batch_size", "decimation", "damaged")
    for name in of_records if settings.data is None else ():
        if name in given:
            raise ValueError(f"--{name.replace('_', '-')} needs --data; stored scores stay as is")
    missing = [f"--{name}" for name in ("model", "data") if name not in given]
    if settings.compare is None and missing:
        raise ValueError(f"{' and '.join(missing)} must be given, or --compare")
    runs = [*([settings.model] if settings.model else []), *(settings.compare or ())]
    if settings.compare and len(runs) < 2:
        raise ValueError(f"--compare {runs[0]} needs another run to compare it with")

    from tfrecords.commands import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.evaluation.compare import compare
    from panns_tf.evaluation.evaluate import evaluate

    if settings.compare is None:
        evaluate(settings.model, settings, settings.output)
    else:
        compare(list(dict.fromkeys(runs)), settings, settings.output or Path("comparison"))
