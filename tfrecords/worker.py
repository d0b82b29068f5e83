"""A child process that packs shards: a decoder that crashes or hangs takes down no more than it.

Tasks come pickled, each after its length, on the standard input; the answers are lines on what was
the standard output: `s` a clip is begun, `p` it is decoded, `d` it is written, `r <json>` the shard
is, `e <message>` it cannot be. The process ends with its input, or when nobody reads any more.
"""

import os
import pickle
import signal
import struct
import sys
import time
from threading import Thread

from tfrecords.pack_shard import pack_shard


def main() -> None:
    """Serve one parent."""
    _end_with_parent(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    answers = os.fdopen(os.dup(1), "wb")

    def answer(line: bytes) -> None:
        answers.write(line + b"\n")
        answers.flush()

    # Decoders print notes on damaged files; they must not mix with the answers.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    while header := sys.stdin.buffer.read(8):
        task, threads = pickle.loads(sys.stdin.buffer.read(struct.unpack("<Q", header)[0]))
        try:
            result = pack_shard(
                task,
                threads=threads,
                started=lambda: answer(b"s"),
                decoded=lambda: answer(b"p"),
                done=lambda: answer(b"d"),
            )
            line = f"r {result.to_json()}"
        except BrokenPipeError:
            return  # the parent is gone
        except Exception as error:
            kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
            line = f"e {kind}{' '.join(str(error).split())}"
        answer(line.encode())


def _end_with_parent(parent: int) -> None:
    """End when the parent does, even in the midst of a decoder that hangs."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()
