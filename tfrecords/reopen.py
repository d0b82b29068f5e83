"""A finished directory taken up again: for shards that were lost, or clips that have come since.

What the index knows of the shards that stay is written down as if they had just been packed; the
packer then finds the others missing, packs them, and writes index and `dataset.json` anew.
"""

from pathlib import Path

import numpy as np

from tfrecords.index import Index, load_index
from tfrecords.info import FILE_NAME
from tfrecords.pack_shard import ShardResult
from tfrecords.plan import Plan
from tfrecords.report import REJECTED_NAME, read_rejected


def results_of(plan: Plan) -> tuple[Index, list[ShardResult]]:
    """The index of a finished directory, and what the packing of each shard came to."""
    output = Path(plan.settings.output)
    index = load_index(output)
    reasons = dict(read_rejected(output / REJECTED_NAME))
    starts = np.searchsorted(index.shard, np.arange(len(index.info.shards) + 1))
    results = []
    for number, shard in enumerate(index.info.shards):
        rows = range(starts[number], starts[number + 1])
        row_of = {index.clip_ids[row].decode(): row for row in rows}
        records, rejected = [], []
        for place, clip in enumerate(plan.clips_of(number)):
            row = row_of.get(clip.clip_id)
            if row is None:
                rejected.append((place, reasons.get(clip.clip_id, "not packed")))
            else:
                places = (index.offset[row], index.length[row], index.checksum[row])
                records.append((place, *map(int, places)))
        results.append(ShardResult(shard, tuple(records), tuple(rejected)))
    return index, results


def shards_to_redo(plan: Plan, results: list[ShardResult], retry_rejected: bool) -> list[int]:
    """The numbers of shards that are lost, or hold less than they could by now."""
    redo = []
    for number, result in enumerate(results):
        path = Path(plan.shard_path(number))
        lost = not path.is_file() or path.stat().st_size != result.shard.bytes
        clips = plan.clips_of(number)
        more = (
            not lost
            and retry_rejected
            and any(
                _is_there_now(Path(clips[place].path), reason, path)
                for place, reason in result.rejected
            )
        )
        if lost or more:
            redo.append(number)
    return redo


def _is_there_now(audio: Path, reason: str, shard: Path) -> bool:
    """Whether a file is there that was missing, or is newer than the shard that refused it."""
    if not audio.is_file():
        return False
    return reason == "missing" or audio.stat().st_mtime > shard.stat().st_mtime


def reopen(plan: Plan, results: list[ShardResult], redo: list[int], keep) -> None:
    """Make a finished directory one whose shards `redo` are not packed yet.

    `keep` writes down the result of a shard that stays.
    """
    for number, result in enumerate(results):
        if number not in redo:
            keep(plan.shard_path(number), result)
    (Path(plan.settings.output) / FILE_NAME).unlink()
