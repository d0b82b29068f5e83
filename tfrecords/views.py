"""Views: packed directories whose index names records in the shards of others.

So AudioSet's two training sets are joined, or a fraction of one selected, without a copy of any
audio; the others must stay where they are relative to the view.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tfrecords.files import TFRecordsError
from tfrecords.index import INDEX_NAME, INFO_NAME, Index, load_index
from tfrecords.storage import is_remote

_OF_CLIPS = ("clip_ids", "offset", "length", "checksum")


def make_view(
    output: str | os.PathLike,
    directories: Sequence[str | os.PathLike],
    *,
    split: str | None = None,
    exclude: Iterable[str | bytes] = (),
    fraction: float = 1.0,
    renew: bool = False,
) -> Index:
    """Joins packed directories, or selects a fraction of their clips, without copying audio.

    Args:
        output: the new directory; must not exist, or be empty, unless ``renew``.
        directories: at least one, of the same classes, rate, clip length and codec, no clip twice.
        split: a name; default: that of ``output``.
        exclude, fraction: as in ``tfrecords.dataset``.
        renew: replace a view, of directories that have changed or one that is incomplete.
    """
    if not directories:
        raise TFRecordsError("expected at least one packed directory to make a view of")
    if remote := [path for path in (output, *directories) if is_remote(path)]:
        raise TFRecordsError(f"views are made of local directories, and {remote[0]} is none")
    output = Path(output)
    allowed = {INDEX_NAME, INFO_NAME} if renew else set()
    if output.exists() and (
        not output.is_dir() or {path.name for path in output.iterdir()} - allowed
    ):
        raise TFRecordsError(f"the output {output} exists already; choose another")
    indices = [load_index(directory) for directory in directories]
    first = indices[0].info
    for index in indices[1:]:
        for name in ("classes", "sample_rate", "clip_samples", "codec"):
            if getattr(index.info, name) != getattr(first, name):
                raise TFRecordsError(
                    f"{indices[0].directory} and {index.directory} differ in {name}; only those "
                    "packed alike can be joined"
                )
    exclude = tuple(exclude)
    shards, selections = [], []
    for index in indices:
        clips = index.select(exclude, fraction)
        selected = {name: getattr(index, name)[clips] for name in _OF_CLIPS}
        selected["shard"] = index.shard[clips] + len(shards)
        selected["labels"], selected["label_counts"] = index.labels(clips)
        selections.append(selected)
        for number, shard in enumerate(index.info.shards):
            path = Path(index.shard_path(number))
            # Relative, so that the whole may be moved; ``..`` leads out of the targets of links.
            name = os.path.relpath(path.parent.resolve() / path.name, output.resolve())
            shards.append(replace(shard, name=name))
    arrays = {name: np.concatenate([each[name] for each in selections]) for name in selected}
    values, counts = np.unique(arrays["clip_ids"], return_counts=True)
    if (counts > 1).any():
        twice = values[counts > 1]
        raise TFRecordsError(
            f"{len(twice)} clips are in more than one of the directories, for instance "
            f"{twice[0].decode(errors='replace')}; exclude them from one of them"
        )
    info = replace(
        first,
        split=split or output.name,
        num_clips=len(values),
        clips_per_shard=max(index.info.clips_per_shard for index in indices),
        shards=tuple(shards),
        index_name=INDEX_NAME,
        source=" + ".join(index.info.source for index in indices),
        plan="",
        view=True,
    )
    output.mkdir(parents=True, exist_ok=True)
    return Index.make(info, output, **arrays).save()
