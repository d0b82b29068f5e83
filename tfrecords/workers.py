"""Packs shards in child processes, and finds the clip when a decoder crashes or hangs."""

import os
import pickle
import queue
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock, Thread

from tfrecords.pack_shard import ShardResult, pack_shard
from tfrecords.plan import ShardTask
from tfrecords.shards import temporary_name

CRASHED, HUNG = "crashes the decoder", "hangs the decoder"
# Deaths that are no clip's fault, after which a shard is given up.
_MOST_OF_NO_CLIP = 3


def pack_shards(
    tasks: Sequence[ShardTask], *, workers: int, timeout: float, done: Callable[[int], None]
) -> Iterator[ShardResult]:
    """Pack shards, in any order.

    Args:
        tasks: the shards to write.
        workers: clips decoded at a time; 0: in this process, unprotected.
        timeout: seconds after which a clip that is not done hangs.
        done: called with the change in the number of clips done; negative when a shard whose
            worker died is begun again.

    Yields:
        Each shard's result as soon as it is written.

    Raises:
        OSError: a shard cannot be written.
    """
    if not workers:
        for task in tasks:
            yield pack_shard(task, done=lambda: done(1))
        return
    processes = min(workers, len(tasks))
    threads = max(1, workers // max(1, processes))
    pool = _Pool(timeout, done)
    executor = ThreadPoolExecutor(max(1, processes))
    try:
        futures = [executor.submit(pool.pack, task, threads) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.close()  # also after an error or an interrupt: the children end at once
        executor.shutdown(cancel_futures=True)


def pack_protected(
    task: ShardTask,
    *,
    timeout: float,
    threads: int = 1,
    done: Callable[[int], None] = lambda change: None,
) -> ShardResult:
    """Pack one shard in a child process of its own."""
    pool = _Pool(timeout, done)
    try:
        return pool.pack(task, threads)
    finally:
        pool.close()


class _Pool:
    """Child processes, each used by one thread at a time."""

    def __init__(self, timeout: float, done: Callable[[int], None]):
        self._timeout = timeout
        self._done = done
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: list[_Worker] = []
        self._lock = Lock()
        self._closed = Event()

    def pack(self, task: ShardTask, threads: int) -> ShardResult:
        """Pack one shard, as often as it takes to find the clips that bring the decoder down.

        A clip is refused when a worker died over it twice: once may be a lack of memory.
        """
        deaths: Counter[int | None] = Counter()
        while True:
            worker = self._take()
            try:
                result = worker.pack(task, threads, self._timeout, self._done)
            except _DeathError as death:
                worker.end()
                if self._closed.is_set():
                    raise OSError("the packing was ended") from None
                temporary_name(Path(task.path), worker.pid).unlink(missing_ok=True)
                if threads == 1 or death.place is None:
                    deaths[death.place] += 1
                if deaths[None] > _MOST_OF_NO_CLIP:
                    raise OSError(
                        f"{task.path}: the processes that pack it die; is there enough memory?"
                    ) from None
                self._done(-death.clips_done)
                if threads > 1:  # one after the other, to see which it is
                    threads = 1
                elif death.place is not None and deaths[death.place] > 1:
                    task = replace(task, refused=(*task.refused, (death.place, death.reason)))
                continue
            self._idle.put(worker)
            return result

    def close(self) -> None:
        with self._lock:
            self._closed.set()
            for worker in self._all:
                worker.end()

    def _take(self) -> "_Worker":
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            if self._closed.is_set():
                raise OSError("the packing was ended")
            worker = _Worker()
            self._all.append(worker)
            return worker


class _DeathError(Exception):
    """A child ended or was ended before its shard was done.

    `place` is that of the clip it was decoding, if it was.
    """

    def __init__(self, place: int | None, clips_done: int, reason: str):
        super().__init__(reason)
        self.place, self.clips_done, self.reason = place, clips_done, reason


class _Worker:
    """One child process; see `tfrecords.worker` for the protocol."""

    def __init__(self):
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tfrecords.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        # A thread that reads, since only a queue can be waited for with a limit everywhere.
        Thread(target=self._read, daemon=True).start()

    def pack(
        self, task: ShardTask, threads: int, timeout: float, done: Callable[[int], None]
    ) -> ShardResult:
        """Raises _DeathError when the process dies or hangs, OSError as `pack_shard`."""
        pickled = pickle.dumps((task, threads))
        begun = decoded = finished = 0
        reason = CRASHED
        try:
            self._process.stdin.write(struct.pack("<Q", len(pickled)) + pickled)
            self._process.stdin.flush()
            # Only decoders are known to hang; a disk may take its time.
            while line := self._answers.get(timeout=timeout if begun > decoded else None):
                if line == b"s\n":
                    begun += 1
                elif line == b"p\n":
                    decoded += 1
                elif line == b"d\n":
                    finished += 1
                    done(1)
                elif line.startswith(b"r "):
                    return ShardResult.from_json(line[2:])
                else:
                    raise OSError(line[2:].decode(errors="replace").strip())
        except queue.Empty:
            reason = HUNG
        except BrokenPipeError:
            pass
        raise _DeathError(begun - 1 if begun > decoded else None, finished, reason)

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was not sent is lost with the process
                pipe.close()

    def _read(self) -> None:
        try:
            for line in self._process.stdout:
                self._answers.put(line)
        except (OSError, ValueError):  # closed under it
            pass
        self._answers.put(b"")
