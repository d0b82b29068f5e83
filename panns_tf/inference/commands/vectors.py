"""Spooled vectors as an .npy, .npz or Parquet file."""

import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.commands.spool import Spool
from panns_tf.inference.results import as_csv

ENDINGS = (".npy", ".npz", ".parquet")

#: Vectors written together.
_ROWS = 4096


def needs(output: Path) -> None:
    """Raises ValueError if a package is missing that the format asks for."""
    if output.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(f"{output}: Parquet needs pyarrow: pip install pyarrow")


def write_vectors(output: Path, spool: Spool, width: int) -> list[Path]:
    """Writes all vectors of a spool, whole or not at all, in little memory.

    Args:
        output: ``.npy``, with a ``.csv`` beside it; ``.npz`` or ``.parquet``.
        spool: with a row for each recording: ``file``, ``seconds`` and ``starts``.
        width: of a vector.

    Returns:
        The files.
    """
    partial = output.with_name(f"partial-{output.name}")
    vectors = spool.vectors(width)  # (n, width)
    written = [output]
    if output.suffix == ".npy":
        table = output.with_suffix(".csv")
        with partial.open("wb") as file:
            _write_array(file, vectors)
        with table.open("w", encoding="utf-8", newline="") as file:
            file.write(as_csv([], ("file", "start", "seconds")))
            for row in _records(spool):
                file.write(as_csv([row], ("file", "start", "seconds"), header=False))
        written.append(table)
    elif output.suffix == ".npz":
        _write_npz(partial, spool, vectors)
    else:
        _write_parquet(partial, spool, vectors)
    partial.replace(output)
    return written


def _records(spool: Spool) -> Iterator[dict]:
    """What is known of each vector besides its values."""
    for row in spool.rows():
        for start in row.get("starts", ()):
            yield {"file": row["file"], "start": start, "seconds": row["seconds"]}


def _write_array(file, vectors: np.ndarray) -> None:
    """NumPy's format, the vectors part by part."""
    header = np.lib.format.header_data_from_array_1_0(vectors)
    np.lib.format.write_array_header_1_0(file, header)
    for start in range(0, len(vectors), _ROWS):
        file.write(np.ascontiguousarray(vectors[start : start + _ROWS]).tobytes())


def _write_npz(path: Path, spool: Spool, vectors: np.ndarray) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("embedding.npy", "w", force_zip64=True) as file:
            _write_array(file, vectors)
        columns = {"file": str, "start": np.float64, "seconds": np.float64}
        for name, kind in columns.items():
            values = np.array([row[name] for row in _records(spool)], kind)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def _write_parquet(path: Path, spool: Spool, vectors: np.ndarray) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    width = vectors.shape[1]
    schema = pa.schema(
        {
            "file": pa.string(),
            "start": pa.float64(),
            "seconds": pa.float64(),
            "embedding": pa.list_(pa.float32(), width),
        }
    )
    records = _records(spool)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(vectors), _ROWS):
            part = np.ascontiguousarray(vectors[start : start + _ROWS])
            rows = [next(records) for _ in range(len(part))]
            columns = {name: [row[name] for row in rows] for name in ("file", "start", "seconds")}
            columns["embedding"] = pa.FixedSizeListArray.from_arrays(part.ravel(), width)
            writer.write_table(pa.table(columns, schema))
