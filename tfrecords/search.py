"""Audio files in folders and by patterns."""

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
    """The audio files that paths name, each once; ValueError for none, or an empty path. A folder
    stands for the files below it with an extension of audio, in order of name, without hidden ones;
    a pattern that is no file for its matches; a named file for itself. What does not exist or
    cannot be searched is yielded too: reading it raises the reason.
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if "" in map(os.fspath, paths):
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
        names = ", ".join(map(describe, paths)) or "no paths"
        raise ValueError(f"no audio files in {names} (looked for {', '.join(wanted)})")


def _expanded(path: Path, wanted: tuple[str, ...], folders: set) -> Iterator[str]:
    # os.path, since Path's functions raise for a name that is too long.
    is_pattern = not os.path.lexists(path) and _WILDCARDS & set(str(path))
    matches = (_matches(path) if is_pattern else []) or [str(path)]
    named = matches == [str(path)] or (path.suffix and not _WILDCARDS & set(path.suffix))
    for match in matches:
        if os.path.isdir(match):  # noqa: PTH112
            yield from walk(match, wanted, folders)
        elif named or match.lower().endswith(wanted):
            yield match


def walk(
    folder: str, wanted: tuple[str, ...], folders: set[tuple[int, int]], strict: bool = False
) -> Iterator[str]:
    """The files below a folder, in order of name, as text: objects of two million would take 30 s.
    Folders in ``folders`` (device, number) were searched: links may lead there again. One that
    cannot be searched is yielded itself or, with ``strict``, an OSError.
    """
    try:
        status = os.stat(folder)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in folders:
            return
        folders.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            below = [(entry.name, _is_folder(entry)) for entry in entries]
    except OSError:
        if strict:
            raise
        yield folder
        return
    for name, is_folder in sorted(below):
        path = os.path.join(folder, name)  # noqa: PTH118
        if name.startswith("."):
            continue
        if is_folder:
            yield from walk(path, wanted, folders, strict)
        elif name.lower().endswith(wanted):
            yield path


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _matches(pattern: Path) -> list[str]:
    """The paths that match, in order; links to folders are not followed by ``**``."""
    steps = pattern.parts
    first = next(number for number, step in enumerate(steps) if _WILDCARDS & set(step))
    root, rest = Path(*steps[:first]), Path(*steps[first:])
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
