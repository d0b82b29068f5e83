"""Commands of a program: their table, flags, errors and exit statuses."""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from tfrecords.progress import show_messages
from tfrecords.text import did_you_mean, one_line


@dataclasses.dataclass(frozen=True)
class Command:
    """Where a command is, and what it is for, in a phrase. Its module, imported when the command is
    called, has ``add_NAME_flags(parser)``, which also sets the description, and ``run_NAME(args)``,
    which returns an exit status, None for 0.
    """

    module: str
    help: str


#: The commands of ``python -m tfrecords``; ``panns-tf`` has them too.
COMMANDS = {
    "pack": Command("tfrecords.cli", "audio files to TFRecord shards"),
    "audioset": Command("tfrecords.cli", "a local copy of AudioSet to TFRecord shards"),
    "merge": Command("tfrecords.cli", "join packed directories, or take a part of one"),
    "info": Command("tfrecords.cli", "what a packed directory holds"),
    "verify": Command("tfrecords.cli", "check every record of a packed directory"),
    "synthesize": Command("tfrecords.cli", "a small data set of synthetic sounds"),
}


def main(
    arguments: Sequence[str] | None = None,
    commands: Mapping[str, Command] = COMMANDS,
    program: str = "python -m tfrecords",
    description: str = "Audio clips as TFRecord shards.",
    version: str = "",
) -> int:
    """Runs the command that the first argument names, and returns its exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in commands:
        return run_command(commands[name], name, rest, f"{program} {name}")
    width = max(map(len, commands))
    lines = [f"  {name:{width}}  {command.help}" for name, command in commands.items()]
    parser = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} COMMAND [--help] ...",
        description="\n".join([description, "", "commands:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if version:
        parser.add_argument("--version", action="version", version=version)
    if name.startswith("-"):
        parser.parse_args([name])
    return parser.error(f"no command {name!r}; {did_you_mean(name, commands)}")


def run_command(command: Command, name: str, arguments: Sequence[str] | None, program: str) -> int:
    """Runs a command; ``arguments`` are its own, None for those of the process."""
    module = import_module(command.module)
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


def run(command: Callable[[], int | None], mistakes: tuple[type[Exception], ...] = ()) -> None:
    """Runs a command and exits: 0 on success, 2 with one line for a user's mistake: ValueError,
    OSError and those named.
    """
    for stream in (sys.stdout, sys.stderr):  # names that the terminal cannot show are no error
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = command() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except (ValueError, OSError, *mistakes) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt as error:
        print("interrupted", *error.args, sep="; continue with: ", file=sys.stderr)
        status = 130
    sys.exit(status)


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow, before anything else does, without notes that would bury an error's line.
    Some no log level stops; ``TF_CPP_MIN_LOG_LEVEL`` brings the later ones back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()  # looks for CUDA
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
