"""`python -m panns_tf predict`."""

import argparse

from panns_tf.inference.commands import options as shared

_DESCRIPTION = """\
Print which class of a task new recordings are of, by a network that was trained on the task.

A network of a task where a clip has one label says the most probable class, one where it may have
several every class that reaches --threshold. Recordings are heard as in the training's tests: in
windows of its clips' length, over which probabilities are averaged; shorter ones are padded with
silence. What cannot be read is told in a line, the others go on, and the exit status is 1.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf predict new/*.wav --model runs/mine
  python -m panns_tf predict recordings/ --model runs/mine --output predictions.csv
  python -m panns_tf predict recordings/ --model runs/mine --top 3 --json
"""


def add_parser(commands) -> None:
    """Adds `predict` to the commands of ``python -m panns_tf``."""
    parser = commands.add_parser(
        "predict",
        help="which class of your own task recordings are of",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared.add_run(parser, ".csv, .json or .jsonl")
    parser.add_argument(
        "--top",
        type=int,
        metavar="N",
        help="classes at most; default: 1 where a clip has one label, else all above --threshold",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="P",
        help="least probability where a clip may have several labels; default 0.5",
    )
    shared.add_form(parser)
    _add_model(parser)
    parser.set_defaults(run=_predict)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        required=True,
        metavar="MODEL",
        help="a run directory or a .keras file of a network that was trained on the task",
    )
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="clips of 10 s at a time; default 8"
    )
    parser.set_defaults(weights=None)


def _predict(options: argparse.Namespace) -> int:
    from panns_tf.inference.output import TABLES, Output

    shared.check_output(options.output, TABLES, options.force)
    shared.check_workers(options)
    shared.quiet()
    from panns_tf.inference.results import TagSettings
    from panns_tf.transfer.predicting import COLUMNS, Predictor, prediction_of, rows_of

    TagSettings(options.top, options.threshold)
    predictor = Predictor(**shared.model_of(options))
    settings = shared.settings_of(options, "predict", ("top", "threshold"))
    settings["window"] = predictor.window
    form = shared.form_of(options)
    output = Output(options.output, settings, options.force, form, COLUMNS, rows_of)

    def result(heard) -> tuple:
        found = prediction_of(
            heard, predictor.labels, predictor.single_label, options.top, options.threshold
        )
        return found.as_dict(), _text(found, options.threshold), None

    return output.run(
        shared.sources_of(options.paths),
        lambda sources: predictor.predict_each(sources, workers=options.workers),
        result,
    )


def _text(found, threshold: float) -> str:
    said = ", ".join(f"{tag.label} {tag.score:.3f}" for tag in found.tags)
    if not said:
        nearest = f"{found.nearest.label} {found.nearest.score:.3f}"
        said = f"nothing above {threshold:g}; nearest: {nearest}"
    return f"{found.file}: {said}"
