"""Training subsets of a few clips of each class."""

import collections
import dataclasses

import numpy as np

from panns_tf.transfer.dataset import Dataset, Split
from tfrecords.text import some


def subset(split: Split, dataset: Dataset, clips_per_class: int, seed: int) -> Split:
    """Keeps some training clips of each class, of different groups as far as there are.

    With the same seed the clips of a smaller number are among those of a larger one. Of a class
    with fewer clips all are kept, see `short_classes`. A clip of several classes counts for each;
    one without any is not kept.

    Args:
        split: of the data set.
        dataset: whose clips the split numbers.
        clips_per_class: at least 1.
        seed: which clips.

    Raises:
        ValueError: if the number is below 1.
    """
    if clips_per_class < 1:
        raise ValueError(f"{clips_per_class} clips per class; expected at least 1")
    available = set(split.train)
    counts = collections.Counter(
        label for number in split.train for label in dataset.clips[number].labels
    )
    orders = {
        label: [number for number in _order(dataset, label, seed) if number in available]
        for label in sorted(counts, key=lambda label: (counts[label], label))
    }
    kept: set[int] = set()
    have: collections.Counter[int] = collections.Counter()
    for wanted in range(1, clips_per_class + 1):  # in rounds, so that fewer are among more
        for label, order in orders.items():
            if have[label] < min(wanted, counts[label]):
                clip = next(number for number in order if number not in kept)
                kept.add(clip)
                have.update(dataset.clips[clip].labels)
    return dataclasses.replace(split, train=tuple(sorted(kept)))


def _order(dataset: Dataset, label: int, seed: int) -> list[int]:
    """The clips of a class in random order, the first ones of different groups."""
    numbers = np.array([n for n, clip in enumerate(dataset.clips) if label in clip.labels])
    order = np.random.default_rng([seed, label]).permutation(numbers).tolist()
    taken: collections.Counter[str] = collections.Counter()
    rounds = []
    for number in order:
        group = dataset.clips[number].group
        rounds.append(taken[group] if group is not None else 0)
        taken[group] += 1
    return [number for _, number in sorted(zip(rounds, order, strict=True), key=lambda x: x[0])]


def short_classes(split: Split, dataset: Dataset, clips_per_class: int) -> str | None:
    """A note on the classes that have fewer training clips than wanted, or None."""
    counts = dataset.target()[list(split.train)].sum(axis=0)
    short = [
        f"{name} ({int(count)})"
        for name, count in zip(dataset.classes, counts, strict=True)
        if count < clips_per_class
    ]
    if not short:
        return None
    return (
        f"split {split.name}: {len(short)} of {len(counts)} classes have fewer than "
        f"{clips_per_class} training clips: {some(short, 8)}"
    )
