"""Results computed by threads ahead of their use, in order and within a bound of memory."""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Source = TypeVar("Source")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Source, Callable[[int], None]], Result],
    sources: Iterable[Source],
    size: Callable[[Result], int],
    *,
    workers: int,
    ahead: int,
    most_bytes: int,
) -> Iterator[Result]:
    """Yields ``function`` of each source, in their order.

    Closing the iterator stops the threads when they have finished what they are at.

    Args:
        function: of a source and of a function which it calls with the bytes that its result will
            take, as soon as it knows; that returns when there is room. It must not raise.
        sources: read by one thread at a time; what they raise is raised in their place.
        size: bytes of a result.
        workers: threads.
        ahead: sources that may be under way or wait for their user.
        most_bytes: of the results that wait. Whichever is next goes on whatever it takes.
    """
    queue = _Queue(function, iter(sources), size, ahead, most_bytes)
    threads = [threading.Thread(target=queue.work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield from queue
    finally:
        queue.stop()
        for thread in threads:
            thread.join()


class _Queue:
    """What the threads and the user share."""

    def __init__(self, function, sources: Iterator, size, ahead: int, most_bytes: int):
        self._function = function
        self._sources = sources
        self._size = size
        self._ahead = ahead
        self._most_bytes = most_bytes
        self._turn = threading.Lock()  # to ask for a source; the user is not held up by a slow one
        self._changed = threading.Condition()
        self._taken = 0  # sources that threads have taken
        self._given = 0  # results that the user has
        self._results = {}
        self._bytes: dict[int, int] = {}  # by number; first what is expected, then what it is
        self._ended = self._stopped = False
        self._failure: Exception | None = None

    def work(self) -> None:
        """The body of a thread."""
        while (taken := self._take()) is not None:
            number, source = taken
            result = self._function(source, functools.partial(self._reserve, number))
            with self._changed:
                self._bytes[number] = self._size(result)
                self._results[number] = result
                self._changed.notify_all()

    def _take(self) -> tuple[int, object] | None:
        with self._turn:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._ended or self._taken - self._given < self._ahead
                )
                if self._ended:
                    return None
            source, failure = None, None
            try:
                source = next(self._sources)
            except Exception as error:
                failure = error
            with self._changed:
                if failure is not None:
                    self._ended = True
                    self._failure = None if isinstance(failure, StopIteration) else failure
                    self._changed.notify_all()
                    return None
                self._taken += 1
                return self._taken - 1, source

    def _reserve(self, number: int, count: int) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._stopped
                    or number == self._given
                    or sum(self._bytes.values()) + count <= self._most_bytes
                )
            )
            self._bytes[number] = count

    def __iter__(self) -> Iterator:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: (
                        self._given in self._results or (self._ended and self._given == self._taken)
                    )
                )
                if self._given not in self._results:
                    if self._failure is not None:
                        raise self._failure
                    return
                result = self._results.pop(self._given)
                del self._bytes[self._given]
                self._given += 1
                self._changed.notify_all()
            yield result

    def stop(self) -> None:
        """Has the threads return when they have finished what they are at."""
        with self._changed:
            self._ended = self._stopped = True
            self._changed.notify_all()
