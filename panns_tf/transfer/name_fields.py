"""File names as a table: their fields, and what each column of fields looks like."""

import collections
import dataclasses
import functools
import itertools
import re
from collections.abc import Sequence

_SEPARATORS = "-_ .()"
_FIELD = re.compile(f"[^{_SEPARATORS}]+")
#: Fields by which takes may be numbered.
_MOST_KEYS = 6
_WORD_NUMBER = re.compile(r"([^\W\d_]+)(\d+)|(\d+)([^\W\d_]+)")


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """The same field of all names.

    Attributes:
        number: of the field from the left, from 1.
        values: of each name.
        spans: where they stand in their names.
        thing: the word, if all are one word and a number, such as speaker3; else empty.
        place: of the field among those that separators part, from 0, and which half of it.
    """

    number: int
    values: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    thing: str = ""
    place: tuple[int, str] = (0, "")

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(value.isdecimal() for value in self.values)

    def counts(self) -> collections.Counter[str]:
        """How many names have each value, in order of appearance."""
        return collections.Counter(self.values)

    def counts_up(self, table: Sequence["Column"]) -> bool:
        """Whether, among names that are otherwise alike, the numbers run without large gaps."""
        return _run(self._runs([column for column in table if column is not self]))

    def counts_takes(self, table: Sequence["Column"]) -> bool:
        """Whether the numbers run among names that are alike in all, or in some, other fields.

        In some fields only, no number may come twice, and the first is 0 or 1: takes that are
        numbered through a class, whoever the speaker is.
        """
        others = [column for column in table if column is not self]
        if self.counts_up(table):
            return True
        several = [column for column in others if 1 < len(column.counts()) < len(self.values)]
        for size in range(min(len(several), _MOST_KEYS) + 1):
            for keys in itertools.combinations(several[:_MOST_KEYS], size):
                runs = self._runs(keys, others)
                once = all(len(set(run)) == len(run) for run in runs)
                if once and all(min(run) <= 1 for run in runs) and _run(runs):
                    return True
        return False

    def _runs(
        self, keys: Sequence["Column"], others: Sequence["Column"] | None = None
    ) -> list[list[int]]:
        """The numbers of names that are alike in some fields; names alike in all count once."""
        others = keys if others is None else others
        names = dict.fromkeys(
            (
                tuple(column.values[n] for column in others),
                tuple(column.values[n] for column in keys),
                value,
            )
            for n, value in enumerate(self.values)
        )
        runs = collections.defaultdict(list)
        for _, key, value in names:
            runs[key].append(int(value))
        return list(runs.values())

    def pattern(self, fields: int = 1) -> str:
        """A regular expression that finds the field, or several from it on, as ``label``."""
        before, half = self.place
        times = f"{{{before}}}" if before > 1 else ""
        ahead = f"^(?:[^{_SEPARATORS}]+[{_SEPARATORS}]+){times}" if before else "^"
        field = {"left word": r"[^\W\d_]+", "left number": r"\d+"}.get(half)
        if half.startswith("right"):
            ahead += r"[^\W\d_]+" if half == "right number" else r"\d+"
            field = r"\d+" if half == "right number" else r"[^\W\d_]+"
        field = field or f"[^{_SEPARATORS}]+"
        return f"{ahead}(?P<label>{f'[{_SEPARATORS}]+'.join([field] * fields)})"


def _run(runs: Sequence[Sequence[int]]) -> bool:
    """Whether most numbers run without large gaps."""
    long = [run for run in runs if len(run) > 1]
    full = sum(len(run) >= 0.5 * (max(run) - min(run) + 1) for run in long)
    return full > 0.5 * len(long)


def determines(one: Column, other: Column) -> bool:
    """Whether a column's value follows from another one's."""
    return len(set(zip(one.values, other.values, strict=True))) == len(set(one.values))


def columns(stems: Sequence[str]) -> list[Column] | None:
    """Parts names into columns, or returns None if they do not have fields in common.

    Names of as many fields each have those as columns. Else words in a row count as one field, so
    that ``crying_baby_01`` and ``dog_01`` are alike.
    """
    fields = [[match.span() for match in _FIELD.finditer(stem)] for stem in stems]
    if len({len(spans) for spans in fields}) != 1:
        fields = [_words_joined(stem, spans) for stem, spans in zip(stems, fields, strict=True)]
        kinds = {
            tuple(stem[begin:end].isdecimal() for begin, end in spans)
            for stem, spans in zip(stems, fields, strict=True)
        }
        if len(kinds) != 1:
            return None
    if not fields[0]:
        return None
    parts = []
    for place, spans in enumerate(zip(*fields, strict=True)):
        parts += _halves(stems, place, spans)
    return [make(number=number) for number, make in enumerate(parts, 1)]


def _words_joined(stem: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins fields that are words, and takes the number off a last word: dog12."""
    parts = []
    for begin, end in spans:
        match = _WORD_NUMBER.fullmatch(stem, begin, end)
        cut = None if match is None else match.end(1) if match[1] else match.end(3)
        parts += [(begin, end)] if cut is None else [(begin, cut), (cut, end)]
    joined: list[tuple[int, int]] = []
    for begin, end in parts:
        word = not stem[begin:end].isdecimal()
        if joined and word and not stem[slice(*joined[-1])].isdecimal():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def _halves(stems: Sequence[str], place: int, spans: Sequence[tuple[int, int]]) -> list:
    """A column, or two if every field is a word and a number and the words differ."""
    values = tuple(stem[begin:end] for stem, (begin, end) in zip(stems, spans, strict=True))
    matches = [_WORD_NUMBER.fullmatch(value) for value in values]
    word_first = all(match and match[1] for match in matches)
    number_first = all(match and match[3] for match in matches)
    make = functools.partial(Column, values=values, spans=tuple(spans), place=(place, ""))
    if not word_first and not number_first:
        return [make]
    first, second = (1, 2) if word_first else (3, 4)
    word = first if word_first else second
    words = {match[word] for match in matches}
    if len(words) == 1:
        return [functools.partial(make, thing=words.pop())]
    halves = []
    kinds = ("word", "number") if word_first else ("number", "word")
    for half, side, kind in zip((first, second), ("left", "right"), kinds, strict=True):
        halves.append(
            functools.partial(
                Column,
                values=tuple(match[half] for match in matches),
                spans=tuple(
                    (begin + match.start(half), begin + match.end(half))
                    for match, (begin, _) in zip(matches, spans, strict=True)
                ),
                place=(place, f"{side} {kind}"),
            )
        )
    return halves
