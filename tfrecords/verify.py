"""Check a packed directory against its index and `dataset.json`, every byte of it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfrecords import schema
from tfrecords.errors import TFRecordsError
from tfrecords.index import Index, load_index
from tfrecords.info import load_info, sha256_of
from tfrecords.reader import read_records


def verify_directory(
    directory: str | os.PathLike,
    *,
    report: Callable[[str], None] = lambda problem: None,
    progress: bool = False,
) -> list[str]:
    """Read everything and compare: sizes, checksums, records, ids, lengths, labels, counts.

    Args:
        directory: a packed directory.
        report: called with each problem as it is found.
        progress: show a progress bar on stderr.

    Returns:
        One line per problem, naming the shard and, where there is one, the clip; empty if the
        directory is whole.

    Raises:
        TFRecordsError: the directory is no packed directory at all (it has no `dataset.json`).
    """
    load_info(directory)
    problems = []
    for problem in _problems(Path(directory), progress):
        problems.append(problem)
        report(problem)
    return problems


def _problems(directory: Path, progress: bool) -> Iterator[str]:
    try:
        index = load_index(directory)
    except TFRecordsError as error:
        yield str(error)
        return
    yield from _check_index(index)
    listed = {shard.name for shard in index.info.shards}
    for path in sorted(directory.glob("*.tfrecord")):
        if path.name not in listed:
            yield f"shard {path.name}: not listed in dataset.json; remove it"
    for path in sorted(directory.glob(".*.tmp")):
        yield f"{path.name}: left by an interrupted run; remove it"
    with tqdm(total=index.num_clips, unit="clip", disable=not progress) as bar:
        for number in range(len(index.info.shards)):
            yield from _check_shard(index, number, bar)


def _check_index(index: Index) -> Iterator[str]:
    """Whether the index agrees with `dataset.json` and with itself."""
    info = index.info
    if index.num_clips != info.num_clips:
        yield f"index: {index.num_clips} clips, dataset.json says {info.num_clips}"
    if len(np.unique(index.clip_ids)) != index.num_clips:
        yield "index: some clip ids occur twice"
    if len(index.label_values) and not (
        index.label_values.min() >= 0 and index.label_values.max() < info.num_classes
    ):
        yield f"index: a label outside 0 to {info.num_classes - 1}"
    for number, shard in enumerate(info.shards):
        clips = np.flatnonzero(index.shard == number)
        ends = index.offset[clips] + index.length[clips]
        if len(clips) != shard.clips:
            yield f"shard {shard.name}: {len(clips)} clips in the index, {shard.clips} expected"
        if not np.array_equal(np.append(index.offset[clips], shard.bytes), np.append(0, ends)):
            yield f"shard {shard.name}: the index does not cover its {shard.bytes} bytes"


def _check_shard(index: Index, number: int, bar: tqdm) -> Iterator[str]:
    shard = index.info.shards[number]
    clips = np.flatnonzero(index.shard == number)
    path = Path(index.shard_path(number))
    if not path.is_file():
        yield f"shard {shard.name}: the file is missing, with its {len(clips)} clips"
        bar.update(len(clips))
        return
    size = path.stat().st_size
    if size != shard.bytes:
        yield f"shard {shard.name}: {size} bytes, expected {shard.bytes}"
    elif (found := sha256_of(path)) != shard.sha256:
        yield (f"shard {shard.name}: its SHA-256 begins {found[:12]}, expected {shard.sha256[:12]}")
    if not len(clips):
        return
    records = read_records(index, tf.data.Dataset.from_tensor_slices(clips))
    for clip, record in records.as_numpy_iterator():
        bar.update()
        for problem in _check_record(index, clip, record):
            yield f"shard {shard.name}, clip {index.clip_ids[clip].decode()}: {problem}"


def _check_record(index: Index, clip: int, record: bytes) -> Iterator[str]:
    if not record:
        yield "the record is missing, truncated or damaged"
        return
    try:
        clip_id, waveform, labels = schema.decode(record)
    except ValueError as error:
        yield str(error)
        return
    expected = index.length[clip] - schema.RECORD_OVERHEAD
    if len(record) != expected:
        yield f"the record has {len(record)} bytes, expected {expected}"
    if clip_id != index.clip_ids[clip]:
        yield f"found the record of clip {clip_id.decode(errors='replace')} instead"
    if len(waveform) != index.info.clip_samples:
        yield f"found {len(waveform)} samples, expected {index.info.clip_samples}"
    if list(labels) != index.labels_of(clip).tolist():
        yield f"found labels {list(labels)}, the index has {index.labels_of(clip).tolist()}"
