"""AudioSet's files: names of clips, lists of clips to leave out, the sets below a root folder.

The audio of clip ``<id>`` (11 characters) is named ``<id>.wav``, ``<id>_<start>.wav`` or
``<id>_<start>_<end>.wav`` (s or ms), perhaps after a ``Y``, or with another extension.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tfrecords.classes import read_lines
from tfrecords.files import TFRecordsError
from tfrecords.search import AUDIO_EXTENSIONS, walk

# The parts of AudioSet, and their metadata files.
SETS = {
    "balanced_train": "balanced_train_segments.csv",
    "eval": "eval_segments.csv",
    "unbalanced_train": "unbalanced_train_segments.csv",  # last: it takes a hundred times as long
}

CLIP_ID = r"[A-Za-z0-9_-]{11}"
_TIMES = r"(?:_(\d+(?:\.\d+)?))?(?:_(\d+(?:\.\d+)?))?"
# Without the Y first: an id may begin with one.
_NAMES = (re.compile(rf"({CLIP_ID}){_TIMES}"), re.compile(rf"Y({CLIP_ID}){_TIMES}"))
_LISTED = re.compile(rf"Y?({CLIP_ID}){_TIMES}(?:\.\w+)?")


def find_clips(folder: Path, starts: Mapping[str, float | None]) -> dict[str, str]:
    """Each clip's audio file, at any depth of the folder; clips without one are absent. A file
    named with another start (s) than ``starts`` has, if not None, is another clip's.
    """
    candidates: dict[str, tuple[int, str]] = {}
    for path in walk(str(folder), AUDIO_EXTENSIONS, set(), strict=True):
        # No Path objects: those of two million files would take half a minute.
        stem, extension = os.path.splitext(os.path.basename(path))  # noqa: PTH119, PTH122
        clip_id = _clip_of(stem, starts)
        if clip_id is not None:
            candidate = (AUDIO_EXTENSIONS.index(extension.lower()), path)
            candidates[clip_id] = min(candidate, candidates.get(clip_id, candidate))
    return {clip_id: path for clip_id, (_, path) in candidates.items()}


def _clip_of(stem: str, starts: Mapping[str, float | None]) -> str | None:
    for pattern in _NAMES:
        match = pattern.fullmatch(stem)
        if not match or match[1] not in starts:
            continue
        named, start = match[2], starts[match[1]]
        if named is None or start is None:
            return match[1]
        if min(abs(float(named) - start), abs(float(named) / 1000 - start)) <= 1:
            return match[1]  # seconds or milliseconds
    return None


def read_exclude_list(path: str | os.PathLike) -> tuple[str, ...]:
    """The clip ids of a file that lists clips to leave out, a line each.

    The first field (up to a tab or comma) is the id, or the name of a file of AudioSet, such as
    ``<id>_<start>_<end>.wav`` in the lists of DCASE 2017 task 4. What may be either is both.
    """
    ids: dict[str, None] = {}
    for line in read_lines(path, "the file of clips to exclude"):
        if field := re.split(r"[\t,]", line, maxsplit=1)[0].strip():
            ids[field] = None
            if match := _LISTED.fullmatch(field):
                ids[match[1]] = None
    if not ids:
        raise TFRecordsError(f"{path} lists no clips; expected an id a line")
    return tuple(ids)


def split_names(text: str, is_known: Callable[[str], bool]) -> list[str]:
    """The labels in a comma-separated list; those of ``is_known`` may hold commas themselves."""
    pieces, labels = text.split(","), []
    while pieces:
        for count in range(len(pieces), 0, -1):
            label = ",".join(pieces[:count]).strip()
            if count == 1 or is_known(label):
                break
        labels.append(label)
        del pieces[:count]
    return [label for label in labels if label]


def sets_of(root: Path, wanted: Collection[str] = ()) -> dict[str, Path]:
    """The metadata files of AudioSet's sets below a root folder; those wanted, or all there are."""
    if unknown := [name for name in wanted if name not in SETS]:
        raise TFRecordsError(f"AudioSet has no set {unknown[0]!r}; it has {', '.join(SETS)}")
    if not root.is_dir():
        raise TFRecordsError(f"the root folder {root} does not exist; give it with --root")
    files = {
        name: path
        for name, file in SETS.items()
        for path in (root / "metadata" / file, root / file)  # the latter if there are both
        if path.is_file() and (not wanted or name in wanted)
    }
    missing = [SETS[name] for name in wanted if name not in files]
    if missing or not files:
        raise TFRecordsError(
            f"{root} has no {' or '.join(missing or SETS.values())}; expected it there or in "
            "metadata/"
        )
    return files
