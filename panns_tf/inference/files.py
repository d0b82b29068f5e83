"""Many files: found in folders and by patterns, and decoded ahead of who uses them."""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from panns_tf.inference.ahead import map_ahead
from panns_tf.inference.audio import AudioError, AudioStream, TooLongError, open_audio
from panns_tf.inference.recordings import named, rewindable
from tfrecords.audioset import AUDIO_EXTENSIONS as PREFERRED

#: What is looked for in folders.
AUDIO_EXTENSIONS = (*PREFERRED, ".oga", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64")

#: Decoded sound that may wait for its user, in bytes.
_MOST_BYTES = 2**28
_WILD = frozenset("*?[")


def find_audio(
    paths: Sequence[str | os.PathLike] | str | os.PathLike,
    extensions: Sequence[str] = AUDIO_EXTENSIONS,
) -> Iterator[Path]:
    """Yields the audio files meant by paths, each once, while it looks for them.

    A folder stands for the files below it with an extension of audio, in order of name; hidden
    ones are skipped. A pattern (``*``, ``?``, ``[...]``, ``**``) that is no file itself stands for
    what it matches. A file that is named is taken whatever its extension. What does not exist or
    cannot be read comes out as well, so that reading it says why, and the rest goes on.

    Args:
        paths: files, folders and patterns, or one of them.
        extensions: those looked for in folders and by patterns that name none.

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
        for found in _expanded(path, wanted, folders):
            name = os.path.abspath(found)  # noqa: PTH100  links keep their own names
            if name not in seen:
                seen.add(name)
                yield found
    if not seen:
        places = ", ".join(map(named, paths)) or "no paths"
        raise ValueError(f"no audio files in {places} (looked for {', '.join(wanted)})")


def _expanded(path: Path, wanted: tuple[str, ...], folders: set) -> Iterator[Path]:
    if os.path.isdir(path):  # noqa: PTH112  Path's raises for a name that is too long
        yield from _below(path, wanted, folders)
    elif os.path.lexists(path) or not _WILD & set(str(path)):
        yield path
    else:
        matches = _matches(path)
        if not matches:
            yield path
        named_extension = path.suffix and not _WILD & set(path.suffix)
        for match in map(Path, matches):
            if os.path.isdir(match):  # noqa: PTH112
                yield from _below(match, wanted, folders)
            elif named_extension or match.name.lower().endswith(wanted):
                yield match


def _below(folder: Path, wanted: tuple[str, ...], folders: set) -> Iterator[Path]:
    """The audio files of a folder and of its folders; of a loop of links each folder once."""
    waiting = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            identity = path.stat()
            if (identity.st_dev, identity.st_ino) in folders:
                continue
            folders.add((identity.st_dev, identity.st_ino))
            with os.scandir(path) as entries:
                found = [
                    (entry.name, is_folder)
                    for entry in entries
                    if not entry.name.startswith(".")
                    and ((is_folder := _is_folder(entry)) or entry.name.lower().endswith(wanted))
                ]
        except OSError:
            yield path  # reading it says why
            continue
        waiting += [(path / name, is_folder) for name, is_folder in sorted(found, reverse=True)]


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _matches(pattern: Path) -> list[str]:
    """What a pattern matches, in order; links to folders are not followed by ``**``."""
    parts = pattern.parts
    first = next(number for number, part in enumerate(parts) if _WILD & set(part))
    root, rest = Path(*parts[:first]), Path(*parts[first:])
    hidden_wanted = any(part.startswith(".") for part in rest.parts)
    try:
        return sorted(
            str(match)
            for match in root.glob(str(rest))
            if hidden_wanted
            or not any(part.startswith(".") for part in match.relative_to(root).parts)
        )
    except (OSError, ValueError):  # ValueError: "a**b"
        return []


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """What became of a source; either samples, an error, or a way to read what is long.

    Attributes:
        source: as it was given.
        name: what to call it, in one line.
        samples: (samples,) float32, mono; or None.
        seconds: its length; of long ones by their header, None where that does not say.
        notes: what a user should know of it, a line each.
        error: why it cannot be read, or None.
        open_long: opens a recording that is too long to be handed over whole, or None.
    """

    source: object
    name: str
    samples: np.ndarray | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    error: AudioError | None = None
    open_long: Callable[[], AudioStream] | None = None


def decoded(
    sources: Iterable,
    sample_rate: int,
    workers: int = 2,
    ahead: int = 16,
    *,
    rate: int | None = None,
    long_seconds: float = 600,
) -> Iterator[Decoded]:
    """Yields recordings in their order, decoded by threads ahead of their use.

    At most ``ahead`` of them wait, and little more than 256 MB of sound. No recording ends the
    iteration: what cannot be read comes out with its error. Closing the iterator stops the
    threads.

    Args:
        sources: paths and whatever else `panns_tf.inference.audio.read_audio` takes.
        sample_rate: samples a second to decode to.
        workers: threads.
        ahead: recordings that may be under way or wait.
        rate: samples a second of arrays.
        long_seconds: longer recordings come out unread, with `Decoded.open_long`.
    """
    if workers < 1 or ahead < 1:
        raise ValueError(f"workers {workers}, ahead {ahead}; expected at least 1 of each")
    return map_ahead(
        functools.partial(_decode, sample_rate=sample_rate, rate=rate, long_seconds=long_seconds),
        sources,
        lambda result: 0 if result.samples is None else result.samples.nbytes,
        workers=workers,
        ahead=ahead,
        most_bytes=_MOST_BYTES,
    )


def _decode(
    source: object,
    reserve: Callable[[int], None],
    sample_rate: int,
    rate: int | None,
    long_seconds: float,
) -> Decoded:
    name = named(source)
    try:
        # A long one is opened once more.
        again = rewindable(source) if hasattr(source, "read") else source
        open_again = functools.partial(open_audio, again, sample_rate, rate, name=name)
        try:
            with open_again(limit_seconds=long_seconds) as stream:
                seconds = long_seconds if stream.seconds is None else stream.seconds
                reserve(int(seconds * sample_rate * 4))
                samples = stream.read()
        except TooLongError as error:
            return Decoded(source, name, seconds=error.seconds, open_long=open_again)
        notes = tuple(stream.notes)
        return Decoded(source, name, samples, len(samples) / sample_rate, notes)
    except AudioError as error:
        return Decoded(source, name, error=error)
    except Exception as error:  # of one file; the others go on
        reason = " ".join(str(error).split()) or type(error).__name__
        return Decoded(source, name, error=AudioError(f"{name}: {reason}"))
