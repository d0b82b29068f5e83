"""Results computed by threads ahead of their use."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Result]:
    """Yields `function` of each item, in order, computed by threads.

    Closing the iterator ends the threads once they have finished what they are at.

    Args:
        function: its errors are raised in the place of its result.
        items: taken one by one, not long before they are needed.
        threads: items computed at a time.
        ahead: results that may wait or be under way.
    """
    pending = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
