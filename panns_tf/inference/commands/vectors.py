"""Spooled vectors as an .npy, .npz or Parquet file."""

import importlib.util
import itertools
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from panns_tf.inference.commands.spool import Spool
from panns_tf.inference.results import as_csv

ENDINGS = (".npy", ".npz", ".parquet")
_COLUMNS = ("file", "start", "seconds")

#: Recordings written together.
_AT_ONCE = 1024


def needs(output: Path) -> None:
    """Raises ValueError if a package is missing that the format asks for."""
    if output.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(f"{output}: Parquet needs pyarrow: pip install pyarrow")


def write_vectors(output: Path, spool: Spool, width: int) -> dict[Path, Path]:
    """Writes all vectors of a spool into its folder, in little memory.

    Args:
        output: ``.npy``, with a ``.csv`` beside it; ``.npz`` or ``.parquet``.
        spool: with a row for each recording: ``file``, ``seconds`` and ``starts``.
        width: of a vector.

    Returns:
        The files, and where they go.
    """
    made = spool.folder / output.name
    if output.suffix == ".npz":
        _write_npz(made, spool, width)
    elif output.suffix == ".parquet":
        _write_parquet(made, spool, width)
    else:
        with made.open("wb") as file:
            _write_array(file, spool, width)
        table = made.with_suffix(".csv")
        with table.open("w", encoding="utf-8", newline="") as file:
            file.write(as_csv([], _COLUMNS))
            file.writelines(as_csv([row], _COLUMNS, header=False) for row in _records(spool))
        return {table: output.with_suffix(".csv"), made: output}
    return {made: output}


def _records(spool: Spool) -> Iterator[dict]:
    """What is known of each vector besides its values."""
    for row in spool.rows():
        for start in row.get("starts", ()):
            yield {"file": row["file"], "start": start, "seconds": row["seconds"]}


def _write_array(file, spool: Spool, width: int) -> None:
    """NumPy's format, the vectors part by part."""
    shape = (spool.count(width), width)
    header = np.lib.format.header_data_from_array_1_0(np.zeros((0, width), np.float32))
    np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
    for vectors in spool.vectors(width):
        file.write(np.ascontiguousarray(vectors).tobytes())


def _write_npz(path: Path, spool: Spool, width: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("embedding.npy", "w", force_zip64=True) as file:
            _write_array(file, spool, width)
        kinds = {"file": str, "start": np.float64, "seconds": np.float64}
        for name, kind in kinds.items():
            values = np.array([row[name] for row in _records(spool)], kind)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def _write_parquet(path: Path, spool: Spool, width: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"file": pa.string(), "start": pa.float64(), "seconds": pa.float64()}
    schema = pa.schema({**kinds, "embedding": pa.list_(pa.float32(), width)})
    records, vectors = _records(spool), spool.vectors(width)
    with pq.ParquetWriter(path, schema) as writer:
        while parts := list(itertools.islice(vectors, _AT_ONCE)):
            part = np.concatenate(parts)  # (n, width)
            rows = list(itertools.islice(records, len(part)))
            columns = {name: [row[name] for row in rows] for name in _COLUMNS}
            columns["embedding"] = pa.FixedSizeListArray.from_arrays(part.ravel(), width)
            writer.write_table(pa.table(columns, schema))
