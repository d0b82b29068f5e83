"""Files that are there whole or not at all."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: str | Path, ending: str) -> Iterator[Path]:
    """Gives a file to write to, which takes the place of another when all went well.

    Args:
        path: the file wanted; an older one of this name is replaced.
        ending: that it must have, such as ``".onnx"``.

    Yields:
        ``partial-NAME`` beside it, empty; removed if the block fails.

    Raises:
        ValueError: if the name has another ending, is a folder, or nothing can be written there.
    """
    path = Path(path)
    if path.suffix != ending:
        raise ValueError(f"{path} must end in {ending}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; choose another name")
    partial = path.with_name(f"partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(b"")
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps packages that convert from telling how they get on; errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            yield
    finally:
        logging.disable(before)
