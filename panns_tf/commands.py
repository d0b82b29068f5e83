"""What the project's commands share."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def writable_folder(path: Path) -> None:
    """Checks a folder for results before work is done that could not be written; makes nothing.

    Raises:
        ValueError: if it is a file, or nothing can be written there.
    """
    place = path.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise ValueError(f"--output {path}: {place} is a file; give a folder")
    _probe(place, f"--output {path}")


def _probe(folder: Path, what: str) -> None:
    try:
        handle, probe = tempfile.mkstemp(dir=folder)
        os.close(handle)
        Path(probe).unlink()
    except OSError as error:
        raise ValueError(f"{what}: nothing can be written to {folder}: {error.strerror}") from None


def writable_file(path: Path, flag: str = "--output", force: bool = False) -> None:
    """Checks a file for results before work is done that could not be written; makes nothing.

    Args:
        path: of the file.
        flag: that named it.
        force: whether it may exist.

    Raises:
        ValueError: if it exists, is a folder, its folder does not exist or is not writable.
    """
    if path.is_dir():
        raise ValueError(f"{flag} {path} is a folder; name a file")
    if path.exists() and not force:
        raise ValueError(f"{flag} {path} exists; remove it, or add --force to replace it")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{flag} {path}: the folder {path.parent} does not exist; create it first")
    if os.path.lexists(path) and not os.access(path, os.W_OK):
        raise ValueError(f"{flag} {path} cannot be written")
    _probe(path.absolute().parent, f"{flag} {path}")


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def run(main: Callable[[], int | None], mistakes: tuple[type[Exception], ...] = ()) -> None:
    """Runs a command and exits: 0 on success, 2 with one line for a user's mistake.

    Args:
        main: the command; returns an exit status, None for 0.
        mistakes: exceptions, besides ValueError and OSError, that say it all in a line.
    """
    try:
        status = main() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except (ValueError, OSError, *mistakes) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt as error:
        print("interrupted", *error.args, sep="; continue with: ", file=sys.stderr)
        status = 130
    sys.exit(status)
