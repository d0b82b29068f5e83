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
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecords.audioset import sets_of
from tfrecords.files import check_output_folder, lock, read_csv, write_atomic, write_csv
from tfrecords.index import INDEX_NAME, Index, load_index
from tfrecords.info import FILE_NAME, DatasetInfo, load_info
from tfrecords.manifest import Clip, read_manifest
from tfrecords.plan import PackSettings, Plan, order_clips
from tfrecords.pool import pack_shards
from tfrecords.progress import Progress, logger
from tfrecords.shard import ShardResult
from tfrecords.storage import TFRecordsError
from tfrecords.views import make_view

STATE_NAME = ".packing"
REJECTED_NAME = "rejected.csv"
MISSING_NAME = "missing_by_class.csv"
FULL_TRAIN = "full_train"

# Packs shards, as `tfrecords.pool.pack_shards` does.
Runner = Callable[..., Iterator[ShardResult]]


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
            reasons = ", ".join(f"{number} {reason}" for reason, number in self.rejected.items())
            lines[0] += f" ({reasons}; see {REJECTED_NAME} and {MISSING_NAME})"
        if self.excluded is not None:
            lines.append(f"excluded by the given lists: {self.excluded} clips")
        if self.rejected and not self.new:
            lines.append("--retry-rejected adds clips that have come or changed since")
        lines.append(f"output: {self.output}")
        return "\n".join(lines)


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
    manifest = read_manifest(
        settings.metadata,
        settings.audio,
        format=settings.format,
        labels=settings.labels,
        folds=settings.folds,
        exclude=settings.exclude,
    )
    plan = Plan(settings, manifest, tuple(order_clips(manifest.clips)))
    output.mkdir(parents=True, exist_ok=True)
    _check_output(plan)
    state = output / STATE_NAME
    busy = f"another packer is at work in {output}; wait for it, or choose another folder"
    with lock(state / "lock", busy):
        if (output / FILE_NAME).exists():
            index, results = _finished_results(plan)
            redo = [
                number
                for number, result in enumerate(results)
                if _is_to_be_redone(plan, number, result, retry_rejected)
            ]
            if not redo:
                shutil.rmtree(state)
                return _report(plan, index, results, new=False)
            # The shards that stay are kept as if they had just been packed.
            write_atomic(state / "plan.json", json.dumps(plan.described))
            for number, result in enumerate(results):
                if number not in redo:
                    keep_result(plan.shard_path(number), result)
            (output / FILE_NAME).unlink()
            for number in redo:
                plan.shard_path(number).unlink(missing_ok=True)
        if not (state / "plan.json").exists():
            write_atomic(state / "plan.json", json.dumps(plan.described))
        try:
            results = _pack(plan, progress, runner or pack_shards)
        finally:
            _remove_leftovers(output)
        report = _finish(plan, results)
        shutil.rmtree(state)
        return report


def _check_output(plan: Plan) -> None:
    """Raises TFRecordsError for an output folder that holds anything but this plan's records."""
    output = Path(plan.settings.output)
    begun = output / STATE_NAME / "plan.json"
    if (output / FILE_NAME).exists():
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
    results: dict[str, ShardResult] = {}
    tasks = []
    for task in map(plan.task, range(plan.num_shards)):
        if (result := load_result(task.path)) is not None:
            results[result.shard.name] = result
        else:
            tasks.append(task)
    ready = len(plan.clips) - sum(len(task.clips) for task in tasks)
    with Progress(len(plan.clips), "clip", initial=ready) if progress else nullcontext() as bar:
        update = bar.update if bar is not None else lambda change: None
        options = {"workers": settings.workers, "timeout": settings.clip_timeout, "done": update}
        with closing(runner(tasks, **options)) as packed:
            for result in packed:
                keep_result(Path(settings.output, result.shard.name).absolute(), result)
                results[result.shard.name] = result
    return [results[plan.shard_path(number).name] for number in range(plan.num_shards)]


def _remove_leftovers(output: Path) -> None:
    """Removes what processes that were killed had begun to write."""
    for leftover in (*output.glob(".*.tmp"), *(output / STATE_NAME).glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


def keep_result(shard_path: str | Path, result: ShardResult) -> None:
    """Keeps on disk that a shard is finished, and what the index needs of it."""
    write_atomic(_result_path(shard_path), result.to_json())


def load_result(shard_path: str | Path) -> ShardResult | None:
    """The result of a shard that was finished before; None if it was not, or has changed since."""
    try:
        result = ShardResult.from_json(_result_path(shard_path).read_bytes())
        return result if Path(shard_path).stat().st_size == result.shard.bytes else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _result_path(shard_path: str | Path) -> Path:
    path = Path(shard_path)
    return path.parent / STATE_NAME / f"{path.name}.json"


def _finish(plan: Plan, results: Sequence[ShardResult]) -> PackReport:
    """Writes the lists, the index and, last, `dataset.json`."""
    settings, output = plan.settings, Path(plan.settings.output)
    packed, places = [], []
    for number, result in enumerate(results):
        clips = plan.clips_of(number)
        for place, *record in result.records:
            packed.append(clips[place])
            places.append((number, *record))
    rejected = _rejected(plan, results)
    rows = ((clip.clip_id, Path(clip.path).name, reason) for clip, reason in rejected)
    write_csv(output / REJECTED_NAME, ("clip_id", "filename", "reason"), rows)
    if not packed:
        for result in results:
            (output / result.shard.name).unlink(missing_ok=True)
        shutil.rmtree(output / STATE_NAME)
        reasons = Counter(reason for _, reason in rejected).items()
        listed = ", ".join(f"{number} {reason}" for reason, number in reasons)
        raise NothingPackedError(
            f"none of the {len(plan.clips)} clips could be packed: {listed}; is {settings.audio} "
            f"the right audio folder? See {output / REJECTED_NAME}"
        )
    classes = plan.manifest.classes
    info = DatasetInfo(
        split=settings.split,
        sample_rate=settings.sample_rate,
        clip_samples=settings.clip_samples,
        codec=settings.codec,
        classes=classes.names,
        class_ids=classes.ids,
        num_clips=len(packed),
        clips_per_shard=settings.clips_per_shard,
        shards=tuple(result.shard for result in results),
        index_name=INDEX_NAME,
        index_sha256="",
        source=plan.source,
        plan=plan.digest,
    )
    index = Index.from_clips(info, output, packed, places).save()
    _write_missing(plan, index, rejected)
    index.info.save(output)
    return _report(plan, index, results, new=True)


def _write_missing(plan: Plan, index: Index, rejected: Sequence[tuple[Clip, str]]) -> None:
    """Writes, class by class, how many clips are listed, packed, without a file, and refused."""

    def counts(clips: Sequence[Clip]) -> list[int]:
        numbers = np.fromiter((k for clip in clips for k in clip.labels), np.int64)
        return np.bincount(numbers, minlength=index.num_classes).tolist()

    rows = zip(
        range(index.num_classes),
        index.info.class_ids or ("",) * index.num_classes,
        index.info.classes,
        counts(plan.clips),
        index.class_counts.tolist(),
        counts([clip for clip, reason in rejected if reason == "missing"]),
        counts([clip for clip, reason in rejected if reason != "missing"]),
        strict=True,
    )
    columns = ("index", "mid", "display_name", "listed", "packed", "missing", "refused")
    write_csv(Path(plan.settings.output, MISSING_NAME), columns, rows)


def _rejected(plan: Plan, results: Sequence[ShardResult]) -> tuple[tuple[Clip, str], ...]:
    return tuple(
        (plan.clips_of(number)[place], reason)
        for number, result in enumerate(results)
        for place, reason in result.rejected
    )


def _report(plan: Plan, index: Index, results: Sequence[ShardResult], new: bool) -> PackReport:
    return PackReport(
        info=index.info,
        output=Path(plan.settings.output),
        class_counts=index.class_counts,
        rejected_clips=_rejected(plan, results),
        excluded=plan.manifest.excluded,
        new=new,
    )


def _finished_results(plan: Plan) -> tuple[Index, list[ShardResult]]:
    """The index of a finished directory, and the result of each of its shards."""
    output = Path(plan.settings.output)
    index = load_index(output)
    reasons = {}
    if (output / REJECTED_NAME).is_file():
        rows = read_csv(output / REJECTED_NAME, ("clip_id", "reason"))
        reasons = {row["clip_id"]: row["reason"] for row in rows}
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
                record = (index.offset[row], index.length[row], index.checksum[row])
                records.append((place, *map(int, record)))
        results.append(ShardResult(shard, tuple(records), tuple(rejected)))
    return index, results


def _is_to_be_redone(plan: Plan, number: int, result: ShardResult, retry_rejected: bool) -> bool:
    """Whether a shard is lost, or holds less than it could by now."""
    path = plan.shard_path(number)
    if not path.is_file() or path.stat().st_size != result.shard.bytes:
        return True
    if retry_rejected:
        for place, reason in result.rejected:
            audio = Path(plan.clips_of(number)[place].path)
            if audio.is_file() and (
                reason == "missing" or audio.stat().st_mtime > path.stat().st_mtime
            ):
                return True
    return False


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

    Args:
        root: holds the metadata files (`balanced_train_segments.csv` ..., or in `metadata/`).
        settings: for every set; `metadata`, `format` and `split` are filled in here, `audio` is
            searched at any depth, `output` is the folder of packed directories.
        sets: of `balanced_train`, `unbalanced_train` and `eval`; default: those whose metadata
            are there.
        progress, runner, retry_rejected: as in `pack_clips`.

    Returns:
        Reports by set. `balanced_train` and `unbalanced_train` together make the view
        `full_train`.

    Raises:
        TFRecordsError: as `pack_clips`; for sets without any clip, only if all are.
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
    if all((part / FILE_NAME).exists() for part in parts):
        # Anew each time: it takes seconds, and the parts may have been packed again.
        make_view(output / FULL_TRAIN, parts, renew=True)
    return reports
