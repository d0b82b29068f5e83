"""Targets and scores: what is accepted, and the classes one after another."""

from collections.abc import Iterator

import numpy as np

# A block of columns is turned into rows at once: reading a cache line serves 16 float32 classes.
_BLOCK = 32


def checked(target, score) -> tuple[np.ndarray, np.ndarray]:
    """Returns targets as bool and scores as float32 or float64, without loss of order.

    Raises:
        ValueError: if shapes differ, scores are not finite, or targets are not 0 and 1.
    """
    target, score = np.asarray(target), np.asarray(score)
    if target.shape != score.shape or target.ndim not in (1, 2):
        raise ValueError(
            "expected target and score of one shape, (clips,) or (clips, classes); "
            f"received {target.shape} and {score.shape}"
        )
    if score.dtype not in (np.float32, np.float64):
        # float32 holds every float16 and small integer; other numbers are ranked as float64.
        score = score.astype(np.float32 if score.dtype.itemsize <= 2 else np.float64)
    finite = np.isfinite(score)
    if not finite.all():
        raise ValueError(_where(~finite))
    if target.dtype != bool:
        hits = target == 1
        if not (hits | (target == 0)).all():
            raise ValueError(
                "expected targets of 0 and 1; mixed or soft targets have no exact metric"
            )
        target = hits
    return target, score


def _where(bad: np.ndarray) -> str:
    table = bad.reshape(len(bad), -1)
    clips = table.any(axis=1)
    clip = int(clips.argmax())
    return (
        f"{bad.sum():,} of {bad.size:,} scores, in {clips.sum():,} of {len(clips):,} clips, are "
        f"NaN or infinite values, the first of clip {clip} and class {table[clip].argmax()} "
        "(counted from 0); nothing can be ranked by them"
    )


def one_class(target, score) -> tuple[np.ndarray, np.ndarray]:
    """`checked`, of one class: (clips,)."""
    target, score = checked(target, score)
    if target.ndim != 1:
        raise ValueError(f"expected one class, (clips,); received shape {target.shape}")
    return target, score


def rows(target: np.ndarray, score: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields each class of checked (clips, classes) as contiguous (clips,); scores are a copy."""
    if target.ndim == 1:
        target, score = target[:, None], score[:, None]
    for start in range(0, target.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        hits, values = target[:, block].T.copy(order="C"), score[:, block].T.copy(order="C")
        yield from zip(hits, values, strict=True)
