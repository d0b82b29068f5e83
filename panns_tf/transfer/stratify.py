"""Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), over groups.

Their algorithm deals examples of several labels into parts, the examples of the rarest label first,
each to the part that lacks most of that label. Here a group of examples is dealt at once.
"""

from collections.abc import Hashable, Sequence

import numpy as np


def group_numbers(groups: Sequence[Hashable | None]) -> np.ndarray:
    """Numbers groups from 0 in order of appearance, None each time anew: int64 (clips,)."""
    known: dict[Hashable, int] = {}
    numbers = np.empty(len(groups), np.int64)
    fresh = 0
    for clip, group in enumerate(groups):
        number = fresh if group is None else known.setdefault(group, fresh)
        fresh += number == fresh
        numbers[clip] = number
    return numbers


def assign_groups(
    target: np.ndarray, groups: np.ndarray, shares: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Deals clips into parts, groups whole, each class in the parts' shares.

    Args:
        target: (clips, classes) of 0 and 1.
        groups: (clips,), numbers from 0.
        shares: (parts,), which sum to 1.
        generator: decides ties.

    Returns:
        int64 (clips,), the part of each.
    """
    units = int(groups.max(initial=-1)) + 1
    # classes, and last the clips themselves, of which everybody has as many as it is large
    counts = np.zeros((units, target.shape[1] + 1))
    np.add.at(counts, groups, np.column_stack([target, np.ones(len(target))]))
    wanted = shares[:, None] * counts.sum(0)  # (parts, classes + 1)
    part = np.full(units, -1)
    # large groups first: small ones even out what they leave
    order = generator.permutation(units)
    order = order[np.argsort(-counts[order, -1], kind="stable")]
    waiting = (counts[:, :-1] > 0).sum(0).astype(np.float64)  # (classes,) groups not dealt yet
    while waiting.any():
        label = int(np.argmin(np.where(waiting > 0, waiting, np.inf)))
        having = order[(counts[order, label] > 0) & (part[order] < 0)]
        for unit in having[np.argsort(-counts[having, label], kind="stable")]:
            part[unit] = _neediest(wanted, label, generator)
            wanted[part[unit]] -= counts[unit]
            waiting -= counts[unit, :-1] > 0
    for unit in order[part[order] < 0]:  # of no class
        part[unit] = _neediest(wanted, -1, generator)
        wanted[part[unit]] -= counts[unit]
    return part[groups]  # (clips,)


def _neediest(wanted: np.ndarray, label: int, generator: np.random.Generator) -> int:
    """The part that lacks most of a class, then of all clips."""
    chance = generator.random(len(wanted))
    # sums of shares are not exact
    return int(np.lexsort((chance, wanted[:, -1].round(6), wanted[:, label].round(6)))[-1])
