"""From the files that a data set lists to its collection."""

import collections
import dataclasses
import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from panns_tf.transfer.clips import Collection, LabelledClip, Split
from panns_tf.transfer.finding import stem
from panns_tf.transfer.tasks import Task, plain

#: Names that a note lists.
_MOST_NAMES = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Listed:
    """A clip that a data set has by its lists or rules.

    Attributes:
        name: of the file.
        path: of the file, or None where it is missing.
        label: of its class.
        part: its fold, or ``train`` or ``test``.
        place: where it is listed, for error messages.
        group: see `LabelledClip`.
    """

    name: str
    path: Path | None
    label: str
    part: str
    place: str
    group: str | None = None


def collect(
    task: Task, folder: Path, listed: Iterable[Listed], notes: Sequence[str] = ()
) -> Collection:
    """Makes the collection of a task.

    Args:
        task: its row.
        folder: of the data set, from which clips are named.
        listed: clips in any order.
        notes: what the reader found worth saying.

    Raises:
        ValueError: for an unknown label or fold, a file listed as two things, or an empty fold.
    """
    numbers = {plain(name): number for number, name in enumerate(task.classes)}
    listed = _once(task, listed)
    clips = []
    for row in listed:
        label = numbers.get(plain(row.label))
        if label is None:
            near = difflib.get_close_matches(row.label, task.classes, n=1, cutoff=0)[0]
            raise ValueError(
                f"{row.place}: {row.name} has the label {row.label!r}, none of the "
                f"{len(task.classes)} classes of {task.title}; the nearest is {near!r}"
            )
        if row.part not in task.published:
            raise ValueError(
                f"{row.place}: {row.name} is in fold {row.part!r}; {task.title} has "
                f"{', '.join(task.published)}"
            )
        if row.path is not None:
            name = relative(row.path, folder)
            clips.append(LabelledClip(name, row.path, (label,), row.part, row.group))
    clips.sort(key=lambda clip: clip.clip_id)
    counts = collections.Counter(clip.fold for clip in clips)
    for part, published in task.published.items():
        if not counts[part]:
            what = f"fold {part}" if task.folds else f"the {part} set"
            raise ValueError(
                f"{task.title} in {folder} has no clip left in {what} (published: {published}); "
                "complete the audio files"
            )
    return Collection(
        task.name,
        task.classes,
        tuple(clips),
        _splits(task, clips),
        notes=(*notes, *_notes(task, listed, clips, counts)),
    )


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes."""
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _once(task: Task, listed: Iterable[Listed]) -> list[Listed]:
    seen: dict[str, Listed] = {}
    for row in listed:
        key = row.name if row.path is None else str(row.path)
        other = seen.setdefault(key, row)
        if (plain(other.label), other.part) != (plain(row.label), row.part):
            raise ValueError(
                f"{row.place}: {row.name} is {row.label!r} in {row.part}, but {other.label!r} in "
                f"{other.part} at {other.place}; {task.title} lists each clip once"
            )
    return list(seen.values())


def _splits(task: Task, clips: Sequence[LabelledClip]) -> tuple[Split, ...]:
    parts = {
        part: tuple(number for number, clip in enumerate(clips) if clip.fold == part)
        for part in task.published
    }
    if not task.folds:
        return (Split("test", parts["train"], parts["test"]),)
    everything = range(len(clips))
    return tuple(
        Split(fold, tuple(sorted(set(everything).difference(tested))), tested)
        for fold, tested in parts.items()
    )


def _notes(
    task: Task,
    listed: Sequence[Listed],
    clips: Sequence[LabelledClip],
    counts: collections.Counter,
) -> list[str]:
    notes = []
    if any(counts[part] != published for part, published in task.published.items()):
        total = sum(task.published.values())
        parts = ", ".join(
            f"{counts[part]} of {published} in {part if not task.folds else f'fold {part}'}"
            for part, published in task.published.items()
            if counts[part] != published
        )
        used = len({label for clip in clips for label in clip.labels})
        notes.append(
            f"{len(clips)} of the {total} published clips and {used} of {len(task.classes)} "
            f"classes of {task.title}: {parts}"
        )
    doubtful = set(task.doubtful)
    missing = sorted(row.name for row in listed if row.path is None)
    known = [name for name in missing if stem(name) in doubtful]
    if missing:
        hint = f"; known to be missing in many copies: {some(known)}" if known else ""
        files = "file is" if len(missing) == 1 else "files are"
        notes.append(f"{len(missing)} {files} missing: {some(missing)}{hint}")
    corrupt = [clip.path.name for clip in clips if stem(clip.path.name) in doubtful]
    if corrupt:
        notes.append(f"known to be corrupt in most copies: {some(corrupt)}")
    present = {label for clip in clips for label in clip.labels}
    empty = [name for number, name in enumerate(task.classes) if number not in present]
    if empty:
        classes = "class has" if len(empty) == 1 else "classes have"
        notes.append(f"{len(empty)} {classes} no clip: {some(empty)}")
    return notes
