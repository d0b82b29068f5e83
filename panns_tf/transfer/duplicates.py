"""Clips that are one sound under two names."""

import collections
import dataclasses
from collections.abc import Sequence

from panns_tf.transfer.clips import Collection

_MOST = 3


def same_sounds(collection: Collection, hashes: Sequence[str]) -> Collection:
    """Puts clips of equal content into one group, so that splits made later keep them together.

    Groups that share a sound become one. Splits that the collection already has stay as they are,
    and so do its groups; a note names what crosses them.

    Args:
        collection: with or without splits.
        hashes: of the content of each clip.

    Returns:
        The collection, with notes on duplicates of different labels and on those that cross.

    Raises:
        ValueError: if there is not one hash a clip.
    """
    if len(hashes) != len(collection.clips):
        raise ValueError(f"{len(hashes)} hashes for {len(collection.clips)} clips")
    alike = collections.defaultdict(list)
    for number, key in enumerate(hashes):
        alike[key].append(number)
    alike = [numbers for numbers in alike.values() if len(numbers) > 1]
    notes = [*_contradictions(collection, alike), *_crossings(collection, alike)]
    clips = collection.clips
    if alike and not collection.splits:
        clips = tuple(
            clip if group == clip.group else dataclasses.replace(clip, group=group)
            for clip, group in zip(clips, _joined(collection, alike), strict=True)
        )
        sounds = "one sound" if len(alike) == 1 else f"{len(alike)} sounds"
        notes.append(
            f"{sum(map(len, alike))} clips are {sounds} under several names; each sound stays in "
            "one part of a split"
        )
    return dataclasses.replace(collection, clips=clips, notes=(*collection.notes, *notes))


def _joined(collection: Collection, alike: Sequence[Sequence[int]]) -> list[str | None]:
    """The group of each clip, where groups that share a sound have the name of the first."""
    above: dict[str, str] = {}

    def first(group: str) -> str:
        while group in above:
            group = above[group]
        return group

    groups = [clip.group for clip in collection.clips]
    for numbers in alike:
        for number in numbers:
            if groups[number] is None:
                groups[number] = f"same sound as {collection.clips[numbers[0]].clip_id}"
        top, *others = sorted({first(groups[number]) for number in numbers})
        above.update((other, top) for other in others)
    return [None if group is None else first(group) for group in groups]


def _contradictions(collection: Collection, alike: Sequence[Sequence[int]]) -> list[str]:
    names = []
    for numbers in alike:
        clips = [collection.clips[number] for number in numbers]
        other = next((clip for clip in clips if clip.labels != clips[0].labels), None)
        if other is not None:
            names.append(f"{_said(collection, clips[0])} and {_said(collection, other)}")
    return [f"one sound, different labels: {_some(names)}"] if names else []


def _said(collection: Collection, clip) -> str:
    labels = ";".join(collection.classes[label] for label in clip.labels) or "none"
    return f"{clip.clip_id} ({labels})"


def _crossings(collection: Collection, alike: Sequence[Sequence[int]]) -> list[str]:
    notes = []
    for split in collection.splits:
        tested, others = set(split.test), {*split.train, *split.validation}
        names = []
        for numbers in alike:
            test = next((number for number in numbers if number in tested), None)
            other = next((number for number in numbers if number in others), None)
            if test is not None and other is not None:
                names.append(
                    f"{collection.clips[test].clip_id} is {collection.clips[other].clip_id}"
                )
        if names:
            sounds = "one tested sound is" if len(names) == 1 else f"{len(names)} tested sounds are"
            notes.append(
                f"split {split.name}: {sounds} also trained on or validated with: {_some(names)}"
            )
    return notes


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return "; ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")
