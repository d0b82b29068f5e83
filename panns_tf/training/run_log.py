"""What a run writes while it goes: metrics.jsonl and TensorBoard."""

import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecords.shards import write_atomic


def to_json(values: dict, **options) -> str:
    """Writes numbers as JSON, which has no infinity: a d-prime of a perfect ranking is null."""
    return json.dumps(finite(values), allow_nan=False, **options)


def finite(value):
    """Returns a value for JSON: NumPy's numbers as Python's, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(name): finite(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [finite(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


class RunLog:
    """Appends numbers by step to ``metrics.jsonl`` and to TensorBoard.

    Args:
        run_dir: of the run.
        start: updates already done; later lines, of a run that was killed after its last
            checkpoint, are removed, since these steps are taken again.
    """

    def __init__(self, run_dir: Path, start: int = 0):
        self._path = run_dir / "metrics.jsonl"
        if self._path.exists():
            kept = [line for line in self._lines() if json.loads(line)["step"] <= start]
            write_atomic(self._path, "".join(line + "\n" for line in kept).encode())
        self._board = tf.summary.create_file_writer(str(run_dir / "tensorboard"))

    def _lines(self) -> list[str]:
        whole = []
        for line in self._path.read_text().splitlines():
            try:
                json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off when the run was killed
            whole.append(line)
        return whole

    def write(self, step: int, group: str, values: dict[str, float]) -> None:
        """Writes one line, ``{"step": ..., **values}``, and a scalar ``group/name`` for each."""
        with self._path.open("ab+") as file:
            line = to_json({"step": step, **values})
            file.write(self._line_end(file) + line.encode() + b"\n")
        with self._board.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(f"{group}/{name}", value)

    @staticmethod
    def _line_end(file) -> bytes:
        """A line end if the last line lacks it, as a full disk may have left it."""
        end = file.seek(0, os.SEEK_END)
        if not end:
            return b""
        file.seek(end - 1)
        return b"" if file.read(1) == b"\n" else b"\n"

    def close(self) -> None:
        """Flushes TensorBoard's file."""
        self._board.close()
