"""Checks of a packed directory against its index and `dataset.json`, every byte of it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import crc32c
import numpy as np

from tfrecords import schema
from tfrecords.codecs import decode_audio
from tfrecords.index import Index, load_index
from tfrecords.info import packed_directories
from tfrecords.pack import STATE_NAME
from tfrecords.progress import Progress
from tfrecords.shard import prefetch
from tfrecords.storage import Files, TFRecordsError, is_remote


def verify_directory(
    directory: str | os.PathLike,
    *,
    report: Callable[[str], None] = lambda problem: None,
    progress: bool = True,
    workers: int = os.cpu_count() or 1,
) -> list[str]:
    """Reads everything and compares sizes, checksums, records, ids, lengths, labels, counts.

    Args:
        directory: a packed directory, or a folder of packed directories.
        report: called with each problem as it is found.
        progress: whether commands show progress.
        workers: shards read at a time.

    Returns:
        One line per problem, naming the shard and, where there is one, the clip; empty if the
        directory is whole.

    Raises:
        TFRecordsError: the directory is no packed directory at all (it has no `dataset.json`).
    """
    problems = []
    for problem in _all_problems(directory, progress, workers):
        problems.append(problem)
        report(problem)
    return problems


def _all_problems(directory: str | os.PathLike, progress: bool, workers: int) -> Iterator[str]:
    indices = []
    for part in packed_directories(directory):
        try:
            indices.append(load_index(part))
        except TFRecordsError as error:
            yield str(error)
    with Progress(sum(index.num_clips for index in indices), "clip") as bar:
        update = bar.update if progress else lambda count: None
        for index in indices:
            if index.num_clips != index.info.num_clips:
                yield f"index: {index.num_clips} clips, dataset.json says {index.info.num_clips}"
            if not is_remote(index.directory):
                yield from _check_files(index)
            yield from _check_shards(index, update, workers)


def _check_files(index: Index) -> Iterator[str]:
    directory, listed = Path(index.directory), {shard.name for shard in index.info.shards}
    for path in sorted(directory.glob("*.tfrecord")):
        if path.name not in listed:
            yield f"shard {path.name}: not listed in dataset.json; remove it"
    for path in sorted([*directory.glob(".*.tmp"), *directory.glob(STATE_NAME)]):
        yield f"{path.name}: left by an interrupted run; remove it"


def _check_shards(index: Index, update: Callable[[int], None], workers: int) -> Iterator[str]:
    files = Files()

    def check(number: int) -> tuple[int, list[str]]:
        clips = np.flatnonzero(index.shard == number)
        if index.info.view and not len(clips):  # a view may leave whole shards out
            return 0, []
        return len(clips), list(_check_shard(index, number, clips, files))

    for count, problems in prefetch(check, range(len(index.info.shards)), workers, 2 * workers):
        update(count)
        yield from problems


def _check_shard(index: Index, number: int, clips: np.ndarray, files: Files) -> Iterator[str]:
    shard, path = index.info.shards[number], index.shard_path(number)
    problems, size = [], 0
    record = bytearray(index.length[clips].max() if len(clips) else 0)
    try:
        for clip in clips:
            view = memoryview(record)[: index.length[clip]]
            offset = int(index.offset[clip])
            read = files.read_into(path, offset, [view])
            size = max(size, offset + read)
            problems += [
                f"{_place(index, number, clip)}: {problem}"
                for problem in _check_record(index, clip, view[:read])
            ]
        beyond = files.read_into(path, size, [bytearray(1)])
    except OSError as error:
        reason = "the file is missing" if isinstance(error, FileNotFoundError) else str(error)
        yield f"shard {shard.name}: {reason}, with its {len(clips)} clips"
        return
    # A view may leave out clips between others.
    if not index.info.view and (beyond or size != shard.bytes):
        yield f"shard {shard.name}: {'more' if beyond else size} bytes, expected {shard.bytes}"
    elif not index.info.view and index.length[clips].sum() != shard.bytes:
        yield f"shard {shard.name}: the index does not cover its {shard.bytes} bytes"
    yield from problems


def _check_record(index: Index, clip: int, record: memoryview) -> Iterator[str]:
    data = record[schema.HEADER_BYTES : -schema.FOOTER_BYTES]
    checksum = crc32c.crc32c(data)
    whole = (
        len(record) == index.length[clip]
        and record[: schema.HEADER_BYTES] == schema.header(len(data))
        and record[-schema.FOOTER_BYTES :] == schema.footer(checksum)
    )
    if not whole:
        yield "the record is missing, truncated or damaged"
        return
    if checksum != index.checksum[clip]:
        yield f"its checksum is {checksum:08x}, the index has {index.checksum[clip]:08x}"
    try:
        clip_id, audio, labels = schema.decode(data)
    except ValueError as error:
        yield str(error)
        return
    if clip_id != index.clip_ids[clip]:
        yield f"found the record of clip {clip_id.decode(errors='replace')} instead"
    if list(labels) != index.labels_of(clip).tolist():
        yield f"found labels {list(labels)}, the index has {index.labels_of(clip).tolist()}"
    try:
        decode_audio(audio, index.info.codec, np.empty(index.info.clip_samples, np.int16))
    except ValueError as error:
        yield str(error)


def _place(index: Index, number: int, clip: int) -> str:
    name = index.clip_ids[clip].decode(errors="replace")
    return f"shard {index.info.shards[number].name}, clip {name}"
