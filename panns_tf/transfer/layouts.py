"""The one reader of the published data sets, from their rows."""

import collections
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from panns_tf.transfer import clips
from panns_tf.transfer.dataset import Dataset, LabelledClip
from panns_tf.transfer.tasks import Listing, Task
from tfrecords.text import plain, some


def read_task(folder: Path, task: Task) -> Dataset:
    """Reads a published data set in or below a folder, with its splits without validation clips."""
    folder, listed, notes = Path(folder), [], []
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; expected that of {task.title}: {task.shape}")
    for listing in task.listings:
        listed += _listed(folder, task, listing)
    if task.files is not None:
        finder, title = clips.AudioFinder(folder), task.title
        for name, label, fold in task.files():
            path = finder.find(name, [label], title)
            listed.append(LabelledClip(name, path, (label,), fold, place=title))
        if others := set(finder.paths) - {clip.path for clip in listed}:
            names = some(sorted(path.name for path in others))
            notes = [f"left out: {len(others)} files that are none of {title}'s: {names}"]
    if all(clip.path is None for clip in listed):
        raise _other_layout(folder, task, "such file")
    if task.group is not None:
        listed = clips.match_names(listed, task.group, task.title, "group")
    dataset = clips.make_dataset(
        task.name, listed, classes=task.classes, folds=tuple(task.published), notes=notes
    )
    return dataset.with_notes(*_differences(dataset, task, listed))


def _listed(folder: Path, task: Task, listing: Listing) -> list[LabelledClip]:
    """The clips of a table, labels spelt as the classes are."""
    tables = {path.name.lower(): path for path in reversed(clips.files_below(folder, (".csv",)))}
    name = next((name for name in listing.names if name in tables), None)
    if name is None:
        raise _other_layout(folder, task, listing.names[0])
    table = clips.ClipTable(tables[name], {**clips.COLUMNS, "group": ()})
    if listing.only is not None:
        column, values = listing.only
        table.rows = [row for row in table.rows if row[1].get(column, values[0]) in values]
    listed, _, _ = table.clips(clips.AudioFinder(folder, listing.inside))
    spelt = {plain(label): label for label in task.classes}
    labels = [tuple(spelt.get(plain(label), label) for label in clip.labels) for clip in listed]
    return [
        dataclasses.replace(clip, labels=names, fold=listing.fold or clip.fold)
        for clip, names in zip(listed, labels, strict=True)
    ]


def _other_layout(folder: Path, task: Task, missing: str) -> ValueError:
    return ValueError(
        f"{folder} does not look like {task.title}; expected {task.shape}, but there is no "
        f"{missing}; leave --task out for your own data"
    )


def _differences(dataset: Dataset, task: Task, listed: list[LabelledClip]) -> Iterator[str]:
    """Notes on what differs from the published set."""
    counts = collections.Counter(clip.fold for clip in dataset.clips)
    differing = [
        f"{counts[fold]} of {published} in fold {fold}"
        for fold, published in task.published.items()
        if counts[fold] != published
    ]
    if differing:
        yield (
            f"{len(dataset.clips)} of the {sum(task.published.values())} published clips of "
            f"{task.title}: {', '.join(differing)}"
        )
    doubtful = sorted(clip.clip_id for clip in listed if clips.stem(clip.clip_id) in task.doubtful)
    if doubtful:
        yield f"known to be corrupt or missing in most copies: {some(doubtful)}"
