"""The command ``evaluate``."""

import argparse
from pathlib import Path

from panns_tf.evaluation.options import EvalInput, ReportOptions
from panns_tf.windows import Windows
from tfrecords.flags import add_flags, given_settings

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
    """Adds the flags of ``evaluate``."""
    parser.description = _DESCRIPTION
    add = parser.add_argument_group("what is evaluated").add_argument
    add(
        "--model",
        type=Path,
        help="a run directory (its final.keras, or best.keras while it is unfinished), a .keras "
        "file or a SavedModel",
    )
    add("--data", type=Path, help="a directory of packed records")
    add(
        "--compare",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="two or more to compare with the first; --model, if given, comes before them",
    )
    add(
        "--output",
        type=Path,
        help="where to write; default: evaluation/<data's name> beside the model, or for "
        "--compare the folder comparison here",
    )
    groups = add_flags(parser, Windows)
    add_flags(parser, EvalInput, groups=groups)
    add_flags(parser, ReportOptions, groups=groups)


def run_evaluate(args: argparse.Namespace) -> None:
    """Runs ``evaluate``."""
    settings, more = given_settings(args, Windows), given_settings(args, EvalInput)
    if "aggregate" in settings and "window" not in settings:
        raise ValueError(
            f"--aggregate {settings['aggregate']} needs a --window: whole clips have no parts"
        )
    windows, options = Windows(**settings), ReportOptions(**given_settings(args, ReportOptions))
    if args.data is None and settings | more:
        name = next(iter(settings | more)).replace("_", "-")
        raise ValueError(f"--{name} needs --data: without it scores that are there are compared")
    missing = [f"--{name}" for name in ("model", "data") if getattr(args, name) is None]
    if args.compare is None and missing:
        raise ValueError(f"{' and '.join(missing)} must be given, or --compare")
    runs = list(dict.fromkeys([*([args.model] if args.model else []), *(args.compare or ())]))
    if args.compare and len(runs) < 2:
        raise ValueError(f"--compare {runs[0]} needs another run to compare it with")
    records = None if args.data is None else EvalInput(args.data, windows, **more)

    from tfrecords.commands import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.evaluation.compare import compare
    from panns_tf.evaluation.evaluate import evaluate
    from panns_tf.evaluation.scores import default_output

    if args.compare is None:
        output = args.output or default_output(args.model, args.data, windows)
        evaluate(args.model, records, output, options)
    else:
        compare(runs, records, args.output or Path("comparison"), options)
