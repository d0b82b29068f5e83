"""Audio files to a packed directory: shards, index, and, written last, ``dataset.json``.

Until then ``.packing/`` holds a lock, the plan's description and, for every finished shard, what
the index needs of it. A packer that finds them goes on where the last one ended, however it ended.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.audioset import sets_of
from tfrecords.files import (
    TFRecordsError,
    check_output_folder,
    lock,
    read_csv,
    write_atomic,
    write_csv,
)
from tfrecords.index import INFO_NAME, DatasetInfo, Index, ShardInfo, load_index, load_info
from tfrecords.manifest import Clip
from tfrecords.plan import PackSettings, Plan, make_plan
from tfrecords.pool import Runner, pack_shards
from tfrecords.progress import Progress, logger
from tfrecords.shard import STATE_NAME, Outcomes, ShardTask
from tfrecords.views import make_view

REJECTED_NAME = "rejected.csv"
MISSING_NAME = "missing_by_class.csv"
FULL_TRAIN = "full_train"


class NothingPackedError(TFRecordsError):
    """Not one clip of those that were listed could be packed."""


@dataclass(frozen=True)
class PackReport:
    """The result of packing: ``class_counts`` (classes,), and ``rejected_clips`` with the reasons.

    ``excluded`` is None where there was no list of them, ``new`` False if it was finished before.
    """

    info: DatasetInfo
    output: Path
    class_counts: np.ndarray
    rejected_clips: tuple[tuple[Clip, str], ...]
    excluded: int | None = None
    new: bool = True

    @cached_property
    def rejected(self) -> dict[str, int]:
        """Rejected clips by reason, the most frequent first."""
        return dict(Counter(reason for _, reason in self.rejected_clips).most_common())

    def summary(self) -> str:
        info = self.info
        lines = [
            f"{'packed' if self.new else 'already packed:'} {info.num_clips} clips of "
            f"{info.clip_seconds:g} s at {info.sample_rate} Hz in {info.shards_text}; "
            f"{len(self.rejected_clips)} rejected"
        ]
        if self.rejected:
            lines[0] += f" ({_listed(self.rejected)}; see {REJECTED_NAME} and {MISSING_NAME})"
        if self.excluded is not None:
            lines.append(f"excluded by the given lists: {self.excluded} clips")
        if self.rejected and not self.new:
            lines.append("--retry-rejected adds clips that have come or changed since")
        lines.append(f"output: {self.output}")
        return "\n".join(lines)


def _listed(reasons: dict[str, int]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in reasons.items())


def pack_clips(
    settings: PackSettings,
    *,
    progress: bool = True,
    runner: Runner | None = None,
    retry_rejected: bool = False,
) -> PackReport:
    """Packs the clips that a metadata file lists, or goes on with an interrupted packing.

    Args:
        settings: the same as before where a packing is to be continued.
        runner: packs the shards; default: other processes of this machine.
        retry_rejected: in a finished directory, pack shards again whose rejected clips may be had
            by now. Shards that are gone are packed again in any case.

    Raises:
        ValueError: a wrong metadata file (before any work), an output that holds something else or
            where another packer is at work, or no usable clip.
        OSError: a file cannot be written.
    """
    output = Path(settings.output)
    check_output_folder(output)
    plan = make_plan(settings)
    output.mkdir(parents=True, exist_ok=True)
    _check_output(plan)
    state = output / STATE_NAME
    busy = f"another packer is at work in {output}; wait for it, or choose another folder"
    with lock(state / "lock", busy):
        write_atomic(state / "plan.json", json.dumps(plan.described))
        finished = (output / INFO_NAME).exists()
        if finished:
            index = load_index(output)
            outcomes = _outcomes_of(plan, index)
            redo = [task for task in plan.shards if _may_gain(task, outcomes, retry_rejected)]
            if redo:  # as if the other shards had just been packed
                for task in plan.shards:
                    task.keep(outcomes)
                (output / INFO_NAME).unlink()
                for task in redo:
                    Path(task.path).unlink(missing_ok=True)
                finished = False
        if not finished:
            try:
                outcomes = _pack(plan, progress, runner or pack_shards)
            except KeyboardInterrupt:
                raise KeyboardInterrupt("the same command") from None
            finally:
                _remove_leftovers(output)
            index = _finish(plan, outcomes)
        shutil.rmtree(state)
    rejected, excluded = _rejected(plan, outcomes), plan.manifest.excluded
    return PackReport(index.info, output, index.class_counts, rejected, excluded, not finished)


def _check_output(plan: Plan) -> None:
    """Raises TFRecordsError for an output folder that holds anything but this plan's records."""
    output, held = Path(plan.settings.output), ""
    begun = output / STATE_NAME / "plan.json"
    if (output / INFO_NAME).exists():
        if load_info(output).plan != plan.info.plan:
            held = "other records"
    elif begun.exists():
        before = json.loads(begun.read_bytes())
        changes = [
            f"{name} was {before.get(name)}, now {value}"
            for name, value in plan.described.items()
            if before.get(name) != value
        ]
        if changes:
            held = f"an unfinished packing of something else ({'; '.join(changes)})"
    elif any(output.glob("*.tfrecord")):
        held = "records"
    if held:
        raise TFRecordsError(
            f"the output {output} already holds {held}; choose another folder or remove it"
        )


def _pack(plan: Plan, progress: bool, runner: Runner) -> Outcomes:
    """Packs the shards that an earlier packer has not finished; returns what became of all."""
    settings = plan.settings
    _remove_leftovers(Path(settings.output))
    outcomes: Outcomes = {}
    tasks = []
    for task in plan.shards:
        if finished := task.kept():
            outcomes |= finished
        else:
            tasks.append(task)
    with Progress(len(plan.manifest.clips), "clip", initial=len(outcomes)) as bar:
        update = bar.update if progress else lambda change: None
        options = {"workers": settings.workers, "timeout": settings.clip_timeout, "done": update}
        with closing(runner(tasks, **options)) as packed:
            for task, of_shard in packed:
                task.keep(of_shard)
                outcomes |= of_shard
    return outcomes


def _remove_leftovers(output: Path) -> None:
    for leftover in (*output.glob(".*.tmp*"), *(output / STATE_NAME).glob(".*.tmp*")):
        leftover.unlink(missing_ok=True)


def _rejected(plan: Plan, outcomes: Outcomes) -> tuple[tuple[Clip, str], ...]:
    return tuple(
        (clip, outcome)
        for task in plan.shards
        for clip in task.clips
        if isinstance(outcome := outcomes[clip.clip_id], str)
    )


def _outcomes_of(plan: Plan, index: Index) -> Outcomes:
    """What became of the clips of a finished directory."""
    outcomes = {clip.clip_id: "not packed" for clip in plan.manifest.clips}
    rejected = Path(plan.settings.output, REJECTED_NAME)
    if rejected.is_file():
        for row in read_csv(rejected, ("clip_id", "reason")):
            outcomes[row["clip_id"]] = row["reason"]
    records = np.stack([index.offset, index.length, index.checksum], axis=1).tolist()
    ids = (clip_id.decode() for clip_id in index.clip_ids.tolist())
    return outcomes | dict(zip(ids, records, strict=True))


def _may_gain(task: ShardTask, outcomes: Outcomes, retry_rejected: bool) -> bool:
    """Whether a shard is lost, or holds less than it could by now."""
    if not task.is_whole(outcomes):
        return True
    packed = Path(task.path).stat().st_mtime
    return retry_rejected and any(
        outcomes[clip.clip_id] == "missing" or audio.stat().st_mtime > packed
        for clip in task.clips
        if isinstance(outcomes[clip.clip_id], str) and (audio := Path(clip.path)).is_file()
    )


def _finish(plan: Plan, outcomes: Outcomes) -> Index:
    """Writes the lists, the index and, last, ``dataset.json``."""
    output, rejected = Path(plan.settings.output), _rejected(plan, outcomes)
    rows = ((clip.clip_id, Path(clip.path).name, reason) for clip, reason in rejected)
    write_csv(output / REJECTED_NAME, ("clip_id", "filename", "reason"), rows)
    clips = [clip for task in plan.shards for clip in task.clips]
    packed = [clip for clip in clips if not isinstance(outcomes[clip.clip_id], str)]
    if not packed:
        for task in plan.shards:
            Path(task.path).unlink(missing_ok=True)
        shutil.rmtree(output / STATE_NAME)
        raise NothingPackedError(
            f"none of the {len(rejected)} clips could be packed: "
            f"{_listed(Counter(reason for _, reason in rejected))}; is "
            f"{plan.settings.audio} the right audio folder? See {output / REJECTED_NAME}"
        )
    lengths = [task.lengths(outcomes) for task in plan.shards]
    shards = tuple(
        ShardInfo(Path(task.path).name, len(records), sum(records))
        for task, records in zip(plan.shards, lengths, strict=True)
    )
    info = replace(plan.info, num_clips=len(packed), shards=shards)
    offset, length, checksum = np.array([outcomes[clip.clip_id] for clip in packed]).T
    index = Index.make(
        info,
        output,
        clip_ids=np.array([clip.clip_id.encode() for clip in packed]),
        shard=np.repeat(np.arange(len(lengths)), list(map(len, lengths))),
        offset=offset,
        length=length,
        checksum=checksum,
        labels=_labels(packed),
        label_counts=np.array([len(clip.labels) for clip in packed]),
    )
    groups = {
        "listed": clips,
        "packed": packed,
        "missing": [clip for clip, reason in rejected if reason == "missing"],
        "refused": [clip for clip, reason in rejected if reason != "missing"],
    }
    counts = [np.bincount(_labels(group), minlength=index.num_classes) for group in groups.values()]
    numbers, mids = range(index.num_classes), info.class_ids or [""] * index.num_classes
    rows = zip(numbers, mids, info.classes, *(count.tolist() for count in counts), strict=True)
    write_csv(output / MISSING_NAME, ("index", "mid", "display_name", *groups), rows)
    return index.save()


def _labels(clips: Iterable[Clip]) -> np.ndarray:
    return np.array([label for clip in clips for label in clip.labels], np.int64)


def pack_audioset(
    root: str | os.PathLike, settings: PackSettings, *, sets: tuple[str, ...] = (), **options
) -> dict[str, PackReport]:
    """Packs AudioSet as it lies on a disk, any part of it; both training sets give ``full_train``.

    Args:
        root: holds the metadata files (``balanced_train_segments.csv`` ..., or in ``metadata/``).
        settings: for every set; ``metadata``, ``format`` and ``split`` are filled in here,
            ``audio`` is searched at any depth, ``output`` is the folder of packed directories.
        sets: of ``balanced_train``, ``unbalanced_train``, ``eval``; default: those with metadata.
        options: of ``pack_clips``.

    Returns reports by set, but for sets without any usable clip.
    """
    output = Path(settings.output)
    reports: dict[str, PackReport] = {}
    empty: list[NothingPackedError] = []
    for name, metadata in sets_of(Path(root), sets).items():
        changes = {"metadata": metadata, "format": "audioset", "output": output / name}
        try:
            reports[name] = pack_clips(replace(settings, split=name, **changes), **options)
        except NothingPackedError as error:
            empty.append(error)
            logger.warning("%s: left out: %s", name, error)
    if not reports:
        raise empty[0]
    training = [output / name for name in ("balanced_train", "unbalanced_train")]
    if all((packed / INFO_NAME).exists() for packed in training):
        # Each time: it takes seconds, and the shards may have been packed again.
        make_view(output / FULL_TRAIN, training, renew=True)
    return reports
