"""The commands: `panns-tf COMMAND`, `python -m panns_tf COMMAND`, `train.py`, `evaluate.py`.

A command named ``NAME`` is two functions of its module, which is imported only when the command is
called and imports nothing heavy itself: ``add_NAME_flags(parser)`` adds flags and sets the
parser's description, ``run_NAME(args)`` does the work and returns an exit status, None for 0.
"""

import argparse
import dataclasses
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from panns_tf import __version__
from panns_tf.run import RunError
from tfrecords.progress import show_messages


@dataclasses.dataclass(frozen=True)
class Command:
    """Where a command is, and what it is for, in a phrase."""

    module: str
    help: str


# fmt: off
COMMANDS = {
    "tag": Command("panns_tf.inference.cli", "labels of recordings"),
    "detect": Command("panns_tf.inference.cli", "events in recordings, with their times"),
    "embed": Command("panns_tf.inference.cli", "embeddings of recordings"),
    "train": Command("panns_tf.training.cli", "train a network on packed records"),
    "evaluate": Command("panns_tf.evaluation.cli", "evaluate trained networks, and compare them"),
    "finetune": Command("panns_tf.transfer.cli", "train on a data set of your own, or a published task"),  # noqa: E501
    "predict": Command("panns_tf.transfer.cli", "labels of recordings by a fine-tuned network"),
    "export": Command("panns_tf.export.cli", "SavedModel, ONNX and LiteRT files"),
    "convert": Command("panns_tf.weights.cli", "PyTorch checkpoints to Keras, and back"),
    "demo": Command("panns_tf.demo", "a Gradio page to drop or record audio on"),
    "models": Command("panns_tf.catalogue", "the table of networks"),
    "plot": Command("panns_tf.figures.cli", "the paper's figures from run directories"),
    "ablate": Command("panns_tf.sweep.cli", "grids of trainings, and their table"),
    "pack": Command("tfrecords.cli", "audio files to TFRecord shards"),
    "audioset": Command("tfrecords.cli", "a local copy of AudioSet to TFRecord shards"),
    "merge": Command("tfrecords.cli", "join packed directories, or take a part of one"),
    "info": Command("tfrecords.cli", "what a packed directory holds"),
    "verify": Command("tfrecords.cli", "check every record of a packed directory"),
    "synthesize": Command("tfrecords.cli", "a small data set of synthetic sounds"),
}
# fmt: on


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status.

    Raises:
        ValueError, OSError: for a user's mistake, in one line; see `run`.
        SystemExit: for flags that cannot be read, and after ``--help``.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else "--help"
    if name in COMMANDS:
        return run_command(name, arguments[1:], f"panns-tf {name}")
    parser = _overview()
    if name == "--version":
        print(f"panns_tf {__version__}")
        return 0
    if name in ("-h", "--help"):
        parser.print_help()
        return 0
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return parser.error(f"no command {name!r}{hint}; one of {', '.join(COMMANDS)}")


def run_command(name: str, arguments: Sequence[str] | None, program: str) -> int:
    """Runs a command by its name.

    Args:
        name: of `COMMANDS`.
        arguments: its own, without its name; None for those of the process.
        program: what ``--help`` calls it.
    """
    module = import_module(COMMANDS[name].module)
    parser = argparse.ArgumentParser(
        prog=program,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # train's --window would be --window-size
    )
    getattr(module, f"add_{name}_flags")(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress and no messages")
    options = parser.parse_args(arguments)
    show_messages(options.quiet)
    return getattr(module, f"run_{name}")(options) or 0


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="panns-tf",
        usage="panns-tf COMMAND [--help] ...",
        description="PANNs for TensorFlow and Keras 3.\n\ncommands:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


def run(command: Callable[[], int | None]) -> None:
    """Runs a command and exits: 0 on success, 2 with one line for a user's mistake.

    Mistakes are ValueError, OSError and `panns_tf.run.RunError`.
    """
    try:
        status = command() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except (ValueError, OSError, RunError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt as error:
        print("interrupted", *error.args, sep="; continue with: ", file=sys.stderr)
        status = 130
    sys.exit(status)


def panns_tf() -> None:
    """The console script."""
    run(main)
