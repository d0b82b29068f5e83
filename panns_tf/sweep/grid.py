"""Grids: the rows of a table and the settings of each, from a TOML file."""

import dataclasses
import itertools
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from panns_tf.config import TrainConfig
from panns_tf.models.registry import find
from tfrecords.text import did_you_mean

#: The grids that come with the package.
FOLDER = Path(__file__).parents[1] / "grids"
#: The metrics of a table, as ``metrics.json`` names them.
METRICS = ("mAP", "mAUC", "d_prime")
_KEYS = ("title", "source", "shows", "factors", "base", "row")
_ROW_KEYS = {"label": str, "data": str, "published": dict, "reference": bool}
_SETTINGS = {field.name for field in dataclasses.fields(TrainConfig)}
#: Settings that the command gives, or a row in a way of its own.
_SETTINGS -= {"run_dir", "recipe", "demo", "cache", "data", "eval_data", "seed"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: in the table.
        settings: of `TrainConfig`, those of all rows included.
        data: name of the training set among several, or None for the only one; in a plan its path.
        published: results of the paper by the names in `METRICS`, as far as it has them.
        reference: whether the other rows are compared with this one.
    """

    label: str
    settings: dict
    data: str | None = None
    published: dict[str, float] = dataclasses.field(default_factory=dict)
    reference: bool = False

    @property
    def slug(self) -> str:
        """The label as the name of a folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.label.lower()).strip("-.")[:80].strip("-.")

    def config(self, **run_settings) -> TrainConfig:
        """The configuration of a run of this row."""
        return TrainConfig(**{**self.settings, **run_settings})


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table to be made.

    Attributes:
        name: of the file, without suffix.
        title, source, shows: of the table, of its published results, and what it is to show.
        rows: of the table; at most one is the reference.
        varied: settings that rows give themselves.
        factors: settings of which the rows are all combinations, or nothing.
    """

    name: str
    title: str
    source: str
    shows: str
    rows: tuple[Row, ...]
    varied: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()

    @property
    def reference(self) -> Row:
        """The row that the others are compared with: by default the last."""
        return next((row for row in self.rows if row.reference), self.rows[-1])

    def with_data(self, data: Mapping[str | None, str]) -> tuple["Grid", str]:
        """Gives every row the path of its training set, and leaves out rows whose set is missing.

        Args:
            data: paths by name; None for one without, which is for the rows that name none.

        Returns:
            The grid, and what flags are missing for which rows; empty if none.

        Raises:
            ValueError: if no row is left, or no row has a name of ``data``.
        """
        names = {row.data for row in self.rows}
        only = next(iter(data.values())) if len(data) == 1 else None
        for name in data:
            if name is not None and name not in names and not (only and None in names):
                known = ", ".join(repr(n) for n in names if n) or "no set by name"
                raise ValueError(f"--data {name}=...: the rows of {self.name} name {known}")
        rows, missing = [], {}
        for row in self.rows:
            path = data.get(row.data) if row.data else data.get(None, only)
            if path is None:
                flag = f"--data {row.data}=DIR" if row.data else "--data DIR"
                missing.setdefault(flag, []).append(repr(row.label))
            else:
                rows.append(dataclasses.replace(row, data=path))
        text = "; ".join(f"{flag} for {', '.join(labels)}" for flag, labels in missing.items())
        if not rows:
            raise ValueError(f"no row of {self.name} has its data; give {text}")
        return dataclasses.replace(self, rows=tuple(rows)), text

    def select(self, labels: Sequence[str]) -> tuple[Row, ...]:
        """The rows of these labels or folder names; ValueError names the nearest."""
        for label in labels:
            if not any(label in (row.label, row.slug) for row in self.rows):
                known = [row.label for row in self.rows]
                raise ValueError(f"--only {label!r}: no such row; {did_you_mean(label, known)}")
        return tuple(row for row in self.rows if row.label in labels or row.slug in labels)


def grid_names() -> list[str]:
    """The names of the grids that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_grid(name: str) -> Path:
    """The file of a grid, by its name or its path; ValueError if there is none."""
    path = Path(name) if "/" in name or name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"no grid {name!r}; expected one of {', '.join(grid_names())}, or the path of a "
            ".toml file"
        )
    return path


def read_grid(name: str, common: Mapping | None = None) -> Grid:
    """Reads a grid and checks every row of it.

    Args:
        name: one of `grid_names`, or the path of a TOML file.
        common: settings for all rows, which override the file's.

    Raises:
        ValueError: in one line: no such grid, no TOML, an unknown key, a row that cannot be run,
            two rows of the same label or settings, or common settings in which the rows differ.
    """
    path = find_grid(name)
    try:
        return _parse(path.stem, tomllib.loads(path.read_text(encoding="utf-8")), common or {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"grid {path} is no TOML: {error}") from error
    except ValueError as error:
        raise ValueError(f"grid {path}: {error}") from error


def _parse(name: str, content: dict, common: Mapping) -> Grid:
    _check_keys(content, _KEYS, "the grid")
    rows = content.get("row")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it has no [[row]]")
    texts = {key: str(content.get(key, "")) for key in ("title", "source", "shows")}
    factors = content.get("factors", [])
    if not isinstance(factors, list):
        raise ValueError(f"factors must be a list of settings; received {factors!r}")
    varied = tuple(dict.fromkeys(key for row in rows for key in row if key not in _ROW_KEYS))
    for key in common:
        if key in varied:
            raise ValueError(f"the rows differ in {key}, so it cannot be set for all of them")
    parsed = tuple(_row(row, content.get("base", {}), common) for row in rows)
    _check_rows(parsed)
    _check_factors(factors, parsed)
    return Grid(name, **texts, rows=parsed, varied=varied, factors=tuple(factors))


def _row(row: dict, base: Mapping, common: Mapping) -> Row:
    label = row.get("label")
    if not isinstance(label, str) or not label.strip():
        raise ValueError(f"every [[row]] needs a label, a text; received {label!r}")
    for key, kind in _ROW_KEYS.items():
        if key in row and not isinstance(row[key], kind):
            raise ValueError(
                f"row {label!r}: {key} must be a {kind.__name__}; received {row[key]!r}"
            )
    own = {key: value for key, value in row.items() if key not in _ROW_KEYS}
    settings = {**base, **own, **common}
    published = row.get("published", {})
    _check_keys(settings, _SETTINGS, f"row {label!r}")
    _check_keys(published, METRICS, f"published of row {label!r}")
    for key, value in published.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"row {label!r}: published {key} must be a number; received {value!r}")
    try:
        config = TrainConfig(**settings)
        arch = find(config.arch).override(**config.overrides)
    except ValueError as error:
        raise ValueError(f"row {label!r}: {error}") from error
    settings["arch"] = arch.name  # as a run writes it, whatever the case in the file
    return Row(label, settings, row.get("data"), published, row.get("reference", False))


def _check_keys(content: Iterable[str], known: Iterable[str], what: str) -> None:
    for key in content:
        if key not in known:
            raise ValueError(f"{what} has an unknown key {key!r}; {did_you_mean(key, known)}")


def _check_rows(rows: Sequence[Row]) -> None:
    for row in rows:
        if not row.slug:
            raise ValueError(f"label {row.label!r} has no letter or digit to name a folder after")
    for one, other in itertools.combinations(rows, 2):
        if one.slug == other.slug:
            raise ValueError(f"labels {one.label!r} and {other.label!r} would share {one.slug}/")
        if (one.settings, one.data) == (other.settings, other.data):
            raise ValueError(
                f"the rows {one.label!r} and {other.label!r} have the same settings; leave one out"
            )
    references = [repr(row.label) for row in rows if row.reference]
    if len(references) > 1:
        raise ValueError(f"only one row can be the reference; received {', '.join(references)}")


def _check_factors(factors: Sequence[str], rows: Sequence[Row]) -> None:
    """Checks that the rows are the combinations of the factors' levels."""
    for row, name in itertools.product(rows, factors):
        if name not in row.settings:
            raise ValueError(f"row {row.label!r} has no {name}, which is a factor")
    cells = [tuple(row.settings[name] for name in factors) for row in rows]
    levels = [len(set(each)) for each in zip(*cells, strict=True)]
    if factors and (len(factors) < 2 or min(levels) < 2):
        raise ValueError(f"factors must be two settings or more that vary; received {factors}")
    if factors and not len(rows) == len(set(cells)) == math.prod(levels):
        raise ValueError(
            f"factors need one row for each of the {math.prod(levels)} combinations of "
            f"{' and '.join(factors)}; {len(rows)} rows have {len(set(cells))} of them"
        )
