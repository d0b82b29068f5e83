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
    try:
        handle, probe = tempfile.mkstemp(dir=place)
        os.close(handle)
        Path(probe).unlink()
    except OSError as error:
        raise ValueError(
            f"--output {path}: nothing can be written to {place}: {error.strerror}"
        ) from None


def run(main: Callable[[], int | None], mistakes: tuple[type[Exception], ...] = ()) -> None:
    """Runs a command and exits: 0 on success, 2 with one line for a user's mistake.

    Args:
        main: the command; returns an exit status, None for 0.
        mistakes: exceptions, besides ValueError and OSError, that say it all in a line.
    """
    try:
        status = main() or 0
    except (ValueError, OSError, *mistakes) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt as error:
        print("interrupted", *error.args, sep="; continue with: ", file=sys.stderr)
        status = 130
    sys.exit(status)
