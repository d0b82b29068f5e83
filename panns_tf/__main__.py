"""The commands of `python -m panns_tf`: networks, use, transfer, figures and ablations."""

import argparse
from collections.abc import Sequence

from panns_tf import demo
from panns_tf.cli import COMMANDS
from panns_tf.commands import run
from panns_tf.export import cli as export
from panns_tf.figures import cli as figures
from panns_tf.inference import cli as inference
from panns_tf.sweep import cli as sweep
from panns_tf.transfer import cli as transfer
from panns_tf.weights import cli as weights
from tfrecords.progress import show_messages

#: Those of the commands of `panns_tf.cli` that are here too.
MODULES = {
    "tag": inference,
    "detect": inference,
    "embed": inference,
    "finetune": transfer,
    "predict": transfer,
    "convert": weights,
    "export": export,
    "demo": demo,
    "plot": figures,
    "ablate": sweep,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    show_messages()
    return options.run(options) or 0


def _models(options: argparse.Namespace) -> None:
    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf import catalogue

    found = catalogue.entries(options.pattern)
    write = {"json": catalogue.as_json, "markdown": catalogue.as_markdown}
    print(write.get(options.form, catalogue.as_text)(found))


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

    for name, module in MODULES.items():
        added = commands.add_parser(
            name, help=COMMANDS[name].help, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        getattr(module, f"add_{name}_flags")(added)
        added.set_defaults(run=getattr(module, f"run_{name}"))
    return parser


if __name__ == "__main__":
    run(main)
