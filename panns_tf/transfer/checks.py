"""Mistakes in a transfer's command line, found before any work."""

import argparse
from pathlib import Path

from panns_tf.transfer.clips import Collection

#: Shortest and longest that a network is to hear at once, in seconds.
SHORTEST, LONGEST = 0.05, 600.0


def check_parts(options: argparse.Namespace) -> None:
    """Raises ValueError for lengths, folds or parts of the clips that cannot be."""
    seconds = options.clip_seconds
    if seconds is not None and not SHORTEST <= seconds <= LONGEST:
        raise ValueError(
            f"--clip-seconds must lie from {SHORTEST:g} to {LONGEST:g}; received {seconds:g}"
        )
    for name in ("test", "validation"):
        part = getattr(options, name)
        least_fits = part is not None and (part > 0 or (name == "validation" and part == 0))
        if part is not None and not (least_fits and part < 1):
            raise ValueError(
                f"--{name} is a part of the clips, such as 0.2, below 1; received {part:g}"
            )
    if options.folds is not None and options.folds < 2:
        raise ValueError(f"--folds must be at least 2; received {options.folds}")


def check_cache(cache: Path | None) -> None:
    """Raises ValueError if ``--cache`` is no folder and cannot become one."""
    if cache is not None and cache.exists() and not cache.is_dir():
        raise ValueError(f"--cache {cache} is a file; name a folder")


def check_place(output: Path, collection: Collection) -> None:
    """Raises ValueError if results would come to lie among the clips."""
    place = output.resolve()
    for clip in collection.clips:
        if clip.path.resolve().is_relative_to(place):
            raise ValueError(
                f"--output {output} holds clips of the data set, such as {clip.clip_id}; choose "
                "another folder"
            )
