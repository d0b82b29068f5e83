"""User data: a folder for each class, a table of files and labels, or labels in file names."""

import contextlib
import os
import re
from pathlib import Path

from panns_tf.transfer import clips
from panns_tf.transfer.dataset import Dataset, LabelledClip
from panns_tf.transfer.settings import Options
from panns_tf.transfer.splits import PARTS
from tfrecords.classes import read_class_list
from tfrecords.text import some

_FOLD = re.compile(r"fold[-_ ]?\d+", re.IGNORECASE)


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
