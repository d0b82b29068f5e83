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
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfrecords.audioset import sets_of
from tfrecords.files import lock, write_atomic
from tfrecords.index import INDEX_NAME, Index, load_index
from tfrecords.info import FILE_NAME, DatasetInfo, load_info
from tfrecords.manifest import Clip, read_manifest
from tfrecords.plan import PackSettings, Plan, order_clips
from tfrecords.pool import pack_shards
from tfrecords.progress import Progress
from tfrecords.report import (
    MISSING_NAME,
    REJECTED_NAME,
    PackReport,
    read_rejected,
    write_missing,
    write_rejected,
)
from tfrecords.shard import ShardResult
from tfrecords.storage import TFRecordsError
from tfrecords.views import make_view

STATE_NAME = ".packing"
FULL_TRAIN = "full_train"

# Packs shards, as `tfrecords.pool.pack_shards` does.
Runner = Callable[..., Iterator[ShardResult]]


class NothingPackedError(TFRecordsError):
    """Not one clip of those that were listed could be packed."""


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
    if output.exists() and not output.is_dir():
        raise TFRecordsError(f"the output {output} is a file; expected a folder, or nothing yet")
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
    # Without the lock: it may be a folder that must not be written.
    if (output / FILE_NAME).exists() and not state.exists():
        index, results = _finished_results(plan)
        if not _shards_to_redo(plan, results, retry_rejected):
            return _report(plan, index, results, new=False)
    busy = f"another packer is at work in {output}; wait for it, or choose another folder"
    with lock(state / "lock", busy):
        # Another packer may have finished between the check and the lock.
        if (output / FILE_NAME).exists():
            _check_output(plan)
            index, results = _finished_results(plan)
            redo = _shards_to_redo(plan, results, retry_rejected)
            if not redo:
                shutil.rmtree(state, ignore_errors=True)
                return _report(plan, index, results, new=False)
            _reopen(plan, results, redo)
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
    if (output / FILE_NAME).exists():
        if load_info(output).plan != plan.digest:
            raise TFRecordsError(
                f"the output {output} already holds other records; choose another folder or remove "
                "them"
            )
        return
    begun = output / STATE_NAME / "plan.json"
    if begun.exists():
        try:
            before = json.loads(begun.read_bytes())
        except ValueError:
            before = {}
        if before != plan.described:
            changes = [
                f"{name} was {before.get(name)!r}, now {value!r}"
                for name, value in plan.described.items()
                if before.get(name) != value and name not in ("clips", "classes")
            ]
            raise TFRecordsError(
                f"the output {output} holds an unfinished packing of something else "
                f"({'; '.join(changes) or 'other clips or classes'}); go on with the same command, "
                "remove the folder or choose another"
            )
        return
    if held := next(output.glob("*.tfrecord"), None):
        raise TFRecordsError(
            f"the output {output} already holds records ({held.name}); choose another folder or "
            "remove them"
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
    """Writes the lists, the index and, last, `dataset.json`: now it is a packed directory."""
    settings, output = plan.settings, Path(plan.settings.output)
    packed: list[Clip] = []
    places: list[tuple[int, int, int, int]] = []
    for number, result in enumerate(results):
        clips = plan.clips_of(number)
        for place, *record in result.records:
            packed.append(clips[place])
            places.append((number, *record))
    rejected = _rejected(plan, results)
    write_rejected(output / REJECTED_NAME, rejected)
    if not packed:
        for result in results:
            (output / result.shard.name).unlink(missing_ok=True)
        shutil.rmtree(output / STATE_NAME)
        reasons = Counter(reason for _, reason in rejected)
        listed = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
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
        source=plan.description,
        plan=plan.digest,
    )
    index = Index.from_clips(info, output, packed, places).save()
    report = _report(plan, index, results, new=True)
    write_missing(output / MISSING_NAME, report)
    index.info.save(output)
    return report


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
        listed=plan.clips,
        excluded=plan.manifest.excluded,
        new=new,
    )


def _finished_results(plan: Plan) -> tuple[Index, list[ShardResult]]:
    """The index of a finished directory, and the result of each of its shards."""
    output = Path(plan.settings.output)
    index = load_index(output)
    reasons = read_rejected(output / REJECTED_NAME)
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


def _shards_to_redo(plan: Plan, results: list[ShardResult], retry_rejected: bool) -> list[int]:
    """The numbers of shards that are lost, or hold less than they could by now."""

    def may_be_had(audio: Path, reason: str, packed: float) -> bool:
        return audio.is_file() and (reason == "missing" or audio.stat().st_mtime > packed)

    redo = []
    for number, result in enumerate(results):
        path, clips = plan.shard_path(number), plan.clips_of(number)
        status = path.stat() if path.is_file() else None
        if (
            status is None
            or status.st_size != result.shard.bytes
            or (
                retry_rejected
                and any(
                    may_be_had(Path(clips[place].path), reason, status.st_mtime)
                    for place, reason in result.rejected
                )
            )
        ):
            redo.append(number)
    return redo


def _reopen(plan: Plan, results: list[ShardResult], redo: list[int]) -> None:
    """Makes a finished directory one whose shards `redo` are not packed yet.

    What the index has of the shards that stay is kept as if they had just been packed.
    """
    output = Path(plan.settings.output)
    write_atomic(output / STATE_NAME / "plan.json", json.dumps(plan.described))
    for number, result in enumerate(results):
        if number not in redo:
            keep_result(plan.shard_path(number), result)
    (output / FILE_NAME).unlink()
    for number in redo:
        plan.shard_path(number).unlink(missing_ok=True)


def pack_audioset(
    root: str | os.PathLike,
    settings: PackSettings,
    *,
    sets: tuple[str, ...] = (),
    progress: bool = True,
    runner: Runner | None = None,
    retry_rejected: bool = False,
    on_empty: Callable[[str, str], None] = lambda name, message: None,
) -> dict[str, PackReport]:
    """Packs AudioSet as it lies on a disk, any part of it.

    Args:
        root: holds the metadata files (`balanced_train_segments.csv` ..., or in `metadata/`).
        settings: for every set; `metadata`, `format` and `split` are filled in here, `audio` is
            searched at any depth, `output` is the folder of packed directories.
        sets: of `balanced_train`, `unbalanced_train` and `eval`; default: those whose metadata
            are there.
        progress, runner, retry_rejected: as in `pack_clips`.
        on_empty: called with the name of a set of which no clip could be packed, and a message.

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
            on_empty(name, str(error))
    if not reports:
        raise empty[0]
    parts = [output / name for name in ("balanced_train", "unbalanced_train")]
    if all((part / FILE_NAME).exists() for part in parts):
        view = output / FULL_TRAIN
        try:
            # Anew each time: it takes seconds, and the parts may have been packed again.
            make_view(view, parts, renew=True)
        except TFRecordsError as error:
            raise TFRecordsError(f"{view} cannot be made: {error}") from None
    return reports
