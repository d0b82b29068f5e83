"""Labels in file names: what part of a name is the label, found out or told by a pattern."""

import collections
import dataclasses
import itertools
import re
from collections.abc import Sequence

from panns_tf.transfer.name_fields import Column, columns, determines


class NoRuleError(ValueError):
    """File names do not seem to hold labels."""


@dataclasses.dataclass(frozen=True)
class Named:
    """What a file's name says.

    Attributes:
        label: of its class.
        group: what it must not be parted from, or None.
        fold: or None.
    """

    label: str
    group: str | None = None
    fold: str | None = None


@dataclasses.dataclass(frozen=True)
class NameRule:
    """How names are read.

    Attributes:
        title: for people.
        named: what each of the names says, in their order.
    """

    title: str
    named: tuple[Named, ...]


#: Naming schemes of published sets, which say more than the names alone would.
_SCHEMES = (
    (
        "ESC-50's names (fold-source-take-class)",
        r"(?P<fold>[1-5])-(?P<group>\d+)-[A-Z]-(?P<label>\d{1,2})",
    ),
    (
        "UrbanSound8K's names (source-class-occurrence-slice)",
        r"(?P<group>\d+)-(?P<label>\d)-\d+-\d+",
    ),
)
_RAVDESS = re.compile(r"\d\d(-\d\d){6}")

#: Words before a number that say whose recording it is.
_SOURCES = {
    *("speaker", "spk", "subject", "subj", "actor", "person", "participant", "user", "singer"),
    *("player", "patient", "animal", "id", "source", "src", "session", "recording", "rec"),
}
_MOST_VALUES = 4


def read_names(stems: Sequence[str], pattern: str | None = None) -> NameRule:
    """Reads labels from file names.

    Args:
        stems: names without folders and extensions, at least one.
        pattern: a regular expression searched for in each, with a group ``label`` and perhaps
            ``group`` and ``fold``; None to find the rule by what the names have in common.

    Raises:
        NoRuleError: if no rule fits.
        ValueError: if more than one does, or the pattern does not fit.
    """
    return _found(stems) if pattern is None else _by_pattern(stems, pattern)


def read_groups(stems: Sequence[str], pattern: str) -> list[str]:
    """Reads the groups of clips from file names.

    Args:
        stems: names without folders and extensions.
        pattern: a regular expression searched for in each, whose group ``group``, or else the first
            one, or else the whole match is the clip's group.

    Raises:
        ValueError: if it does not fit.
    """
    compiled = _compiled(pattern, "--group-pattern")
    groups = []
    for stem in stems:
        match = compiled.search(stem)
        if match is None:
            raise ValueError(f"--group-pattern {pattern!r} does not fit {stem!r}")
        key = "group" if "group" in compiled.groupindex else min(1, compiled.groups)
        groups.append(match[key] or "")
    return groups


def _compiled(pattern: str, option: str) -> re.Pattern:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{option} {pattern!r} is no regular expression: {error}") from None


def _by_pattern(stems: Sequence[str], pattern: str) -> NameRule:
    compiled = _compiled(pattern, "--label-pattern")
    if "label" not in compiled.groupindex:
        raise ValueError(
            f"--label-pattern {pattern!r} has no group 'label'; write it as "
            r"'(?P<label>[a-z]+)_\d+'"
        )
    named = []
    for stem in stems:
        match = compiled.search(stem)
        if match is None or not match["label"]:
            raise ValueError(f"--label-pattern {pattern!r} finds no label in {stem!r}")
        parts = match.groupdict()
        named.append(Named(parts["label"], parts.get("group"), parts.get("fold")))
    return _rule(f"the pattern {pattern!r}", stems, named)


def _rule(title: str, stems: Sequence[str], named: Sequence[Named]) -> NameRule:
    """Shows a rule by two names of different labels."""
    last = next((n for n, row in enumerate(named) if row.label != named[0].label), 0)
    shown = " and ".join(f"{stems[n]!r} is {named[n].label!r}" for n in dict.fromkeys((0, last)))
    more = ", groups too" if any(row.group is not None for row in named) else ""
    return NameRule(f"labels are read from file names by {title}: {shown}{more}", tuple(named))


def _found(stems: Sequence[str]) -> NameRule:
    for title, scheme in _SCHEMES:
        matches = [re.fullmatch(scheme, stem) for stem in stems]
        if all(matches):
            named = [
                Named(parts["label"], parts.get("group"), parts.get("fold"))
                for parts in (match.groupdict() for match in matches)
            ]
            return _rule(title, stems, named)
    table = columns(stems)
    if table is None:
        raise NoRuleError(
            f"no rule for labels in file names such as {_examples(stems)}: they are not built "
            r"alike; give one, such as --label-pattern '^(?P<label>[a-zA-Z]+)', or a folder a class"
        )
    counter = _counter(table)
    things = [column for column in table if column.thing]
    others = [column for column in table if column is not counter and not column.thing]
    candidates = _candidates(others)
    if _is_in_doubt(counter, candidates):
        candidates = [*candidates, counter]
    if not candidates:
        raise NoRuleError(
            f"no rule for labels in file names such as {_examples(stems)}: no field has a few "
            "values that each occur several times; give one, such as --label-pattern "
            f"'{table[0].pattern()}', or a folder a class"
        )
    if len(candidates) > 1 or _RAVDESS.fullmatch(stems[0]):
        raise ValueError(_unclear(stems, candidates))
    label = candidates[0]
    end = _compound(label, others)[-1]
    named = [Named(text) for text in _between(label, end, stems)]
    title = f"field {label.number} of {len(table)}" if len(table) > 1 else "their letters"
    source = next((column for column in things if column.thing.casefold() in _SOURCES), None)
    if source is not None:
        named = [
            dataclasses.replace(row, group=group)
            for row, group in zip(named, source.values, strict=True)
        ]
    rule = _rule(title, stems, named)
    if source is not None:
        return dataclasses.replace(
            rule, title=f"{rule.title}, by field {source.number} ({source.values[0]!r})"
        )
    return rule


def _may_be_label(values: Sequence[str]) -> bool:
    """Whether a field has few values, most of them in several names."""
    counts = collections.Counter(values)
    several = sum(count > 1 for count in counts.values())
    return 2 <= len(counts) <= max(2, len(values) / 2) and several > len(counts) / 2


def _counter(table: Sequence[Column]) -> Column | None:
    """The running number: at the end of the names, or else the only number that counts."""
    last = table[-1]
    if last.numeric and (len(last.counts()) == 1 or last.counts_takes(table)):  # one take of each
        return last
    counting = [column for column in table if column.numeric and column.counts_up(table)]
    return counting[0] if len(counting) == 1 else None


def _is_in_doubt(counter: Column | None, candidates: Sequence[Column]) -> bool:
    """Whether two numbers may each be the take, and the other one the label: 3_5."""
    return (
        counter is not None
        and len(candidates) == 1
        and candidates[0].numeric
        and len(counter.counts()) <= len(candidates[0].counts())
        and _may_be_label(counter.values)
    )


def _candidates(others: Sequence[Column]) -> list[Column]:
    """The fields that may be the label, without those that say the same as another one."""
    kept: list[Column] = []
    # words before numbers, then the first
    for column in sorted(others, key=lambda column: (column.numeric, column.number)):
        if not _may_be_label(column.values) or any(
            _same(column, other) or column in _compound(other, others) for other in kept
        ):
            continue
        kept.append(column)
    return sorted(kept, key=lambda column: column.number)


def _same(one: Column, other: Column) -> bool:
    """Whether fields part the names alike, as a class's number and its name do."""
    return determines(one, other) and determines(other, one)


def _compound(label: Column, others: Sequence[Column]) -> list[Column]:
    """A field with the words behind it that follow from it: kick-drum."""
    parts = [label]
    while not label.numeric:
        behind = next((c for c in others if c.number == parts[-1].number + 1), None)
        if behind is None or behind.numeric or not determines(label, behind):
            break
        parts.append(behind)
    return parts


def _between(first: Column, last: Column, stems: Sequence[str]) -> list[str]:
    """What stands in the names from one field to another one."""
    return [
        stem[begin:end]
        for stem, (begin, _), (_, end) in zip(stems, first.spans, last.spans, strict=True)
    ]


def _examples(stems: Sequence[str]) -> str:
    return " and ".join(repr(stem) for stem in dict.fromkeys((stems[0], stems[-1])))


def _unclear(stems: Sequence[str], candidates: Sequence[Column]) -> str:
    """Says what the label may be, and how to say which."""
    choices = [(f"field {column.number}", column.values, column.pattern()) for column in candidates]
    for one, other in itertools.pairwise(candidates):
        together = _between(one, other, stems)
        words = not one.numeric and not other.numeric and not one.place[1] and not other.place[1]
        if words and other.number == one.number + 1 and _may_be_label(together):
            title = f"fields {one.number} and {other.number} together"
            choices.append((title, together, one.pattern(fields=2)))
    said = ", or ".join(
        f"{title} ({_values(values)}): --label-pattern '{pattern}'"
        for title, values, pattern in choices
    )
    task = "; these are RAVDESS's names: try --task ravdess" if _RAVDESS.match(stems[0]) else ""
    return (
        f"the label in file names such as {_examples(stems)} may be {said}; say which by its "
        f"pattern{task}"
    )


def _values(values: Sequence[str]) -> str:
    different = list(dict.fromkeys(values))
    return ", ".join(different[:_MOST_VALUES]) + (", ..." if len(different) > _MOST_VALUES else "")
