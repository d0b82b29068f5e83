"""Readers of the paper's six data sets and ESC-10, one for each published layout."""

import collections
import dataclasses
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from panns_tf.transfer.dataset import (
    AudioFinder,
    Dataset,
    Entry,
    LabelledClip,
    Table,
    audio_files,
    check_label,
    fold_splits,
    folders_below,
    missing_files,
    read_table,
    relative,
    stem,
    without_repeats,
)
from panns_tf.transfer.tasks import Task
from tfrecords.text import plain, some

#: Folders are searched so deep for what tells a layout.
_DEPTH = 3
Folders = Sequence[tuple[Path, list[str]]]


def read_task(folder: Path, task: Task) -> Dataset:
    """Reads a published data set, with its splits and without validation clips.

    Args:
        folder: of the data set, or one around it.
        task: its row.

    Raises:
        ValueError: if the folder has another layout, a label is unknown, or a fold is empty.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise ValueError(f"{folder} {what}; expected the folder of {task.title}: {task.shape}")
    found = READERS[task.layout](folder, task, folders_below(folder, _DEPTH))
    if found is None:
        raise ValueError(
            f"{folder} does not look like {task.title}; expected {task.shape}, or leave --task out "
            "for your own data"
        )
    return _dataset(task, *found)


def _esc(folder: Path, task: Task, folders: Folders):
    """ESC-50 or of it the clips of ESC-10; all takes of a source recording are a group."""
    path = _first(folders, "esc50.csv", "esc10.csv")
    if path is None:
        return None
    root = path.parent.parent if path.parent.name == "meta" else path.parent
    table = read_table(path)
    name, fold, label = (table.column(key) for key in ("filename", "fold", "category"))
    source, part = table.find("src_file"), table.find("esc10")
    audio = AudioFinder(root / "audio" if (root / "audio").is_dir() else root)
    listed = []
    for number, row in enumerate(table.rows):
        if task.name != "esc10" or not part or row[part].casefold() in ("true", "1"):
            group = row[source] if source else "".join(row[name].split("-")[1:2]) or None
            path, place = audio.find(row[name]), table.places[number]
            listed.append(Entry(row[name], path, (row[label],), place, row[fold], group))
    return root, listed


def _gtzan(folder: Path, task: Task, folders: Folders):
    """GTZAN in ten folds by the number in the file name: a missing file moves no other one."""
    pattern = re.compile(rf"({'|'.join(task.classes)})\.(\d{{5}})")

    def is_clip(name: str, genre: str) -> bool:
        match = pattern.fullmatch(stem(name))
        return match is not None and match[1] == genre and int(match[2]) < clips

    clips = 100  # of a genre
    root = next(
        (path.parent for path, names in folders
         if path.name in task.classes and any(is_clip(name, path.name) for name in names)),
        None,
    )  # fmt: skip
    if root is None:
        return None
    listed, others = [], []
    for genre in task.classes:
        audio = AudioFinder(root / genre)
        for number in range(clips):
            name = f"{genre}.{number:05d}.wav"
            path = audio.find(name)
            fold = str(number // (clips // len(task.folds)) + 1)
            name = path.name if path else name
            listed.append(Entry(name, path, (genre,), str(root / genre), fold))
        names = {path.name for path in audio.paths}
        others += sorted(name for name in names if not is_clip(name, genre))
    notes = [f"left out, as not <genre>.00000 to .00099: {some(others)}"] if others else []
    return root, listed, notes


def _ravdess(folder: Path, task: Task, folders: Folders):
    """The speech of RAVDESS in four folds of six actors, three of each sex (odd ones are male).

    Actors 1 to 6 are fold 1 and so on. Which actors the paper put together is not published.
    """
    pattern = re.compile(r"03-01(-\d\d){5}")  # audio alone, speech
    found: dict[str, Path] = {}
    others = []
    for path in audio_files(folder):  # the upper folders first
        name = stem(path.name)
        if not pattern.fullmatch(name) or name in found:
            others.append(path.name)
        else:
            found[name] = path
    if not found:
        return None
    listed = []
    emotions = range(1, len(task.classes) + 1)
    for actor, emotion, *take in itertools.product(range(1, 25), emotions, *[(1, 2)] * 3):
        if emotion == 1 and take[0] == 2:
            continue  # neutral has no strong intensity
        name = "-".join(f"{number:02d}" for number in (3, 1, emotion, *take, actor))
        path = found.pop(name, None)
        file = path.name if path else f"{name}.wav"
        fold, group = str((actor - 1) // (24 // len(task.folds)) + 1), f"{actor:02d}"
        label = task.classes[emotion - 1]
        listed.append(Entry(file, path, (label,), f"Actor_{group}", fold, group))
    others += sorted(path.name for path in found.values())
    notes = []
    if others:
        notes.append(
            f"left out: {len(others)} files that are not speech, repeat others, or are not named "
            f"like RAVDESS's 1440 files: {some(others)}"
        )
    parents = {clip.path.parent for clip in listed if clip.path}
    root = Path(os.path.commonpath(parents)) if len(parents) > 1 else folder
    return root, listed, notes


def _dcase2019(folder: Path, task: Task, folders: Folders):
    """The official split of TAU Urban Acoustic Scenes 2019; a place in a city is a group."""
    path = _first(folders, "fold1_train.csv", "fold1_evaluate.csv")
    if path is None:
        return None
    root = path.parent.parent
    meta = _table_of(root, "meta.csv")
    name, label, place = (meta.column(key) for key in ("filename", "scene_label", "identifier"))
    known = {row[name]: (row[label], row[place]) for row in meta.rows}
    # The parts of the archive may have been unpacked beside each other.
    beside = [path for path, _ in folders if path.name == "audio"] or [root]
    audio = AudioFinder(*([root / "audio"] if (root / "audio").is_dir() else beside))
    listed = []
    for part, file in (("train", "fold1_train.csv"), ("test", "fold1_evaluate.csv")):
        table = _table_of(root, f"evaluation_setup/{file}")
        file_name, scene = table.column("filename"), table.column("scene_label")
        for number, row in enumerate(table.rows):
            clip, line = row[file_name], table.places[number]
            expected, group = known.get(clip, ("", ""))
            if plain(row[scene]) != plain(expected):
                raise ValueError(
                    f"{line}: {clip} is {row[scene]!r}, but {expected!r} in {meta.path}; take both "
                    "from one archive"
                )
            listed.append(Entry(clip, audio.find(clip), (expected,), line, part, group))
    return root, listed


def _table_of(root: Path, name: str) -> Table:
    if not (root / name).is_file():
        raise ValueError(
            f"{root} has no {name}; it is in the archive of TAU Urban Acoustic Scenes 2019's "
            "metadata"
        )
    return read_table(root / name)


def _fsdkaggle(folder: Path, task: Task, folders: Folders):
    """FSDKaggle2018, as Kaggle and as Zenodo have it: of the test clips those that were scored."""
    trained = [path for path, _ in folders if path.name.lower().endswith("audio_train")]
    if not trained:
        return None
    tables = {
        "train": ("train_post_competition.csv", "train.csv"),
        "test": ("test_post_competition_scoring_clips.csv", "test_post_competition.csv"),
    }
    listed, notes = [], []
    for part, names in tables.items():
        path = _first(folders, *names)
        if path is None:
            raise ValueError(
                f"{trained[0].parent} has no labels of the {part} set: put {names[0]} of "
                "FSDKaggle2018.meta (Zenodo, record 2552860) into it"
            )
        table = read_table(path)
        file, label = table.column("fname"), table.column("label")
        usage = table.find("usage") if part == "test" else None
        audio = [path for path, _ in folders if path.name.lower().endswith(f"audio_{part}")]
        finder, unscored = AudioFinder(*audio), 0
        for number, row in enumerate(table.rows):
            if usage and row[usage].casefold() not in ("public", "private"):
                unscored += 1
                continue
            found = finder.find(row[file])
            listed.append(Entry(row[file], found, (row[label],), table.places[number], part))
        if unscored:
            notes.append(f"left out: {unscored} clips of {path.name} that were not scored")
    return trained[0].parent, listed, notes


def _msos(folder: Path, task: Task, folders: Folders):
    """The development set for training, the evaluation set for testing, in one folder or two."""
    if not any(name.lower().startswith("logsheet_") for _, names in folders for name in names):
        return None
    sheets = {
        "train": ("development", ("logsheet_development.csv",)),
        "test": ("evaluation", ("logsheet_evaluationmaster.csv", "logsheet_evaluation.csv")),
    }
    listed, roots = [], set()
    for part, (audio, names) in sheets.items():
        path = _first(folders, *names)
        if path is None:
            raise ValueError(f"{folder} has no {names[0]} (in any case), the labels of {audio}")
        table = read_table(path)
        file, label = table.column("File"), table.column("Category")
        places = [path for path, _ in folders if path.name.lower() == audio]
        roots |= {path.parent for path in places}
        everywhere = AudioFinder(*places)
        of_class = {key: AudioFinder(*(path / key for path in places)) for key in task.classes}
        for number, row in enumerate(table.rows):
            # Two categories may have files of one name.
            finder = of_class.get(row[label], everywhere)
            found = finder.find(row[file]) or everywhere.find(row[file])
            listed.append(Entry(row[file], found, (row[label],), table.places[number], part))
    return roots.pop() if len(roots) == 1 else folder, listed


READERS = {
    "esc": _esc,
    "gtzan": _gtzan,
    "ravdess": _ravdess,
    "dcase2019": _dcase2019,
    "fsdkaggle": _fsdkaggle,
    "msos": _msos,
}


def _first(folders: Folders, *names: str) -> Path | None:
    """The first of some files, named in any case; earlier names come first."""
    return next(
        (
            path / file
            for name in names
            for path, files in folders
            for file in files
            if file.lower() == name
        ),
        None,
    )


def _dataset(
    task: Task, root: Path, entries: Sequence[Entry], notes: Sequence[str] = ()
) -> Dataset:
    spelt = {plain(name): name for name in task.classes}
    entries = [
        dataclasses.replace(entry, labels=(spelt.get(plain(entry.labels[0]), entry.labels[0]),))
        for entry in entries
    ]
    entries = without_repeats(entries)
    clips = []
    for entry in entries:
        check_label(entry, entry.labels[0], task.classes, task.title)
        if entry.fold not in task.published:
            raise ValueError(
                f"{entry.place}: {entry.name} is in fold {entry.fold!r}; {task.title} has "
                f"{', '.join(task.published)}"
            )
        if entry.path is not None:
            label = task.classes.index(entry.labels[0])
            name = relative(entry.path, root)
            clips.append(LabelledClip(name, entry.path, (label,), entry.fold, entry.group))
    clips.sort(key=lambda clip: clip.clip_id)
    counts = collections.Counter(clip.fold for clip in clips)
    for part, published in task.published.items():
        if not counts[part]:
            what = f"fold {part}" if task.folds else f"the {part} set"
            raise ValueError(
                f"{task.title} in {root} has no clip left in {what} (published: {published}); "
                "complete the audio files"
            )
    splits = fold_splits([clip.fold for clip in clips], task.folds or ("test",))
    notes = (*notes, *_notes(task, entries, clips, counts))
    return Dataset(task.name, task.classes, tuple(clips), splits, notes=notes)


def _notes(task: Task, entries: Sequence[Entry], clips: Sequence[LabelledClip], counts) -> list:
    """What differs from the published set."""
    notes = []
    present = {label for clip in clips for label in clip.labels}
    differing = [
        f"{counts[part]} of {published} in {f'fold {part}' if task.folds else part}"
        for part, published in task.published.items()
        if counts[part] != published
    ]
    if differing:
        notes.append(
            f"{len(clips)} of the {sum(task.published.values())} published clips and "
            f"{len(present)} of {len(task.classes)} classes of {task.title}: {', '.join(differing)}"
        )
    missing = missing_files(entries)
    if missing:
        known = [e.name for e in entries if e.path is None and stem(e.name) in task.doubtful]
        hint = f"; known to be missing in many copies: {some(sorted(known))}" if known else ""
        notes.append(missing + hint)
    corrupt = [clip.path.name for clip in clips if stem(clip.path.name) in task.doubtful]
    if corrupt:
        notes.append(f"known to be corrupt in most copies: {some(corrupt)}")
    empty = [name for number, name in enumerate(task.classes) if number not in present]
    if empty:
        classes = "class has" if len(empty) == 1 else "classes have"
        notes.append(f"{len(empty)} {classes} no clip: {some(empty)}")
    return notes
