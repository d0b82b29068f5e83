"""Shards packed in other processes; a clip that crashes or hangs its decoder is found and refused.

Each process belongs to a `ProcessPoolExecutor` of its own, so that its end costs no other shard.
"""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tfrecords.shard import ShardResult, ShardTask, pack_shard

CRASHED, HUNG = "crashes the decoder", "hangs the decoder"
# Deaths that are no clip's fault, after which a shard is given up.
_MOST_WITHOUT_CLIP = 3
_POLL_SECONDS = 0.1
# A process's state: its id, whether it is to end, and the clips begun, decoded and done of its
# shard.
_EVENTS = ("begun", "decoded", "done")
_FIRST_EVENT = 2


def pack_shards(
    tasks: Sequence[ShardTask], *, workers: int, timeout: float, done: Callable[[int], None]
) -> Iterator[ShardResult]:
    """Packs shards; yields each one's result as soon as it is written.

    Args:
        tasks: the shards to write.
        workers: clips decoded at a time; 0: in this process, unprotected.
        timeout: seconds after which a clip that is not decoded hangs.
        done: called with the change in the number of clips done; negative when a shard whose
            process died is begun again.

    Raises:
        OSError: a shard cannot be written.
    """
    if not workers:
        for task in tasks:
            yield pack_shard(task, report=lambda event: done(event == "done"))
        return
    processes = max(1, min(workers, len(tasks)))
    pool = _Pool(timeout, done)
    executor = ThreadPoolExecutor(processes)
    try:
        futures = [executor.submit(pool.pack, task, workers // processes) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.close()  # also after an error or an interrupt: the processes end at once
        executor.shutdown(cancel_futures=True)


def pack_protected(task: ShardTask, *, timeout: float) -> ShardResult:
    """Packs one shard in a process of its own."""
    (result,) = pack_shards([task], workers=1, timeout=timeout, done=lambda change: None)
    return result


class _Pool:
    """Processes, each used by one thread at a time."""

    def __init__(self, timeout: float, done: Callable[[int], None]):
        self._timeout = timeout
        self._done = done
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._all: list[_Process] = []
        self._lock = threading.Lock()
        self._closed = False

    def pack(self, task: ShardTask, threads: int) -> ShardResult:
        """Packs one shard, as often as it takes to find the clips that bring the decoder down.

        A clip is refused when a process died over it twice: once may be a lack of memory.
        """
        deaths: Counter[int | None] = Counter()
        while True:
            process = self._take()
            try:
                result = process.pack(task, threads, self._timeout, self._done)
            except _DeathError as death:
                process.end()
                if self._closed:
                    raise OSError("the packing was ended") from None
                shard = Path(task.path)
                for leftover in shard.parent.glob(f".{shard.name}.*.tmp"):
                    leftover.unlink(missing_ok=True)
                if threads == 1 or death.place is None:
                    deaths[death.place] += 1
                if deaths[None] > _MOST_WITHOUT_CLIP:
                    raise OSError(
                        f"{task.path}: the processes that pack it die; is there enough memory? A "
                        "script that packs with workers needs `if __name__ == '__main__':`"
                    ) from None
                if threads > 1:  # one after the other, to see which it is
                    threads = 1
                elif deaths[death.place] > 1 and death.place is not None:
                    task = replace(task, refused=(*task.refused, (death.place, str(death))))
                continue
            self._idle.put(process)
            return result

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for process in self._all:
                process.end()

    def _take(self) -> "_Process":
        with suppress(queue.Empty):
            return self._idle.get_nowait()
        with self._lock:
            if self._closed:
                raise OSError("the packing was ended")
            self._all.append(_Process())
            return self._all[-1]


class _DeathError(Exception):
    """A process ended, or was ended, over the clip at `place`, or over none."""

    def __init__(self, place: int | None, reason: str):
        super().__init__(reason)
        self.place = place


class _Process:
    """One process that packs a shard at a time, and what it reports."""

    def __init__(self):
        # A fork would copy locks that other threads hold, TensorFlow's among them.
        context = multiprocessing.get_context("spawn")
        self._state = context.RawArray("q", _FIRST_EVENT + len(_EVENTS))
        self._executor = ProcessPoolExecutor(1, context, _start, (self._state, os.getpid()))

    def pack(
        self, task: ShardTask, threads: int, timeout: float, done: Callable[[int], None]
    ) -> ShardResult:
        """Raises _DeathError when the process dies or hangs, OSError as `pack_shard`."""
        self._state[_FIRST_EVENT:] = [0] * len(_EVENTS)
        before, since, reason, counted = None, time.monotonic(), CRASHED, 0
        try:
            future = self._executor.submit(_pack, task, threads)
            while True:
                ended = bool(wait([future], _POLL_SECONDS).done)  # before the state is read
                now = begun, decoded, finished = tuple(self._state[_FIRST_EVENT:])
                done(finished - counted)
                counted = finished
                if ended:
                    return future.result()
                if now != before:
                    before, since = now, time.monotonic()
                # Only decoders are known to hang; a disk may take its time.
                elif begun > decoded and time.monotonic() - since > timeout:
                    reason = HUNG
                    self._kill()
        except BrokenProcessPool:
            done(-counted)
            begun, decoded, _ = self._state[_FIRST_EVENT:]
            raise _DeathError(begun - 1 if begun > decoded else None, reason) from None

    def end(self) -> None:
        self._state[1] = True  # for a process that is only starting
        self._kill()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _kill(self) -> None:
        if self._state[0]:
            with suppress(ProcessLookupError):
                os.kill(self._state[0], signal.SIGKILL)


# In the processes: where to count, and the lock that threads count with.
_counts = None
_count_lock = threading.Lock()


def _start(state, parent: int) -> None:
    """Prepares a process."""
    global _counts
    _counts = state
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    nowhere = os.open(os.devnull, os.O_WRONLY)  # decoders print notes on damaged files
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    state[0] = os.getpid()
    if state[1]:
        os._exit(1)


def _end_with(parent: int) -> None:
    """Ends the process when its parent ends, even in the midst of a decoder that hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _pack(task: ShardTask, threads: int) -> ShardResult:
    def report(event: str) -> None:
        with _count_lock:
            _counts[_FIRST_EVENT + _EVENTS.index(event)] += 1

    try:
        return pack_shard(task, threads=threads, report=report)
    except OSError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise OSError(f"{task.path}: {type(error).__name__}: {text}") from None
