"""Ctrl-C and SIGTERM, heard at once and obeyed between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupt:
    """Whether the process was asked to stop, and how.

    Attributes:
        signal: SIGINT, SIGTERM or None.
    """

    signal: int | None = None


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Turns the first SIGINT or SIGTERM into a request.

    An exception in the midst of a step could leave weights that are one update ahead of the step
    counter, and a checkpoint of those would not resume to the same bits. A second signal acts as
    it would have without this.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt  # only the main thread may set handlers
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number, frame) -> None:
        interrupt.signal = number
        restore()

    for number in before:
        signal.signal(number, handle)
    try:
        yield interrupt
    finally:
        restore()
