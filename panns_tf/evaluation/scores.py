"""The scores of an evaluation as a file, and what must be true of them."""

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from tfrecords.shards import write_atomic

FILE_NAME = "scores.npz"
#: What the description of scores must say.
_NEEDED = ("labels", "model", "model_sha256", "index_sha256", "heard")
#: So many names stand for all of them in a message.
FEW = 5


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a model said of clips.

    Attributes:
        clip_ids: (clips,) bytes.
        target: (clips, classes) bool.
        score: (clips, classes) float32.
        meta: ``labels`` (classes,), and of what the scores are: ``model``, ``model_sha256``,
            ``data``, ``index_sha256``, ``window``, ``hop``, ``aggregate`` and more.
    """

    clip_ids: np.ndarray
    target: np.ndarray
    score: np.ndarray
    meta: dict

    @property
    def labels(self) -> list[str]:
        """Names of the classes in order."""
        return self.meta["labels"]

    @property
    def in_unit_range(self) -> bool:
        """Whether all scores can be probabilities."""
        return bool(((self.score >= 0) & (self.score <= 1)).all())

    def ordered_as(self, other: "Scores", names: tuple[str, str]) -> "Scores":
        """Returns these scores with the clips in the order of others.

        Args:
            other: of the same clips and classes.
            names: of these and of the others, for the error.

        Raises:
            ValueError: if clips, classes or targets differ; says which.
        """
        _check_same_classes(self.labels, other.labels, names)
        mine, theirs = (np.argsort(x.clip_ids, kind="stable") for x in (self, other))
        if not np.array_equal(self.clip_ids[mine], other.clip_ids[theirs]):
            here, there = set(self.clip_ids.tolist()), set(other.clip_ids.tolist())
            raise ValueError(
                f"{names[0]} and {names[1]} were evaluated on other clips: "
                f"{_only(here - there, names[0])}, {_only(there - here, names[1])}; "
                "evaluate both on the same records with --data"
            )
        order = np.empty_like(mine)
        order[theirs] = mine
        target, score = self.target[order], self.score[order]
        differing = (target != other.target).any(axis=1)
        if differing.any():
            raise ValueError(
                f"{names[0]} and {names[1]} have other labels for {int(differing.sum())} clips, "
                f"{few(other.clip_ids[differing])}; evaluate both on the same records with --data"
            )
        return Scores(self.clip_ids[order], target, score, self.meta)


def _only(ids: set[bytes], name: str) -> str:
    return f"{len(ids)} only in {name}" + (f" ({few(sorted(ids))})" if ids else "")


def _check_same_classes(mine: list[str], theirs: list[str], names: tuple[str, str]) -> None:
    if mine == theirs:
        return
    place = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
    where = (
        f"they differ first at {place}: {mine[place]!r} and {theirs[place]!r}"
        if place is not None
        else f"{len(mine)} and {len(theirs)}"
    )
    raise ValueError(f"{names[0]} and {names[1]} have other classes: {where}")


def few(names) -> str:
    """Names for a message, the first of many."""
    texts = [x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in names]
    more = f" and {len(texts) - FEW} more" if len(texts) > FEW else ""
    return ", ".join(texts[:FEW]) + more


def check_finite(scores: Scores) -> None:
    """Raises a ValueError that names clips and classes if scores are NaN or infinite."""
    bad = ~np.isfinite(scores.score)
    if not bad.any():
        return
    clips = scores.clip_ids[bad.any(axis=1)]
    classes = [scores.labels[i] for i in np.flatnonzero(bad.any(axis=0))]
    raise ValueError(
        f"the model's scores are NaN or infinite for {len(clips)} of {len(bad)} clips "
        f"({few(clips)}) and {len(classes)} of {bad.shape[1]} classes ({few(classes)}); nothing "
        "can be ranked by them: look for NaN among the weights, or damaged audio"
    )


def save_scores(directory: Path, scores: Scores) -> Path:
    """Writes ``scores.npz``, whole or not at all; returns its path."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        clip_id=scores.clip_ids.astype("S"),
        target=scores.target.astype(bool),
        score=scores.score.astype("float32"),
        meta=json.dumps(scores.meta),
    )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    write_atomic(path, buffer.getbuffer())
    return path


def load_scores(path: Path) -> Scores:
    """Reads a ``scores.npz``.

    Raises:
        ValueError: if it is damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(str(file["meta"]))
            scores = Scores(file["clip_id"], file["target"], file["score"], meta)
        shape = (len(scores.clip_ids), len(meta["labels"]))
        kinds = (scores.clip_ids.dtype.kind, scores.target.dtype.kind, scores.score.dtype.kind)
        if kinds != ("S", "b", "f"):
            raise ValueError(f"clip_id, target and score are of kinds {', '.join(kinds)}")
        if lacking := [name for name in _NEEDED if name not in meta]:
            raise ValueError(f"its meta lacks {', '.join(lacking)}")
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} cannot be read ({' '.join(str(error).split())}); run evaluate.py again"
        ) from error
    if not scores.target.shape == scores.score.shape == shape:
        raise ValueError(
            f"{path} holds targets {scores.target.shape} and scores {scores.score.shape} of "
            f"{shape[0]} clips and {shape[1]} classes; run evaluate.py again"
        )
    return scores
