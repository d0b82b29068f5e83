"""Where the files of a data set lie, whatever folder around them was named."""

import dataclasses
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from tfrecords.search import AUDIO_EXTENSIONS

#: Entries looked at in one folder to tell what it is.
_MOST_ENTRIES = 5000
#: Folders looked at below one.
_MOST_FOLDERS = 300


@dataclasses.dataclass(frozen=True)
class Listing:
    """What lies directly in a folder, but for hidden entries."""

    path: Path
    files: tuple[str, ...]
    folders: tuple[str, ...]

    def sounds(self) -> list[str]:
        """Names of its audio files."""
        return [name for name in self.files if is_sound(name)]


def is_sound(name: str) -> bool:
    """Whether a name ends as audio files do."""
    return name.lower().endswith(AUDIO_EXTENSIONS)


def stem(name: str) -> str:
    """A file's name without folders and without its extension, if that is one of audio."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return base.rpartition(".")[0] if is_sound(base) else base


def listing(folder: Path, most: int = _MOST_ENTRIES) -> Listing:
    """Lists a folder, of a large one the first entries; one that cannot be read is empty."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in itertools.islice(entries, most):
                if not entry.name.startswith((".", "__MACOSX")):
                    (folders if _is_folder(entry) else files).append(entry.name)
    except OSError:
        return Listing(folder, (), ())
    return Listing(folder, tuple(sorted(files)), tuple(sorted(folders)))


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def around(folder: Path, depth: int = 2) -> Iterator[Listing]:
    """Yields a folder and those below it, the upper ones first."""
    waiting = [folder]
    for level in range(depth + 1):
        below = []
        for path in waiting[:_MOST_FOLDERS]:
            found = listing(path)
            yield found
            below += [path / name for name in found.folders]
        waiting = below if level < depth else []


def sounds(*folders: Path) -> dict[str, Path]:
    """The audio files in and below folders, by name and by name without extension.

    Of several the one in the upper folder stands, and the extension that comes first in
    `tfrecords.search.AUDIO_EXTENSIONS`.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sound_files(folder):
            found.setdefault(path.name, path)
            key = stem(path.name)
            if key not in found or (
                found[key].parent == path.parent and _rank(path) < _rank(found[key])
            ):
                found[key] = path
    return found


def look_up(found: dict[str, Path], name: str) -> Path | None:
    """The file of a name, or the one of another extension, in what `sounds` found."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return found.get(base) or found.get(stem(base))


def sound_files(folder: Path) -> Iterator[Path]:
    """Yields the audio files in and below a folder in a fixed order, the upper ones first."""
    waiting = [folder]
    seen: set[tuple[int, int]] = set()  # links may lead back
    while waiting:
        below = []
        for path in waiting:
            try:
                identity = path.stat()
            except OSError:
                continue
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            found = listing(path, most=2**40)
            yield from (path / name for name in found.sounds())
            below += [path / name for name in found.folders]
        waiting = below


def _rank(path: Path) -> int:
    return AUDIO_EXTENSIONS.index(path.suffix.lower())
