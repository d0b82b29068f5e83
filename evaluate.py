"""Evaluates trained networks on packed records, and compares them.

    python evaluate.py --model runs/mine --data packed/eval
    python evaluate.py --model runs/mine --data packed/eval30 --window 10 --hop 5 --aggregate mean
    python evaluate.py --compare runs/a runs/b runs/c --data packed/eval

The first prints mAP, mAUC, d-prime and more with their intervals, and writes into
evaluation/<data's name> of the run

    metrics.json    the figures
    per_class.csv   those of every class
    scores.npz      what the model said of every clip
    report.html     all of it on one page: curves, a table of the classes, the most confident
                    mistakes to look at and to hear

Clips of any length pass the network whole; with --window they are cut into windows, and the last
one is shifted so that it ends with the clip and all audio counts.

--compare puts runs side by side: what each has over the first, with the interval of the difference
over resamples of the same clips, and the same for every class in comparison.csv and
comparison.html. Runs are run directories, models, or directories that hold scores.npz. Scores that
were made by the same model of the same records are used again.
"""

import argparse
from pathlib import Path

from panns_tf import commands
from panns_tf.config import CHOICES
from tfrecords.quiet import import_tensorflow_quietly


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models = parser.add_argument_group("what is evaluated")
    add = models.add_argument
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
    add = parser.add_argument_group("how clips are heard").add_argument
    add("--window", type=float, metavar="SECONDS", help="cut clips into windows of this length")
    add(
        "--hop",
        type=float,
        metavar="SECONDS",
        help="from one window to the next; default: the window, so that none overlap",
    )
    add(
        "--aggregate",
        choices=("mean", "max"),
        help="of the windows' predictions becomes the clip's; default: mean",
    )
    add("--batch-size", type=int, default=32, help="clips at a time; default: %(default)s")
    add(
        "--decimation",
        choices=CHOICES["decimation"],
        default="lowpass",
        help="how records of a higher sample rate than the model's are brought to it; "
        "default: %(default)s",
    )
    add(
        "--damaged",
        choices=CHOICES["damaged"],
        default="raise",
        help="at a damaged record: end with an error, or skip the clip and say so; "
        "default: %(default)s",
    )
    add = parser.add_argument_group("what is reported").add_argument
    add(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="resamples of the clips from which intervals come; 0 for no intervals; "
        "default: %(default)s",
    )
    add(
        "--training-clips",
        type=Path,
        metavar="CSV",
        help="training clips of each class: columns training_clips and index, display_name or "
        "label; default: what the run knows, or AudioSet's counts for AudioSet's classes",
    )
    add(
        "--label-quality",
        type=Path,
        metavar="CSV",
        help="AudioSet's qa_true_counts.csv, for figures by label quality",
    )
    add(
        "--ontology",
        type=Path,
        metavar="JSON",
        help="for figures by branch; default: AudioSet's ontology.json",
    )
    add(
        "--mistakes",
        type=int,
        default=12,
        metavar="N",
        help="false alarms shown on the page, and as many misses; default: %(default)s",
    )
    add("--no-audio", action="store_true", help="leave their sound out of the page")
    add("--no-report", action="store_true", help="write no report.html")
    options = parser.parse_args(arguments)
    _check(parser, options)
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.batch_size < 1:
        parser.error(f"--batch-size must be at least 1; received {options.batch_size}")
    if options.aggregate and options.window is None:
        parser.error(f"--aggregate {options.aggregate} needs a --window: whole clips have no parts")
    if options.data is None:
        heard = ("window", "hop", "aggregate", "decimation", "damaged")
        given = [name for name in heard if getattr(options, name) != parser.get_default(name)]
        if given:
            parser.error(
                f"--{given[0]} needs --data: without it scores that are there are compared"
            )
    if options.compare is None:
        missing = [name for name in ("model", "data") if getattr(options, name) is None]
        if missing:
            parser.error(f"--{' and --'.join(missing)} must be given, or --compare")
    elif len(options.compare) + (options.model is not None) < 2:
        parser.error(f"--compare {options.compare[0]} needs another run to compare it with")


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    options = parse(arguments)
    import_tensorflow_quietly()
    from panns_tf.evaluation.evaluating import Wishes, evaluate
    from panns_tf.evaluation.predicting import Hearing, default_output
    from panns_tf.evaluation.windows import Windows

    wishes = Wishes(
        bootstrap=options.bootstrap,
        training_clips=options.training_clips,
        label_quality=options.label_quality,
        ontology=options.ontology,
        report=not options.no_report,
        mistakes=options.mistakes,
        audio=not options.no_audio,
    )
    windows = Windows(options.window, options.hop, options.aggregate or "mean")
    hearing = None
    if options.data is not None:
        hearing = Hearing(
            options.data, windows, options.batch_size, options.decimation, options.damaged
        )
    if options.compare is None:
        output = options.output or default_output(options.model, options.data, windows)
        evaluate(options.model, hearing, output, wishes)
        return
    from panns_tf.evaluation.comparing import compare

    runs = [*([options.model] if options.model else []), *options.compare]
    compare(runs, hearing, options.output or Path("comparison"), wishes)


if __name__ == "__main__":
    commands.run(main)
