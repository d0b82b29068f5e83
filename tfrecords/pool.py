"""Shards packed in processes or on Apache Beam; a clip that crashes or hangs one is refused."""

import multiprocessing
import os
import shlex
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tfrecords.files import TFRecordsError
from tfrecords.shard import Outcomes, ShardTask, pack_shard
from tfrecords.text import one_line

CRASHED, HUNG = "crashes the decoder", "hangs the decoder"
_POLL_SECONDS = 0.1

# A function that packs shards, as ``pack_shards`` does.
Runner = Callable[..., Iterator[tuple[ShardTask, Outcomes]]]


def pack_shards(
    tasks: Sequence[ShardTask], *, workers: int, timeout: float, done: Callable[[int], None]
) -> Iterator[tuple[ShardTask, Outcomes]]:
    """Packs shards; yields each with its outcomes when it is written, OSError if it cannot be.
    ``workers`` clips at a time, 0: in this process, unprotected; ``timeout`` in s; ``done``
    receives changes in the clips done, negative when a shard begins again after a death.
    """
    if not workers:
        for task in tasks:
            yield task, pack_shard(task, report=lambda event: done(event == "decoded"))
        return
    waiting = iter(tasks)
    processes = max(1, min(workers, len(tasks)))
    packers = [_Packer(workers // processes, timeout, done) for _ in range(processes)]
    try:
        for packer in packers:
            packer.begin(next(waiting, None))
        while any(packer.task for packer in packers):
            wait([packer.pipe for packer in packers if packer.task], _POLL_SECONDS)
            for packer in packers:
                task = packer.task
                if task and (result := packer.result()) is not None:
                    packer.begin(next(waiting, None))
                    yield task, result
    finally:
        for packer in packers:  # also after an error or an interrupt
            packer.end()


class _Packer:
    """A process that packs one shard at a time, again until it knows the clips that crash it. A
    clip is refused when a process died over it twice: once may be a lack of memory.
    """

    def __init__(self, threads: int, timeout: float, done: Callable[[int], None]):
        self._most_threads, self._timeout, self._done = threads, timeout, done
        self.task: ShardTask | None = None
        self._start()

    def begin(self, task: ShardTask | None) -> None:
        self.task, self._deaths = task, Counter()
        if task:
            self._send(self._most_threads)

    def result(self) -> Outcomes | None:
        """The result of the task, None while it is under way; an OSError as ``pack_shard``."""
        begun, decoded = counts = tuple(self._counts)
        self._done(decoded - self._counted)
        self._counted = decoded
        if counts != self._before:
            self._before, self._since = counts, time.monotonic()
        # Only decoders hang; a disk may be slow.
        elif begun > decoded and time.monotonic() - self._since > self._timeout:
            self._reason = HUNG
            self._process.kill()
        try:
            outcome = self.pipe.recv() if self.pipe.poll() else None
        except (OSError, EOFError):
            self._pack_again()
            return None
        if isinstance(outcome, OSError):
            raise outcome
        if outcome is not None:
            self._done(len(outcome) - self._counted)
        return outcome

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def _start(self) -> None:
        # A fork would copy locks that other threads hold, TensorFlow's among them.
        context = multiprocessing.get_context("spawn")
        self._counts = context.RawArray("q", 2)  # clips begun and decoded
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._counts), daemon=True)
        self._process.start()
        theirs.close()

    def _send(self, threads: int) -> None:
        self._threads, self._reason = threads, CRASHED
        self._counts[:] = self._before = (0, 0)
        self._counted, self._since = 0, time.monotonic()
        with suppress(OSError):  # it died before: reading will tell
            self.pipe.send((self.task, threads))

    def _pack_again(self) -> None:
        """Starts the shard again after a death, clip by clip, to see which is at fault."""
        self.end()
        begun, decoded = self._counts
        self._done(-self._counted)
        shard = Path(self.task.path)
        for leftover in shard.parent.glob(f".{shard.name}.*.tmp*"):
            leftover.unlink(missing_ok=True)
        if self._threads == 1:
            clip = self.task.clips[begun - 1].clip_id if begun > decoded else None
            self._deaths[clip] += 1
            if self._deaths[None] > 2:
                raise OSError(
                    f"{shard}: the processes that pack it die; is there enough memory? A script "
                    "that packs with workers needs `if __name__ == '__main__':`"
                )
            if clip is not None and self._deaths[clip] > 1:
                refused = {**self.task.refused, clip: self._reason}
                self.task = replace(self.task, refused=refused)
        self._start()
        self._send(1)


def _serve(pipe: Connection, counts) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    nowhere = os.open(os.devnull, os.O_WRONLY)  # decoders print notes on damaged files
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()

    def report(event: str) -> None:
        with lock:
            counts[event == "decoded"] += 1

    while True:
        task, threads = pipe.recv()
        try:
            pipe.send(pack_shard(task, threads=threads, report=report))
        except OSError as error:
            pipe.send(error)
        except Exception as error:
            pipe.send(OSError(f"{task.path}: {type(error).__name__}: {one_line(error)}"))


def _end_with_parent() -> None:
    """Ends the process when its parent ends, even in the midst of a decoder that hangs."""
    multiprocessing.parent_process().join()
    os._exit(1)


def beam_runner(name: str, options: str = "") -> Runner:
    """A runner for ``pack_clips``, such as DataflowRunner; ``options``: "--project=p --region=r".
    Audio and output must have the same paths on every machine.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise TFRecordsError(
            "--runner needs Apache Beam: pip install apache-beam; or leave it out to pack on this "
            "machine"
        ) from None

    def run(
        tasks: Sequence[ShardTask], *, workers: int, timeout: float, done: Callable[[int], None]
    ) -> Iterator[tuple[ShardTask, Outcomes]]:
        pipeline_options = PipelineOptions(shlex.split(options), runner=name)
        with apache_beam.Pipeline(options=pipeline_options) as pipeline:
            created = pipeline | apache_beam.Create(tasks)
            # Else the runner may take all of them for one piece of work.
            pack = apache_beam.Map(partial(_pack_on_worker, timeout=timeout))
            _ = created | apache_beam.Reshuffle() | pack
        for task in tasks:
            outcomes = task.kept()
            if not outcomes:
                raise OSError(f"the runner {name} did not write {task.path}")
            done(len(outcomes))
            yield task, outcomes

    return run


def _pack_on_worker(task: ShardTask, timeout: float) -> None:
    """Packs a shard and leaves its result beside it, where the next attempt finds it too."""
    if not task.kept():
        options = {"workers": 1, "timeout": timeout, "done": lambda change: None}
        for _, outcomes in pack_shards([task], **options):
            task.keep(outcomes)
