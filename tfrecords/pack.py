"""Audio files to a packed directory: shards, index, `dataset.json`.

While it is under way the directory holds `.packing/`: a lock, the description of the plan, and for
every finished shard a small file with what the index needs of it. A packer that finds them goes on
where the last one ended, however it ended. `dataset.json` is written last.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tqdm import tqdm

from tfrecords.errors import NothingPackedError, TFRecordsError
from tfrecords.index import INDEX_NAME, Index, save_index_file
from tfrecords.info import FILE_NAME, DatasetInfo, load_info
from tfrecords.pack_shard import ShardResult
from tfrecords.plan import Plan, make_plan
from tfrecords.reopen import reopen, results_of, shards_to_redo
from tfrecords.report import (
    MISSING_NAME,
    REJECTED_NAME,
    PackReport,
    write_missing,
    write_rejected,
)
from tfrecords.settings import PackSettings, check_settings
from tfrecords.shards import write_atomic
from tfrecords.sources import Clip, read_source
from tfrecords.workers import pack_shards

try:
    import fcntl
except ImportError:  # Windows has no such lock; two packers then write the same bytes twice
    fcntl = None

STATE_NAME = ".packing"
_LOCK_NAME, _PLAN_NAME = "lock", "plan.json"

# Packs the shards of the given numbers; yields each number with its result.
Runner = Callable[[Plan, Sequence[int], Callable[[int], None]], Iterator[tuple[int, ShardResult]]]


def pack_clips(
    settings: PackSettings,
    *,
    progress: bool = True,
    runner: Runner | None = None,
    retry_rejected: bool = False,
) -> PackReport:
    """Pack the clips that a metadata file lists, or go on with a packing that was interrupted.

    Args:
        settings: what to pack; the same as before where a packing is to be continued.
        progress: show a progress bar on stderr.
        runner: what packs the shards; default: child processes of this one.
        retry_rejected: in a directory that is finished, pack the shards again of which rejected
            clips may be had by now. Shards that are gone are packed again in any case.

    Raises:
        TFRecordsError: a wrong setting or metadata file (before any work), an output that holds
            something else, another packer at work there, or no usable clip.
        OSError: a file cannot be written.
    """
    check_settings(settings)
    output = Path(settings.output)
    if output.exists() and not output.is_dir():
        raise TFRecordsError(f"the output {output} is a file; expected a folder, or nothing yet")
    source = read_source(
        settings.metadata,
        settings.audio,
        format=settings.format,
        labels=settings.labels,
        folds=settings.folds,
        exclude=settings.exclude,
    )
    plan = make_plan(settings, source)
    output.mkdir(parents=True, exist_ok=True)
    check_output(plan)
    # Without the lock: it may be a folder that must not be written.
    if (output / FILE_NAME).exists() and not (output / STATE_NAME).exists():
        index, results = results_of(plan)
        if not shards_to_redo(plan, results, retry_rejected):
            return _report_of(plan, index, results)
    with _locked(output):
        # Another packer may have finished between the check and the lock.
        if (output / FILE_NAME).exists():
            check_output(plan)
            index, results = results_of(plan)
            redo = shards_to_redo(plan, results, retry_rejected)
            if not redo:
                shutil.rmtree(output / STATE_NAME, ignore_errors=True)
                return _report_of(plan, index, results)
            write_atomic(output / STATE_NAME / _PLAN_NAME, json.dumps(plan.described).encode())
            reopen(plan, results, redo, keep_result)
            for number in redo:
                Path(plan.shard_path(number)).unlink(missing_ok=True)
        report = _pack(plan, progress, runner or _run_here)
        shutil.rmtree(output / STATE_NAME)
        return report


def check_output(plan: Plan) -> None:
    """Raise TFRecordsError for an output folder that holds anything but this plan's records."""
    output = Path(plan.settings.output)
    if (output / FILE_NAME).exists():
        if load_info(output).plan != plan.digest:
            raise TFRecordsError(
                f"the output {output} already holds other records; choose another folder or remove "
                "them"
            )
        return
    begun = output / STATE_NAME / _PLAN_NAME
    if begun.exists():
        before = _read_json(begun)
        if before != plan.described:
            differing = [
                name for name in plan.described if before.get(name) != plan.described[name]
            ]
            changes = "; ".join(
                f"{name} was {before.get(name)!r}, now {plan.described[name]!r}"
                for name in differing
                if name not in ("clips", "classes")
            )
            raise TFRecordsError(
                f"the output {output} holds an unfinished packing of something else "
                f"({changes or f'other {differing[0]}' if differing else 'another plan'}); go on "
                "with the same command, remove the folder or choose another"
            )
        return
    held = next(output.glob("*.tfrecord"), None)
    if held:
        raise TFRecordsError(
            f"the output {output} already holds records ({held.name}); choose another folder or "
            "remove them"
        )


def _pack(plan: Plan, progress: bool, runner: Runner) -> PackReport:
    output = Path(plan.settings.output)
    state = output / STATE_NAME
    _clear(output)
    if not (state / _PLAN_NAME).exists():
        write_atomic(state / _PLAN_NAME, json.dumps(plan.described).encode())
    results = _finished(plan)
    pending = [number for number in range(plan.num_shards) if number not in results]
    ready = sum(len(plan.clips_of(number)) for number in results)
    with (
        _cleared_after(output),
        tqdm(total=len(plan.clips), initial=ready, unit="clip", disable=not progress) as bar,
        closing(runner(plan, pending, bar.update)) as packed,
    ):
        for number, result in packed:
            keep_result(plan.shard_path(number), result)
            results[number] = result
    return _finish(plan, [results[number] for number in range(plan.num_shards)])


def _clear(output: Path) -> None:
    """Remove what processes that were killed had begun to write."""
    for leftover in (*output.glob(".*.tmp"), *(output / STATE_NAME).glob(".*.tmp")):
        leftover.unlink(missing_ok=True)


@contextmanager
def _cleared_after(output: Path) -> Iterator[None]:
    try:
        yield
    finally:
        _clear(output)


def _run_here(
    plan: Plan, pending: Sequence[int], done: Callable[[int], None]
) -> Iterator[tuple[int, ShardResult]]:
    settings = plan.settings
    tasks = [plan.task(number) for number in pending]
    number_of = {plan.shard_name(number): number for number in pending}
    packed = pack_shards(tasks, workers=settings.workers, timeout=settings.clip_timeout, done=done)
    with closing(packed):
        for result in packed:
            yield number_of[result.shard.name], result


def keep_result(shard_path: str, result: ShardResult) -> None:
    """Write down that a shard is finished, and what the index needs of it."""
    write_atomic(_result_file(shard_path), result.to_json().encode())


def load_result(shard_path: str) -> ShardResult | None:
    """The result of a shard that was finished before; None if it was not, or has changed since."""
    try:
        result = ShardResult.from_json(_result_file(shard_path).read_bytes())
        return result if Path(shard_path).stat().st_size == result.shard.bytes else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _result_file(shard_path: str) -> Path:
    path = Path(shard_path)
    return path.parent / STATE_NAME / f"{path.name}.json"


def _finished(plan: Plan) -> dict[int, ShardResult]:
    """The results of shards that an earlier packer finished."""
    found = {number: load_result(plan.shard_path(number)) for number in range(plan.num_shards)}
    return {number: result for number, result in found.items() if result is not None}


def _finish(plan: Plan, results: Sequence[ShardResult]) -> PackReport:
    """Write the lists, the index and, last, `dataset.json`: now it is a packed directory."""
    settings, output = plan.settings, Path(plan.settings.output)
    packed: list[Clip] = []
    places: list[tuple[int, int, int, int]] = []
    rejected: list[tuple[Clip, str]] = []
    for number, result in enumerate(results):
        clips = plan.clips_of(number)
        for place, *record in result.records:
            packed.append(clips[place])
            places.append((number, *record))
        rejected += [(clips[place], reason) for place, reason in result.rejected]
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
    classes = plan.source.classes
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
    index = save_index_file(Index.from_clips(info, output, packed, places))
    report = PackReport(
        info=index.info,
        output=output,
        class_counts=index.class_counts,
        rejected_clips=tuple(rejected),
        listed=plan.clips,
        excluded=plan.source.excluded,
    )
    write_missing(output / MISSING_NAME, report)
    index.info.save(output)
    return report


def _report_of(plan: Plan, index: Index, results: Sequence[ShardResult]) -> PackReport:
    """The report of a directory that was finished before."""
    rejected = tuple(
        (plan.clips_of(number)[place], reason)
        for number, result in enumerate(results)
        for place, reason in result.rejected
    )
    return PackReport(
        info=index.info,
        output=Path(plan.settings.output),
        class_counts=index.class_counts,
        rejected_clips=rejected,
        listed=plan.clips,
        excluded=plan.source.excluded,
        new=False,
    )


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Hold the directory's lock, which the system releases however this process ends."""
    path = output / STATE_NAME / _LOCK_NAME
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TFRecordsError(
                f"another packer is at work in {output}; wait for it, or choose another folder"
            ) from None
        yield


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return {}
