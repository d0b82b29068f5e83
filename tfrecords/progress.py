"""Messages and progress of long work: a bar in a terminal, a line every half minute elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

#: Messages for the person at the command line. Results are printed; this goes to stderr.
logger = logging.getLogger("panns_tf")

_SECONDS_BETWEEN_LINES = 30.0


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


def show_messages(quiet: bool = False) -> None:
    """Shows messages on stderr; for entry points. With ``quiet``: warnings and errors only."""
    if not logger.handlers:
        logger.addHandler(_Handler())
        logger.propagate = False
    logger.setLevel(logging.WARNING if quiet else logging.INFO)


class Progress:
    """Counts work done, shown only after ``show_messages``; ``initial`` was done before."""

    def __init__(
        self, total: int | None = None, unit: str = "clip", description: str = "", initial: int = 0
    ):
        self.done, self.total, self.unit, self.description = initial, total, unit, description
        shown = logger.isEnabledFor(logging.INFO) and bool(logger.handlers)
        self._lines = shown and not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=initial,
            unit=unit,
            desc=description or None,
            disable=not shown or self._lines,
            leave=False,
        )
        self._initial, self._began, self._last = initial, time.monotonic(), time.monotonic()

    def update(self, count: int = 1) -> None:
        self.done += count
        self._bar.update(count)
        now = time.monotonic()
        if self._lines and now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            rate = (self.done - self._initial) / (now - self._began)
            name = f"{self.description}: " if self.description else ""
            total = "" if self.total is None else f" of {self.total}"
            text = f"{name}{self.done}{total} {self.unit}s, {rate:.3g} a second"
            if total and rate:
                text += f", about {(self.total - self.done) / rate / 60:.0f} min left"
            logger.info(text)

    def note(self, text: str) -> None:
        self._bar.set_postfix_str(text, refresh=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()


def progress(
    items: Iterable[Item], total: int | None = None, unit: str = "clip", description: str = ""
) -> Iterator[Item]:
    """Yields items and shows how many are done; see ``Progress``."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    with Progress(total, unit, description) as shown:
        for item in items:
            yield item
            shown.update()
