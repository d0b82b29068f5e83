"""Audio files found in folders and by patterns."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfrecords.audio import describe

#: Extensions looked for in folders. Of a clip with several files the first is taken.
AUDIO_EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm")
AUDIO_EXTENSIONS += (".oga", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64")
_WILDCARDS = frozenset("*?[")


def find_audio(
    paths: Sequence[str | os.PathLike] | str | os.PathLike,
    extensions: Sequence[str] = AUDIO_EXTENSIONS,
) -> Iterator[Path]:
    """Yields the audio files that paths name, each once, while it searches.

    A folder stands for the files below it with an extension of audio, in order of name; hidden
    ones are skipped. A pattern (``*``, ``?``, ``[...]``, ``**``) that is no file itself stands for
    its matches. A file that is named is taken whatever its extension. What does not exist or
    cannot be searched is yielded too, so that reading it gives the reason, and the rest goes on.

    Args:
        paths: files, folders and patterns, or one of them.
        extensions: searched for in folders and by patterns that name none.

    Raises:
        ValueError: if a path is empty; at the end, if nothing was found at all.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    if "" in map(os.fspath, paths := list(paths)):
        raise ValueError("an empty path; name a file or a folder, . for this one")
    wanted = tuple(extension.lower() for extension in extensions)
    seen: set[str] = set()
    folders: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        for match in _expanded(path, wanted, folders):
            name = os.path.abspath(match)  # noqa: PTH100  links keep their own names
            if name not in seen:
                seen.add(name)
                yield Path(match)
    if not seen:
        places = ", ".join(map(describe, paths)) or "no paths"
        raise ValueError(f"no audio files in {places} (looked for {', '.join(wanted)})")


def _expanded(path: Path, wanted: tuple[str, ...], folders: set) -> Iterator[str]:
    if os.path.isdir(path):  # noqa: PTH112  Path's raises for a name that is too long
        yield from walk(str(path), wanted, folders)
        return
    matches = []
    if not os.path.lexists(path) and _WILDCARDS & set(str(path)):
        matches = _matches(path)
    if not matches:
        yield str(path)
    has_extension = path.suffix and not _WILDCARDS & set(path.suffix)
    for match in matches:
        if os.path.isdir(match):  # noqa: PTH112
            yield from walk(match, wanted, folders)
        elif has_extension or match.lower().endswith(wanted):
            yield match


def walk(
    folder: str, wanted: tuple[str, ...], folders: set[tuple[int, int]], strict: bool = False
) -> Iterator[str]:
    """Yields the files below a folder, in order of name, and folders that cannot be searched.

    Paths are text: objects of two million files would take half a minute.

    Args:
        folder: searched, but for hidden files and folders.
        wanted: extensions in lower case.
        folders: device and number of those that were searched, to which links may lead again.
        strict: whether a folder that cannot be searched is an OSError instead.
    """
    waiting = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            status = os.stat(path)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in folders:
                continue
            folders.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                below = [
                    (os.path.join(path, entry.name), is_folder)  # noqa: PTH118
                    for entry in entries
                    if not entry.name.startswith(".")
                    and ((is_folder := _is_folder(entry)) or entry.name.lower().endswith(wanted))
                ]
        except OSError:
            if strict:
                raise
            yield path
            continue
        waiting += sorted(below, reverse=True)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _matches(pattern: Path) -> list[str]:
    """The paths that match, in order; links to folders are not followed by ``**``."""
    parts = pattern.parts
    first = next(number for number, part in enumerate(parts) if _WILDCARDS & set(part))
    root, rest = Path(*parts[:first]), Path(*parts[first:])
    with_hidden = any(part.startswith(".") for part in rest.parts)
    try:
        return sorted(
            str(match)
            for match in root.glob(str(rest))
            if with_hidden
            or not any(part.startswith(".") for part in match.relative_to(root).parts)
        )
    except (OSError, ValueError):  # ValueError: "a**b"
        return []
