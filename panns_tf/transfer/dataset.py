"""A labelled data set: clips, classes, splits, and the tables and files they are read from."""

import collections
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfrecords.files import Table as TextTable
from tfrecords.search import AUDIO_EXTENSIONS, walk
from tfrecords.text import did_you_mean, plain, some


@dataclasses.dataclass(frozen=True, slots=True)
class LabelledClip:
    """A recording and what is known of it.

    Attributes:
        clip_id: its name, unique in the data set: the path relative to the data set's folder.
        path: of the file.
        labels: numbers of its classes, ascending; several only in multi-label sets.
        fold: that the data set's authors gave it, or None.
        group: what must not cross a split (source recording, speaker); None for a clip that is
            known to share nothing with others.
    """

    clip_id: str
    path: Path
    labels: tuple[int, ...]
    fold: str | None = None
    group: str | None = None


@dataclasses.dataclass(frozen=True)
class Split:
    """One partition of the clips of a data set; all numbers are ascending.

    Attributes:
        name: the fold that is tested, such as ``"1"``; ``"test"`` where there is one split only.
        train: numbers of the training clips.
        test: numbers of the test clips.
        validation: numbers of the clips for early stopping, neither trained on nor tested.
    """

    name: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    validation: tuple[int, ...] = ()

    def parts(self) -> dict[str, tuple[int, ...]]:
        """The parts by the words for them."""
        return {"training": self.train, "validation": self.validation, "test": self.test}


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A labelled data set.

    Attributes:
        name: of the task, or of the folder.
        classes: labels in the order of the outputs.
        clips: in a fixed order.
        splits: those that the data provide or that were made; empty before.
        multi_label: whether clips may have several labels, or none.
        notes: what a user should know, a line each: missing files, other counts than published.
    """

    name: str
    classes: tuple[str, ...]
    clips: tuple[LabelledClip, ...]
    splits: tuple[Split, ...] = ()
    multi_label: bool = False
    notes: tuple[str, ...] = ()

    def target(self) -> np.ndarray:
        """Labels of all clips, float32 (clips, classes) of 0 and 1."""
        target = np.zeros((len(self.clips), len(self.classes)), np.float32)
        for row, clip in zip(target, self.clips, strict=True):
            row[list(clip.labels)] = 1
        return target

    def with_notes(self, *notes: str) -> "Dataset":
        """The same data set with more notes."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    def keep(self, numbers: Sequence[int]) -> "Dataset":
        """The data set of some of its clips, numbered anew, the splits without the others."""
        position = {number: new for new, number in enumerate(numbers)}

        def kept(part: Sequence[int]) -> tuple[int, ...]:
            return tuple(position[number] for number in part if number in position)

        splits = [Split(s.name, kept(s.train), kept(s.test), kept(s.validation))
                  for s in self.splits]  # fmt: skip
        clips = tuple(self.clips[number] for number in numbers)
        return dataclasses.replace(self, clips=clips, splits=tuple(splits))


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A clip as a data set lists it.

    Attributes:
        name: of the file, as it is listed.
        path: of the file, or None where it is missing.
        labels: names of its classes.
        place: where it is listed, for error messages.
        fold, group: as of `LabelledClip`.
    """

    name: str
    path: Path | None
    labels: tuple[str, ...]
    place: str
    fold: str | None = None
    group: str | None = None


def without_repeats(entries: Sequence[Entry]) -> list[Entry]:
    """Each file once.

    Raises:
        ValueError: if a file is listed twice with different labels, folds or groups.
    """
    seen: dict[object, Entry] = {}
    for entry in entries:
        other = seen.setdefault(entry.path or entry.name, entry)
        for what, one, two in (
            ("labels", ";".join(sorted(entry.labels)), ";".join(sorted(other.labels))),
            ("folds", entry.fold, other.fold),
            ("groups", entry.group, other.group),
        ):
            if one != two:
                hint = "; write several labels in one cell, as a;b" if what == "labels" else ""
                raise ValueError(
                    f"{entry.name} is listed twice with different {what}: {two} ({other.place}) "
                    f"and {one} ({entry.place}){hint}"
                )
    return list(seen.values())


def missing_files(entries: Sequence[Entry]) -> str | None:
    """A note on listed files that are not there, or None."""
    missing = sorted(entry.name for entry in entries if entry.path is None)
    files = "file is" if len(missing) == 1 else "files are"
    return f"{len(missing)} {files} missing: {some(missing)}" if missing else None


def check_label(entry: Entry, label: str, classes: Sequence[str], what: str) -> None:
    """Raises ValueError, which names the nearest class, unless a label is one of the classes."""
    if label not in classes:
        raise ValueError(
            f"{entry.place}: {entry.name} has the label {label!r}, none of the {len(classes)} "
            f"classes of {what}; {did_you_mean(label, classes)}"
        )


def fold_splits(folds: Sequence[str | None], names: Sequence[str]) -> tuple[Split, ...]:
    """A split for each fold, which tests it and trains on all the others.

    Args:
        folds: of each clip.
        names: of the folds, in order.
    """
    return tuple(
        Split(
            name,
            tuple(number for number, fold in enumerate(folds) if fold != name),
            tuple(number for number, fold in enumerate(folds) if fold == name),
        )
        for name in names
    )


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a header, columns found by name in any case.

    Attributes:
        path: of its file.
        columns: names in the header, in order.
        rows: cells by column, stripped.
        places: file and line of each row, for error messages.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]
    places: tuple[str, ...]

    def find(self, *names: str) -> str | None:
        """The first column of one of these names, or None."""
        known = {plain(column): column for column in reversed(self.columns)}
        return next((known[plain(name)] for name in names if plain(name) in known), None)

    def column(self, *names: str) -> str:
        """The first column of one of these names; ValueError if there is none."""
        found = self.find(*names)
        if found is None:
            raise ValueError(
                f"{self.path} has no column {' or '.join(names)}; its columns are "
                f"{', '.join(self.columns)}"
            )
        return found


def read_table(path: Path) -> Table:
    """Reads a table; ValueError if it has no rows, or as `tfrecords.files.Table`."""
    table = TextTable(path)
    places, rows = zip(*table, strict=True) if table.columns else ((), ())
    if not rows:
        raise ValueError(f"{path} holds no rows; expected a header and a row for each clip")
    return Table(path, table.columns, rows, places)


def stem(name: str) -> str:
    """A file's name without folders and without its extension, if that is one of audio."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return base.rpartition(".")[0] if base.lower().endswith(AUDIO_EXTENSIONS) else base


def audio_files(folder: Path) -> list[Path]:
    """The audio files in and below a folder in order of name, those of upper folders first."""
    found = [Path(name) for name in walk(str(folder), AUDIO_EXTENSIONS, set())]
    found = [path for path in found if "__MACOSX" not in path.parts and path.suffix]
    return sorted(found, key=lambda path: len(path.parts))


def folders_below(folder: Path, depth: int) -> list[tuple[Path, list[str]]]:
    """A folder and those below it with the names of their files, the upper ones first."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        level = len(Path(place).relative_to(folder).parts)
        visible = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        folders[:] = sorted(visible) if level < depth else []
        found.append((Path(place), sorted(files)))
    return sorted(found, key=lambda pair: len(pair[0].parts))


class AudioFinder:
    """Finds the audio files in and below folders by name, with or without extension."""

    def __init__(self, *folders: Path):
        self.paths = [path for folder in folders for path in audio_files(folder)]
        self._named: dict[str, list[Path]] = collections.defaultdict(list)
        for path in sorted(self.paths, key=lambda p: AUDIO_EXTENSIONS.index(p.suffix.lower())):
            for key in {path.name, stem(path.name)}:
                self._named[key].append(path)

    def all(self, name: str) -> list[Path]:
        """The files of this name in any folder, else those of another extension.

        Of several those in a folder of the right name come alone, if there are any.
        """
        listed = Path(name.replace("\\", "/"))
        found = self._named.get(listed.name) or self._named.get(stem(listed.name)) or []
        return [path for path in found if path.parent.name == listed.parent.name] or found

    def find(self, name: str) -> Path | None:
        """The first of `all`: of those in upper folders; or None."""
        return min(self.all(name), key=lambda path: len(path.parts), default=None)


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes."""
    return os.path.relpath(path, folder).replace(os.sep, "/")
