"""What the commands that hear recordings share: their flags, their inputs, their running."""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from panns_tf.commands import writable_file

PATHS_HELP = (
    "audio files, folders, patterns such as 'sounds/**/*.wav', or - for standard input, which is "
    "read to its end, and heard first"
)


def add_model(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds the flags that name a network."""
    parser.add_argument(
        "--model",
        default=default,
        metavar="MODEL",
        help="a network's name, a run directory, a .keras or a .pth file; default: the published "
        f"{default}, downloaded once",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE",
        help="with a network's name: its weights, a .pth or .keras file, rather than the published",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "bfloat16"),
        help="bfloat16 is faster where the processor has it; probabilities differ by up to 0.02",
    )
    parser.add_argument(
        "--batch-size", type=int, default=8, metavar="N", help="clips of 10 s at a time; default 8"
    )


def add_run(parser: argparse.ArgumentParser, endings: str) -> None:
    """Adds the flags of what is heard and where results go."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help=PATHS_HELP)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"write results to FILE ({endings}); a command that was killed goes on when it is "
        "repeated",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing FILE, begin anew")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="threads that decode; default 2"
    )


def add_windows(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds the flags of windows."""
    parser.add_argument("--window", type=float, metavar="SECONDS", help=default)
    parser.add_argument("--hop", type=float, metavar="SECONDS", help="from one window to the next")


def add_form(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of what is printed."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print an object a line")
    form.add_argument("--csv", action="store_true", help="print a table")


def form_of(options: argparse.Namespace) -> str:
    """What is printed: ``"json"``, ``"csv"`` or ``"text"``."""
    return "json" if options.json else "csv" if options.csv else "text"


def model_of(options: argparse.Namespace) -> dict:
    """The arguments of a tagger or detector that `add_model`'s flags give."""
    return {
        "model": options.model,
        "weights": options.weights or "audioset",
        "precision": options.precision,
        "batch_size": options.batch_size,
    }


def settings_of(options: argparse.Namespace, command: str, names: Iterable[str]) -> dict:
    """What decides results, so that those of a killed command are not mixed with others."""
    given = {name: getattr(options, name) for name in (*names, "precision")}
    return {"command": command, **given, **_identity(options.model, options.weights)}


def quiet() -> None:
    """Imports TensorFlow without its start-up notes, before anything else does."""
    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    # It warns of functions that are traced again, which clips of many lengths ask for.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def check_run(options: argparse.Namespace) -> None:
    """Raises ValueError for a hop of no window, or an odd number of workers."""
    check_workers(options)
    if options.hop is not None and options.window is None:
        raise ValueError(f"--hop {options.hop:g} needs a --window that it moves")


def check_workers(options: argparse.Namespace) -> None:
    """Raises ValueError for an odd number of workers."""
    if not 1 <= options.workers <= 64:
        raise ValueError(f"--workers must be 1 to 64; received {options.workers}")


def check_output(output: Path | None, endings: tuple[str, ...], force: bool) -> None:
    """Raises ValueError unless results can go there, before anything is done."""
    if output is None:
        return
    if output.suffix not in endings:
        raise ValueError(f"--output must end in {', '.join(endings)}; received {output}")
    writable_file(output, force=force)


def check_folder(folder: Path | None, flag: str) -> None:
    """Makes a folder for results, or raises ValueError."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{flag} {folder} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{flag} {folder} cannot be made: {error.strerror}") from None
    writable_file(folder / ".probe", flag)


def sources_of(paths: Iterable[str]) -> Iterator:
    """Yields the files that paths mean, and standard input for ``-``."""
    from tfrecords.search import find_audio

    paths = list(paths)
    if "-" in paths:
        if sys.stdin is None:
            raise ValueError("- stands for standard input, which is closed")
        yield sys.stdin.buffer
    named = [path for path in paths if path != "-"]
    if named:
        yield from find_audio(named)


def _identity(model: str, weights: str | None) -> dict:
    """What tells a model from another, for the settings of unfinished results."""
    found = {"model": model, "weights": weights}
    for name, path in tuple(found.items()):
        for place in (path, *(Path(path or "") / file for file in ("final.keras", "best.keras"))):
            with contextlib.suppress(OSError, TypeError):
                found[f"{name}_{Path(place).name}"] = Path(place).stat().st_mtime_ns
    return found


def place_of(source, paths: Iterable[str], folder: Path, ending: str) -> Path:
    """Returns the file of a recording in a folder of results, laid out as the recordings are.

    Args:
        source: the recording.
        paths: as the user gave them; the folder stands for what they have in common.
        folder: of the results.
        ending: appended to the recording's name.
    """
    if not isinstance(source, str | os.PathLike):
        return folder / f"stdin{ending}"
    roots = []
    for path in map(Path, paths):
        fixed = path.absolute()
        while not fixed.is_dir():  # a file or a pattern
            fixed = fixed.parent
        roots.append(os.path.normpath(fixed))
    below = os.path.relpath(os.path.normpath(Path(source).absolute()), os.path.commonpath(roots))
    place = folder / f"{below}{ending}"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place
