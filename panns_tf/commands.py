"""What the project's commands share."""

import sys
from collections.abc import Callable


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
