"""Checks of a packed directory against its index and ``dataset.json``, every byte of it."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from tfrecords import schema
from tfrecords.audio import prefetch
from tfrecords.codecs import decode_audio
from tfrecords.files import TFRecordsError
from tfrecords.index import Index, load_index, packed_directories
from tfrecords.progress import Progress
from tfrecords.records import RecordReader
from tfrecords.shard import STATE_NAME
from tfrecords.storage import Files, is_remote

_CLIPS_AT_A_TIME = 16


def verify_directory(
    directory: str | os.PathLike,
    *,
    report: Callable[[str], None] = lambda problem: None,
    progress: bool = True,
    workers: int = os.cpu_count() or 1,
) -> list[str]:
    """Every byte of a packed directory, or of each in a folder of them, checked against its index.

    Returns a line for each problem, with the shard and the clip; ``report`` receives each at once.
    """
    problems = []
    for problem in _all_problems(directory, progress, workers):
        problems.append(problem)
        report(problem)
    return problems


def _all_problems(directory: str | os.PathLike, progress: bool, workers: int) -> Iterator[str]:
    indices = []
    for packed in packed_directories(directory):
        try:
            indices.append(load_index(packed))
        except TFRecordsError as error:
            yield str(error)
    total = sum(index.num_clips for index in indices)
    with Progress(total, "clip") as bar:
        for index in indices:
            if index.num_clips != index.info.num_clips:
                yield f"index: {index.num_clips} clips, dataset.json says {index.info.num_clips}"
            if not is_remote(index.directory):
                yield from _check_files(index)
            check = partial(_check_shard, RecordReader(index))
            shards = range(len(index.info.shards))
            for count, problems in prefetch(check, shards, workers, 2 * workers):
                bar.update(count if progress else 0)
                yield from problems


def _check_files(index: Index) -> Iterator[str]:
    directory, listed = Path(index.directory), {shard.name for shard in index.info.shards}
    for path in sorted(directory.glob("*.tfrecord")):
        if path.name not in listed:
            yield f"shard {path.name}: not listed in dataset.json; remove it"
    for path in sorted([*directory.glob(".*.tmp*"), *directory.glob(STATE_NAME)]):
        yield f"{path.name}: left by an interrupted run; remove it"


def _check_shard(reader: RecordReader, number: int) -> tuple[int, list[str]]:
    """How many clips a shard should have, and the problems."""
    index, shard = reader.index, reader.index.info.shards[number]
    clips = np.flatnonzero(index.shard == number)
    if index.info.view and not len(clips):  # a view may leave whole shards out
        return 0, []
    last_byte, problems = max(0, shard.bytes - 1), []
    try:
        end = Files().read_into(index.shard_path(number), last_byte, [bytearray(2)])
    except OSError as error:
        reason = "the file is missing" if isinstance(error, FileNotFoundError) else str(error)
        return len(clips), [f"shard {shard.name}: {reason}, with its {len(clips)} clips"]
    if last_byte + end != shard.bytes:
        size = "more" if end else "fewer"
        problems.append(f"shard {shard.name}: {size} bytes, expected {shard.bytes}")
    for start in range(0, len(clips), _CLIPS_AT_A_TIME):
        batch = clips[start : start + _CLIPS_AT_A_TIME]
        records, damages = reader.records(batch)
        for row, clip in enumerate(batch):
            damage = damages.get(row)
            if problem := damage.reason if damage else _problem(index, clip, records[row]):
                problems.append(f"{index.clip_name(clip)}: {problem}")
    return len(clips), problems


def _problem(index: Index, clip: int, record: memoryview) -> str | None:
    """What is wrong with a record that is as it was written."""
    try:
        clip_id, audio, labels = schema.decode(record)
        decode_audio(audio, index.info.codec, np.empty(index.info.clip_samples, np.int16))
    except ValueError as error:
        return str(error)
    expected = (index.clip_ids[clip], index.labels_of(clip).tolist())
    if (clip_id, list(labels)) != expected:
        return f"clip {clip_id} with labels {list(labels)}, the index has {expected}"
    return None
