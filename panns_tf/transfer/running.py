"""A transfer run: a training for every split, number of clips and seed."""

import dataclasses
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from panns_tf.commands import write_whole
from panns_tf.models import Network, find
from panns_tf.plots.chart import as_csv
from panns_tf.transfer.base import fingerprint
from panns_tf.transfer.clips import Collection, Split
from panns_tf.transfer.duplicates import same_sounds
from panns_tf.transfer.parts import PartBook
from panns_tf.transfer.plan import Plan, part_folder, part_name
from panns_tf.transfer.report_text import duration
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.saving import FINAL, save_network
from panns_tf.transfer.scoring import METRICS
from panns_tf.transfer.splits import (
    check_splits,
    make_splits,
    short_classes,
    subset,
    with_validation,
)
from panns_tf.transfer.store import SoundStore
from panns_tf.transfer.training import Trainings

#: Part of the training clips that chooses the penalty of a linear probe.
PROBE_VALIDATION = 0.25
#: The table of clips that cannot be read.
REJECTED = "rejected.csv"
#: Names of files in a note.
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Run:
    """What a transfer run came to.

    Attributes:
        collection: the data set, its splits made, without the clips that cannot be read.
        results: of all trainings.
        seconds: that it took.
    """

    collection: Collection
    results: tuple[FoldResult, ...]
    seconds: float


def run(
    plan: Plan,
    output: Path,
    base: Network | None,
    cache: Path,
    *,
    workers: int = 2,
    force: bool = False,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Trains and tests what a plan asks for; trainings that were finished before are not repeated.

    Args:
        plan: what to do.
        output: folder of the results and the networks.
        base: the pretrained network, or None.
        cache: folder of kept embeddings.
        workers: threads that decode.
        force: whether results of other settings in ``output`` are given up.
        quiet: whether to show no progress.
        say: takes lines for the person watching.

    Raises:
        ValueError: if the data set cannot be split as asked, or no clip of it can be read.
    """
    began = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    row = find(plan.arch).override(**plan.overrides)
    paths = [clip.path for clip in plan.collection.clips]
    store = SoundStore(paths, row.frontend.sample_rate, output, workers, quiet)
    sounds = hashlib.sha256("".join(store.hashes).encode()).hexdigest()
    identity = plan.identity(base, fingerprint(base) if base is not None else None)
    book = PartBook(part_folder(output, plan), {**identity, "sounds": sounds}, force)
    write_rejected(output, plan.collection, store)
    collection = readable(plan.collection, store)
    collection = same_sounds(collection, [store.hashes[n] for n in kept_numbers(store)])
    collection = make_splits(
        collection,
        folds=plan.folds,
        test=plan.test,
        validation=plan.validation if plan.config.patience else 0.0,
        seed=plan.config.seed,
    )
    check_splits(collection)
    chosen = _chosen(collection, plan.only)
    store.keep(kept_numbers(store))
    for line in _opening(collection, chosen):
        say(line)
    trainings = Trainings(plan, collection, store, base, cache, METRICS[plan.metric], quiet)
    results = []
    for count in plan.clips_per_class:
        for seed in plan.seeds:
            for split in chosen:
                trial = _trial(plan, collection, split, count, seed)
                result, is_new = _result(plan, output, collection, trainings, book, trial)
                results.append(result)
                if len(chosen) * len(plan.seeds) * len(plan.clips_per_class) > 1:
                    figure = METRICS[plan.metric](result.target, result.score)
                    how = duration(result.seconds) if is_new else "from before"
                    say(f"  {trial.what}: {plan.metric} {figure:.3f} ({how})")
                elif not is_new:
                    say("  from before: nothing was left to train")
    return Run(collection, tuple(results), time.monotonic() - began)


def _opening(collection: Collection, chosen: list[Split]) -> list[str]:
    """What is known before the first training."""
    line = f"{len(collection.clips)} clips in {len(collection.classes)} classes"
    if len(chosen) > 1:
        line += f"; folds {', '.join(split.name for split in chosen)}"
    else:
        (split,) = chosen
        parts = {"training": split.train, "validation": split.validation, "test": split.test}
        line += ": " + ", ".join(
            f"{len(numbers)} {name}" for name, numbers in parts.items() if numbers
        )
    return [line, *(f"note: {note}" for note in collection.notes)]


def readable(collection: Collection, store: SoundStore) -> Collection:
    """Returns a data set without the clips that cannot be read, which a note names.

    Raises:
        ValueError: if none is left.
    """
    if not store.errors:
        return _with_notes(collection, store.notes)
    if len(store.errors) == len(collection.clips):
        raise ValueError(f"no clip of {collection.name} can be read; the first: {store.errors[0]}")
    place = {number: new for new, number in enumerate(kept_numbers(store))}

    def left(numbers: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(place[number] for number in numbers if number in place)

    splits = tuple(
        Split(s.name, left(s.train), left(s.test), left(s.validation)) for s in collection.splits
    )
    clips = tuple(collection.clips[number] for number in place)
    first = "; ".join(list(store.errors.values())[:_NAMED])
    more = len(store.errors) - _NAMED
    note = f"{len(store.errors)} clips cannot be read and were left out ({REJECTED}): {first}"
    notes = [note + (f" and {more} more" if more > 0 else ""), *store.notes]
    return _with_notes(dataclasses.replace(collection, clips=clips, splits=splits), notes)


def write_rejected(output: Path, collection: Collection, store: SoundStore) -> None:
    """Lists the clips that cannot be read, with the reasons; no file where all can."""
    path = output / REJECTED
    path.unlink(missing_ok=True)
    if store.errors:
        rows = [
            {"filename": collection.clips[number].clip_id, "reason": reason}
            for number, reason in store.errors.items()
        ]
        write_whole(path, as_csv(rows).encode())


def kept_numbers(store: SoundStore) -> list[int]:
    """Returns the numbers of the recordings that were read."""
    return [number for number in range(len(store.lengths)) if number not in store.errors]


def _with_notes(collection: Collection, notes) -> Collection:
    notes = list(notes)
    if len(notes) > _NAMED:
        notes = [*notes[:_NAMED], f"and {len(notes) - _NAMED} more such notes"]
    return dataclasses.replace(collection, notes=(*collection.notes, *notes))


def _chosen(collection: Collection, only: tuple[str, ...]) -> list[Split]:
    names = [split.name for split in collection.splits]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise ValueError(
            f"--only-folds {', '.join(unknown)}: {collection.name} has {', '.join(names)}"
        )
    return [split for split in collection.splits if not only or split.name in only]


@dataclasses.dataclass(frozen=True)
class _Trial:
    """One training to come.

    Attributes:
        split: its clips, those that few-shot learning leaves out left out.
        clips_per_class, seed: as of `FoldResult`.
        what: to call it.
        notes: what a user should know of it.
    """

    split: Split
    clips_per_class: int | None
    seed: int
    what: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its files."""
        return part_name(self.clips_per_class, self.seed, self.split.name)


def _trial(
    plan: Plan, collection: Collection, split: Split, count: int | None, seed: int
) -> _Trial:
    notes: tuple[str, ...] = ()
    what = f"fold {split.name}" if len(collection.splits) > 1 else "training"
    what = f"seed {seed}, {what}" if len(plan.seeds) > 1 else what
    if count is not None:
        what = f"{count} of a class, {what}"
        # There is nothing to stop by where clips are few: all of them may be drawn.
        train = tuple(sorted((*split.train, *split.validation)))
        split = dataclasses.replace(split, train=train, validation=())
        short = short_classes(split, collection, count)
        notes = (short,) if short else ()
        split = subset(split, collection, count, seed)
    elif plan.config.patience:
        split = with_validation(split, collection, plan.validation, seed)
    if plan.config.strategy == "linear_probe":
        split = with_validation(split, collection, PROBE_VALIDATION, seed)
    return _Trial(split, count, seed, what, notes)


def _result(
    plan: Plan,
    output: Path,
    collection: Collection,
    trainings: Trainings,
    book: PartBook,
    trial: _Trial,
) -> tuple[FoldResult, bool]:
    """What a training comes to, and whether it was trained now."""
    split = trial.split
    tested = [collection.clips[number] for number in split.test]
    folder = output if len(collection.splits) == 1 else output / f"fold-{split.name}"
    is_whole = trial.clips_per_class is None and trial.seed == plan.seeds[0]
    saves = plan.save_models and is_whole
    known = book.get(trial.name, tuple(clip.clip_id for clip in tested))
    if known is not None and (not saves or (folder / FINAL).is_file()):
        return known, False
    trained = trainings.train(split, trial.seed, trial.what)
    result = FoldResult(
        fold=split.name,
        seed=trial.seed,
        clips_per_class=trial.clips_per_class,
        clip_ids=tuple(clip.clip_id for clip in tested),
        groups=tuple(clip.group for clip in tested),
        target=collection.target()[list(split.test)],
        score=trained.score,
        training_clips=len(split.train) + len(split.validation),
        steps=trained.fitted.steps,
        seconds=trained.fitted.seconds,
        notes=trial.notes + trained.fitted.notes(result_is_constant(trained.score)),
    )
    if saves:
        save_network(trained, plan, collection, split, folder)
    book.keep(trial.name, result)
    return result, True


def result_is_constant(score) -> bool:
    """Whether a network says the same of every clip."""
    return len(score) > 1 and bool(np.ptp(score, axis=0).max() < 1e-6)
