"""Audio files to a packed directory: shards, index, `dataset.json`.

While it is under way the directory holds `.packing/`: a lock, the description of the plan, and for
every finished shard a small file with what the index needs of it. A packer that finds them goes on
where the last one ended, however it ended. `dataset.json` is written last.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.audioset import sets_of
from tfrecords.files import check_output_folder, lock, read_csv, write_atomic, write_csv
from tfrecords.index import INFO_NAME, DatasetInfo, Index, ShardInfo, load_index, load_info
from tfrecords.manifest import Clip
from tfrecords.plan import PackSettings, Plan, make_plan
from tfrecords.pool import pack_shards
from tfrecords.progress import Progress, logger
from tfrecords.shard import ShardResult, ShardTask, shard_bytes
from tfrecords.storage import TFRecordsError
from tfrecords.views import make_view

STATE_NAME = ".packing"
REJECTED_NAME = "rejected.csv"
MISSING_NAME = "missing_by_class.csv"
FULL_TRAIN = "full_train"

# Packs shards, as `tfrecords.pool.pack_shards` does.
Runner = Callable[..., Iterator[tuple[ShardTask, ShardResult]]]


class NothingPackedError(TFRecordsError):
    """Not one clip of those that were listed could be packed."""


@dataclass(frozen=True)
class PackReport:
    """The result of a packing.

    Attributes:
        info: of the packed directory, which is `output`.
        class_counts: (classes,) packed clips of each class.
        rejected_clips: the clips that gave no record, with the reasons.
        excluded: how many clips were excluded; None where there was no list of them.
        new: False when the directory was finished before.
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
        """A few lines of text."""
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
        settings: what to pack; the same as before where a packing is to be continued.
        progress: whether commands show progress.
        runner: packs the shards; default: other processes of this machine.
        retry_rejected: in a directory that is finished, pack the shards again of which rejected
            clips may be had by now. Shards that are gone are packed again in any case.

    Raises:
        TFRecordsError: a wrong metadata file (before any work), an output that holds something
            else, or no usable clip.
        ValueError: another packer at work there.
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
        if not (state / "plan.json").exists():
            write_atomic(state / "plan.json", json.dumps(plan.described))
        if (output / INFO_NAME).exists():
            index = load_index(output)
            results = _results_of(plan, index)
            finished = list(zip(plan.shards, results, strict=True))
            redo = {
                task.path
                for task, result in finished
                if _is_to_be_redone(task, result, retry_rejected)
            }
            if not redo:
                shutil.rmtree(state)
                return _report(plan, index, _rejected(plan, results), new=False)
            for task, result in finished:  # those that stay, as if they had just been packed
                if task.path not in redo:
                    keep_result(task, result)
            (output / INFO_NAME).unlink()
            for path in redo:
                Path(path).unlink(missing_ok=True)
        try:
            results = _pack(plan, progress, runner or pack_shards)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command") from None
        finally:
            _remove_leftovers(output)
        report = _finish(plan, results)
        shutil.rmtree(state)
        return report


def _check_output(plan: Plan) -> None:
    """Raises TFRecordsError for an output folder that holds anything but this plan's records."""
    output = Path(plan.settings.output)
    begun = output / STATE_NAME / "plan.json"
    if (output / INFO_NAME).exists():
        if load_info(output).plan == plan.digest:
            return
        held = "other records"
    elif begun.exists():
        before = json.loads(begun.read_bytes())
        changes = [
            f"{name} was {before.get(name)}, now {value}"
            for name, value in plan.described.items()
            if before.get(name) != value
        ]
        if not changes:
            return
        held = f"an unfinished packing of something else ({'; '.join(changes)})"
    elif any(output.glob("*.tfrecord")):
        held = "records"
    else:
        return
    raise TFRecordsError(
        f"the output {output} already holds {held}; choose another folder or remove it"
    )


def _pack(plan: Plan, progress: bool, runner: Runner) -> list[ShardResult]:
    """Packs the shards that an earlier packer has not finished."""
    settings = plan.settings
    _remove_leftovers(Path(settings.output))
    results = {task.path: load_result(task) for task in plan.shards}
    tasks = [task for task in plan.shards if results[task.path] is None]
    total = len(plan.manifest.clips)
    ready = total - sum(len(task.clips) for task in tasks)
    with Progress(total, "clip", initial=ready) as bar:
        update = bar.update if progress else lambda change: None
        options = {"workers": settings.workers, "timeout": settings.clip_timeout, "done": update}
        with closing(runner(tasks, **options)) as packed:
            for task, result in packed:
                keep_result(task, result)
                results[task.path] = result
    return list(results.values())


def _remove_leftovers(output: Path) -> None:
    """Removes what processes that were killed had begun to write."""
    for leftover in (*output.glob(".*.tmp"), *(output / STATE_NAME).glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def keep_result(task: ShardTask, result: ShardResult) -> None:
    """Keeps on disk that a shard is finished, and what the index needs of it."""
    write_atomic(_result_path(task), json.dumps(result))


def load_result(task: ShardTask) -> ShardResult | None:
    """The result of a shard that was finished before; None if it was not, or has changed since."""
    try:
        result = json.loads(_result_path(task).read_bytes())
        whole = list(result) == [clip.clip_id for clip in task.clips]
        return result if whole and _is_whole(task, result) else None
    except (OSError, ValueError, TypeError):
        return None


def _is_whole(task: ShardTask, result: ShardResult) -> bool:
    """Whether a shard is there, of the size that it had."""
    path = Path(task.path)
    return path.is_file() and path.stat().st_size == shard_bytes(result)


def _result_path(task: ShardTask) -> Path:
    path = Path(task.path)
    return path.parent / STATE_NAME / f"{path.name}.json"


def _finish(plan: Plan, results: Sequence[ShardResult]) -> PackReport:
    """Writes the lists, the index and, last, `dataset.json`."""
    settings, output = plan.settings, Path(plan.settings.output)
    packed, places = [], []
    for number, (task, result) in enumerate(zip(plan.shards, results, strict=True)):
        for clip in task.clips:
            if not isinstance(record := result[clip.clip_id], str):
                packed.append(clip)
                places.append((number, *record))
    rejected = _rejected(plan, results)
    rows = ((clip.clip_id, Path(clip.path).name, reason) for clip, reason in rejected)
    write_csv(output / REJECTED_NAME, ("clip_id", "filename", "reason"), rows)
    if not packed:
        for task in plan.shards:
            Path(task.path).unlink(missing_ok=True)
        shutil.rmtree(output / STATE_NAME)
        raise NothingPackedError(
            f"none of the {len(rejected)} clips could be packed: "
            f"{_listed(Counter(reason for _, reason in rejected))}; is {settings.audio} "
            f"the right audio folder? See {output / REJECTED_NAME}"
        )
    classes = plan.manifest.classes
    clips = Counter(number for number, *_ in places)
    info = DatasetInfo(
        split=settings.split,
        sample_rate=settings.sample_rate,
        clip_samples=settings.clip_samples,
        codec=settings.codec,
        classes=classes.names,
        class_ids=classes.ids,
        num_clips=len(packed),
        clips_per_shard=settings.clips_per_shard,
        shards=tuple(
            ShardInfo(Path(task.path).name, clips[number], shard_bytes(result))
            for number, (task, result) in enumerate(zip(plan.shards, results, strict=True))
        ),
        source=settings.source,
        plan=plan.digest,
    )
    shard, offset, length, checksum = np.array(places).T
    index = Index.make(
        info,
        output,
        clip_ids=np.array([clip.clip_id.encode() for clip in packed]),
        shard=shard,
        offset=offset,
        length=length,
        checksum=checksum,
        labels=np.array([label for clip in packed for label in clip.labels], np.int64),
        label_counts=np.array([len(clip.labels) for clip in packed]),
    )
    # By class: clips that are listed, packed, without a file, and refused.
    missing = [clip for clip, reason in rejected if reason == "missing"]
    refused = [clip for clip, reason in rejected if reason != "missing"]
    counts = [
        np.bincount([k for clip in part for k in clip.labels], minlength=info.num_classes).tolist()
        for part in (plan.manifest.clips, packed, missing, refused)
    ]
    ids = info.class_ids or ("",) * info.num_classes
    rows = zip(range(info.num_classes), ids, info.classes, *counts, strict=True)
    columns = ("index", "mid", "display_name", "listed", "packed", "missing", "refused")
    write_csv(output / MISSING_NAME, columns, rows)
    return _report(plan, index.save(), rejected)


def _report(plan: Plan, index: Index, rejected: tuple, new: bool = True) -> PackReport:
    output, excluded = Path(plan.settings.output), plan.manifest.excluded
    return PackReport(index.info, output, index.class_counts, rejected, excluded, new)


def _rejected(plan: Plan, results: Sequence[ShardResult]) -> tuple[tuple[Clip, str], ...]:
    return tuple(
        (clip, result[clip.clip_id])
        for task, result in zip(plan.shards, results, strict=True)
        for clip in task.clips
        if isinstance(result[clip.clip_id], str)
    )


def _results_of(plan: Plan, index: Index) -> list[ShardResult]:
    """The results of the shards of a finished directory."""
    rejected = Path(plan.settings.output, REJECTED_NAME)
    reasons = {}
    if rejected.is_file():
        reasons = {
            row["clip_id"]: row["reason"] for row in read_csv(rejected, ("clip_id", "reason"))
        }
    records = zip(
        index.offset.tolist(), index.length.tolist(), index.checksum.tolist(), strict=True
    )
    places = dict(zip(index.clip_ids.tolist(), map(list, records), strict=True))
    return [
        {
            clip.clip_id: places.get(clip.clip_id.encode())
            or reasons.get(clip.clip_id, "not packed")
            for clip in task.clips
        }
        for task in plan.shards
    ]


def _is_to_be_redone(task: ShardTask, result: ShardResult, retry_rejected: bool) -> bool:
    """Whether a shard is lost, or holds less than it could by now."""
    if not _is_whole(task, result):
        return True
    packed = Path(task.path).stat().st_mtime
    rejected = [clip for clip in task.clips if isinstance(result[clip.clip_id], str)]
    return retry_rejected and any(
        result[clip.clip_id] == "missing" or audio.stat().st_mtime > packed
        for clip in rejected
        if (audio := Path(clip.path)).is_file()
    )


def pack_audioset(
    root: str | os.PathLike,
    settings: PackSettings,
    *,
    sets: tuple[str, ...] = (),
    progress: bool = True,
    runner: Runner | None = None,
    retry_rejected: bool = False,
) -> dict[str, PackReport]:
    """Packs AudioSet as it lies on a disk, any part of it.

    `root` holds the metadata files (`balanced_train_segments.csv` ..., or in `metadata/`). Of the
    settings, which are for every set, `metadata`, `format` and `split` are filled in here; `audio`
    is searched at any depth, and `output` is the folder of packed directories. `sets` defaults to
    those of `balanced_train`, `unbalanced_train` and `eval` whose metadata are there; the rest is
    as in `pack_clips`. Both training sets together make the view `full_train`.

    Returns:
        Reports by set. A set without any usable clip is left out, and an error if all are.
    """
    output = Path(settings.output)
    reports: dict[str, PackReport] = {}
    empty: list[NothingPackedError] = []
    for name, metadata in sets_of(Path(root), sets).items():
        of_set = replace(
            settings, metadata=metadata, format="audioset", split=name, output=output / name
        )
        try:
            reports[name] = pack_clips(
                of_set, progress=progress, runner=runner, retry_rejected=retry_rejected
            )
        except NothingPackedError as error:
            empty.append(error)
            logger.warning("%s: left out: %s", name, error)
    if not reports:
        raise empty[0]
    parts = [output / name for name in ("balanced_train", "unbalanced_train")]
    if all((part / INFO_NAME).exists() for part in parts):
        # Anew each time: it takes seconds, and the parts may have been packed again.
        make_view(output / FULL_TRAIN, parts, renew=True)
    return reports
