"""The commands of `python -m panns_tf`: networks, use, transfer, figures and ablations."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from panns_tf.commands import run
from panns_tf.figures.cli import add_plot_flags, run_plot
from panns_tf.inference import cli as inference
from panns_tf.inference.demo import command as demo
from panns_tf.inference.export import command as export
from panns_tf.sweep.cli import add_ablate_flags, run_ablate
from panns_tf.transfer.commands import finetune, predict
from tfrecords.progress import show_messages

_CONVERT_HELP = """\
Convert a checkpoint of the PyTorch reference to Keras, or a network of this project to a
checkpoint that the reference loads. PyTorch is not needed, and nothing in a checkpoint is run.

SOURCE is the name of a network, whose published checkpoint is then downloaded (about 300 MB for
most; resumed if it was cut off; kept in ~/.cache/panns_tf or $PANNS_TF_CACHE), or a file: .pth, or
.keras.
"""
_CONVERT_EXAMPLES = """\
examples:
  python -m panns_tf convert Cnn14
  python -m panns_tf convert Cnn14_mAP=0.431.pth --output cnn14.keras
  python -m panns_tf convert runs/mine/final.keras --output mine.pth
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    show_messages()
    return options.run(options) or 0


def _models(options: argparse.Namespace) -> None:
    _quiet()
    from panns_tf import catalogue

    found = catalogue.entries(options.pattern)
    write = {"json": catalogue.as_json, "markdown": catalogue.as_markdown}
    print(write.get(options.form, catalogue.as_text)(found))


def _convert(options: argparse.Namespace) -> None:
    _quiet()
    from panns_tf.weights.cli import convert

    print(convert(options.source, options.output, options.arch, options.force))


def _quiet() -> None:
    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m panns_tf", description="PANNs for TensorFlow and Keras 3."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    models = commands.add_parser("models", help="the table of networks")
    models.description = "Print what there is to know of each network."
    models.add_argument("pattern", nargs="?", default="*", help="such as 'wavegram*'; default: all")
    form = models.add_mutually_exclusive_group()
    for name in ("json", "markdown"):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name)
    models.set_defaults(run=_models, form="text")

    convert = commands.add_parser(
        "convert",
        help="published checkpoints and PyTorch files to Keras, and back",
        description=_CONVERT_HELP,
        epilog=_CONVERT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    convert.add_argument("source", metavar="SOURCE")
    convert.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=".keras or .weights.h5, from a .keras also .pth; default: SOURCE with .keras",
    )
    convert.add_argument(
        "--arch",
        metavar="NETWORK",
        help="which network a .pth file holds; default: worked out from its entries and its name",
    )
    convert.add_argument("--force", action="store_true", help="replace an existing FILE")
    convert.set_defaults(run=_convert)

    for command in (finetune, predict, export, demo):
        command.add_parser(commands)
    for name in ("tag", "detect", "embed"):
        parser_of = commands.add_parser(name, formatter_class=argparse.RawDescriptionHelpFormatter)
        getattr(inference, f"add_{name}_flags")(parser_of)
        parser_of.set_defaults(run=getattr(inference, f"run_{name}"))
    plot = commands.add_parser("plot", help="the paper's figures, from run directories")
    add_plot_flags(plot)
    plot.set_defaults(run=run_plot)
    ablate = commands.add_parser("ablate", help="grids of trainings, and their table")
    add_ablate_flags(ablate)
    ablate.set_defaults(run=run_ablate)
    return parser


if __name__ == "__main__":
    run(main)
