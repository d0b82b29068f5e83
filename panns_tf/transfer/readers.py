"""The readers of data sets: those of the paper, from their rows, and a user's own."""

import collections
import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

from panns_tf.transfer import clips
from panns_tf.transfer.dataset import PARTS, Dataset, LabelledClip
from panns_tf.transfer.settings import Options
from panns_tf.transfer.tasks import Listing, Task
from tfrecords.classes import read_class_list
from tfrecords.text import plain, some

_FOLD = re.compile(r"fold[-_ ]?\d+", re.IGNORECASE)


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


def read_dataset(options: Options) -> Dataset:
    """Reads labelled clips of a user, with the splits that the data provide, or without any."""
    data, pattern, kind = options.data, options.label_pattern, options.labels_from
    if not data.exists():
        raise ValueError(f"{data} does not exist; expected a folder of sounds or a table of them")
    kind = "name" if kind == "auto" and pattern is not None else kind
    if (kind == "name") != (pattern is not None):
        raise ValueError(
            f"--labels-from {kind}: name needs --label-pattern, such as {clips.PATTERN_EXAMPLE}, "
            "and nothing else takes it"
        )
    if data.is_file() and kind not in ("auto", "csv"):
        raise ValueError(f"{data} is a file; labels from names or folders need a folder")
    table, multi_label = None, False
    if kind in ("auto", "csv"):
        table = clips.ClipTable(data) if data.is_file() else _table_in(data, kind == "csv")
    if table is not None:
        finder = clips.AudioFinder(options.audio or table.path.parent)
        listed, multi_label, note = table.clips(finder)
        notes = [note]
    elif pattern is not None:
        listed = clips.match_names(_files(data), pattern, "--label-pattern", "label")
        examples = (f"{clip.clip_id!r} is {clip.labels[0]!r}" for clip in (listed[0], listed[-1]))
        notes = [f"labels are read from file names by {pattern!r}: {' and '.join(examples)}"]
    else:
        listed, notes = _by_folder(data)
    if options.group_pattern is not None:
        listed = clips.match_names(listed, options.group_pattern, "--group-pattern", "group")
    return clips.make_dataset(
        data.stem if data.is_file() else data.resolve().name,
        listed,
        root=options.audio or (data.parent if data.is_file() else data),
        classes=read_class_list(options.classes).names if options.classes else None,
        multi_label=multi_label,
        drop_rare=options.drop_rare,
        notes=notes,
    )


def _table_in(data: Path, required: bool) -> clips.ClipTable | None:
    """The table of clips directly in a folder, if there is one."""
    found = []
    for path in sorted(data.iterdir()):
        if path.suffix.lower() in (".csv", ".tsv", ".txt") and not path.name.startswith("."):
            with contextlib.suppress(ValueError):
                found.append(clips.ClipTable(path))
    if len(found) > 1 or (required and not found):
        raise ValueError(
            f"{data} holds {len(found) or 'no'} tables of clips; name one, with the columns "
            "filename and label, as --data, or give --labels-from folder"
        )
    return found[0] if found else None


def _files(data: Path) -> list[LabelledClip]:
    """The audio files below a folder, labelled by their folders; those around are splits."""
    paths = clips.files_below(data)
    if not paths:
        raise ValueError(f"{data} holds no audio files; expected WAV or other sounds in or below")
    names = [path.relative_to(data).parts for path in paths]
    # Down to where there is more than one folder, or a sound.
    while len({name[0] for name in names}) == 1 and any(len(name) > 2 for name in names):
        names = [name[1:] for name in names]
    top = {name[0].casefold() for name in names}
    split = len(top) > 1 and (top <= set(PARTS) or all(map(_FOLD.fullmatch, top)))
    folds = [name[0] if split else None for name in names]
    return [
        LabelledClip("/".join(name), path, name[split:-1][:1], fold, place=str(data))
        for path, name, fold in zip(paths, names, folds, strict=True)
    ]


def _by_folder(data: Path) -> tuple[list[LabelledClip], list[str]]:
    """The audio files in folders of classes, and notes."""
    listed = _files(data)
    labelled = [clip for clip in listed if clip.labels]
    if not labelled:
        raise ValueError(
            f"{data} holds no folders of sounds; expected one for each class, a table as --data, "
            f"or labels in the file names by --label-pattern, such as {clips.PATTERN_EXAMPLE}"
        )
    notes = ["labels are the names of the folders"]
    if loose := [clip.clip_id for clip in listed if not clip.labels]:
        notes.append(f"left out: {len(loose)} files in no class's folder: {some(loose)}")
    holding = {folder for clip in listed for folder in clip.path.parents}
    folders = (Path(place) for place, _, _ in os.walk(data))
    silent = sorted(str(path.relative_to(data)) for path in folders if path not in holding)
    if silent := [name for name in silent if not re.search(r"(^|/)(\.|__MACOSX)", name)]:
        notes.append(f"left out: folders without audio: {some(silent)}")
    return labelled, notes
