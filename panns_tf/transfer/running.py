"""A transfer run: a training for every split, number of clips and seed."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from panns_tf.models import Network, find
from panns_tf.transfer.base import fingerprint
from panns_tf.transfer.clips import Collection, Split
from panns_tf.transfer.duplicates import same_sounds
from panns_tf.transfer.parts import PartBook
from panns_tf.transfer.plan import Plan, part_folder, part_name
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.saving import save_network
from panns_tf.transfer.scoring import METRICS
from panns_tf.transfer.splits import (
    check_splits,
    make_splits,
    short_classes,
    subset,
    with_validation,
)
from panns_tf.transfer.store import SoundStore
from panns_tf.transfer.training import Trained, Trainings

#: Part of the training clips that chooses the penalty of a linear probe.
PROBE_VALIDATION = 0.25
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
    row = find(plan.arch).override(**plan.overrides)
    book = PartBook(
        part_folder(output, plan),
        plan.identity(base, fingerprint(base) if base is not None else None),
        force,
    )
    paths = [clip.path for clip in plan.collection.clips]
    store = SoundStore(paths, row.frontend.sample_rate, output, workers, quiet)
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
    say(
        f"{len(collection.clips)} clips in {len(collection.classes)} classes; "
        f"{len(chosen)} split{'s' * (len(chosen) > 1)}, "
        f"{chosen[0].name if len(chosen) == 1 else ', '.join(s.name for s in chosen)}"
    )
    trainings = Trainings(plan, collection, store, base, cache, METRICS[plan.metric], quiet)
    results = []
    for count in plan.clips_per_class:
        for seed in plan.seeds:
            for split in chosen:
                name = part_name(count, seed, split.name)
                result = _one(plan, output, collection, trainings, book, split, count, seed, name)
                results.append(result)
    return Run(collection, tuple(results), time.monotonic() - began)


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
    note = f"{len(store.errors)} clips cannot be read and were left out: {first}"
    notes = [note + (f" and {more} more" if more > 0 else ""), *store.notes]
    return _with_notes(dataclasses.replace(collection, clips=clips, splits=splits), notes)


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


def _one(
    plan: Plan,
    output: Path,
    collection: Collection,
    trainings: Trainings,
    book: PartBook,
    split: Split,
    count: int | None,
    seed: int,
    name: str,
) -> FoldResult:
    """One training, or what it came to before."""
    notes: tuple[str, ...] = ()
    if count is not None:
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
    tested = [collection.clips[number] for number in split.test]
    folder = output if len(collection.splits) == 1 else output / f"fold-{split.name}"
    wants_model = plan.save_models and count is None and seed == plan.seeds[0]
    known = book.get(name, tuple(clip.clip_id for clip in tested))
    if known is not None and (not wants_model or (folder / "final.keras").is_file()):
        return known
    what = f"fold {split.name}" if len(collection.splits) > 1 else "train"
    trained = trainings.train(split, seed, what)
    result = _result(collection, split, count, seed, trained, notes)
    if wants_model:
        save_network(trained, plan, collection, split, folder)
    book.keep(name, result)
    return result


def _result(collection, split, count, seed, trained: Trained, notes) -> FoldResult:
    tested = [collection.clips[number] for number in split.test]
    return FoldResult(
        fold=split.name,
        seed=seed,
        clips_per_class=count,
        clip_ids=tuple(clip.clip_id for clip in tested),
        groups=tuple(clip.group for clip in tested),
        target=collection.target()[list(split.test)],
        score=trained.score,
        training_clips=len(split.train) + len(split.validation),
        steps=trained.fitted.steps,
        seconds=trained.fitted.seconds,
        notes=notes,
    )
