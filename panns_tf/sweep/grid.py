"""Grids: the rows of a table and the settings of each, from a TOML file."""

import dataclasses
import itertools
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from panns_tf.config import TrainConfig
from panns_tf.models.registry import find
from tfrecords.flags import Setting, check_setting
from tfrecords.text import did_you_mean

#: The grids that come with the package.
FOLDER = Path(__file__).parents[1] / "grids"
#: The metrics of a table, as ``metrics.json`` names them, with their names for people.
METRICS = {"mAP": "mAP", "mAUC": "mAUC", "d_prime": "d-prime"}
#: Settings but those that the command gives.
_SETTINGS = {field.name for field in dataclasses.fields(TrainConfig)}
_SETTINGS -= {"run_dir", "recipe", "demo", "data", "eval_data", "seed"}
#: Keys of a grid and of its rows with their types; `TrainConfig` knows those of settings.
_KEYS = {"title": str, "source": str, "shows": str, "factors": list, "base": dict, "row": list}
_ROW_KEYS = {"label": str, "data": str, "published": dict, "reference": bool}


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a table, whose settings are of `TrainConfig`, those of all rows included.

    ``data`` is the name of the training set or None for the only one, in a plan its path.
    ``published`` are results of the paper by the names in `METRICS`.
    """

    label: str
    settings: dict
    data: str | None = None
    published: dict[str, float] = dataclasses.field(default_factory=dict)
    reference: bool = False

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9.]+", "-", self.label.lower()).strip("-.")[:80].strip("-.")


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table to be made; the rows are all combinations of ``factors``, if there are any."""

    name: str
    title: str
    source: str
    shows: str
    rows: tuple[Row, ...]
    factors: tuple[str, ...] = ()

    @property
    def reference(self) -> Row:
        """The row that the others are compared with: by default the last."""
        return next((row for row in self.rows if row.reference), self.rows[-1])

    def with_data(self, data: Mapping[str | None, str]) -> tuple["Grid", str]:
        """The rows with the paths of their training sets, and the flags that others lack."""
        names = {row.data for row in self.rows}
        for name in data.keys() - names - {None}:
            known = ", ".join(repr(n) for n in names if n) or "no set by name"
            raise ValueError(f"--data {name}=...: the rows of {self.name} name {known}")
        rows, missing = [], {}
        for row in self.rows:
            if row.data in data:
                rows.append(dataclasses.replace(row, data=data[row.data]))
            else:
                flag = f"--data {row.data}=DIR" if row.data else "--data DIR"
                missing.setdefault(flag, []).append(repr(row.label))
        text = "; ".join(f"{flag} for {', '.join(labels)}" for flag, labels in missing.items())
        if not rows:
            raise ValueError(f"no row of {self.name} has its data; give {text}")
        factors = () if missing else self.factors
        return dataclasses.replace(self, rows=tuple(rows), factors=factors), text


def grid_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_grid(name: str, common: Mapping | None = None) -> Grid:
    """Reads a grid of `grid_names` or a TOML file, and checks it; ``common`` overrides settings."""
    path = Path(name) if "/" in name or name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"no grid {name!r}; expected one of {', '.join(grid_names())}, or the path of a "
            ".toml file"
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return _parsed(path.stem, content, common or {})
    except ValueError as error:  # also of TOML, and of UTF-8
        raise ValueError(f"grid {path}: {error}") from error


def _parsed(name: str, content: dict, common: Mapping) -> Grid:
    _check(content, _KEYS, "the grid")
    texts = {key: content.get(key, "") for key in ("title", "source", "shows")}
    tables, factors = content.get("row"), content.get("factors", [])
    if not tables:
        raise ValueError("it has no [[row]]")
    for key in common:
        if any(key in table for table in tables):
            raise ValueError(f"the rows differ in {key}, so it cannot be set for all of them")
    rows = [_row({**content.get("base", {}), **table, **common}) for table in tables]
    for one, other in itertools.combinations(rows, 2):
        labels = f"the rows {one.label!r} and {other.label!r}"
        if one.slug == other.slug:
            raise ValueError(f"{labels} would share {one.slug}/")
        if (one.settings, one.data) == (other.settings, other.data):
            raise ValueError(f"{labels} have the same settings; leave one out")
        if one.reference and other.reference:
            raise ValueError(f"{labels} are both the reference; one row can be it")
    cells = {tuple(row.settings.get(factor) for factor in factors) for row in rows}
    levels = [set(each) for each in zip(*cells, strict=True)]
    combinations = math.prod(map(len, levels))
    varied = len(levels) > 1 and min(len(each - {None}) for each in levels) > 1
    if factors and not (varied and len(rows) == len(cells) == combinations):
        raise ValueError(
            "factors must be two settings or more that vary, with a row for each combination; "
            f"{len(rows)} rows have {len(cells)} of the {combinations} combinations of "
            f"{' and '.join(map(str, factors))}"
        )
    return Grid(name, **texts, rows=tuple(rows), factors=tuple(factors))


def _row(table: dict) -> Row:
    what = f"row {table.get('label')!r}"
    settings = {key: value for key, value in table.items() if key in _SETTINGS}
    others = {key: value for key, value in table.items() if key not in _SETTINGS}
    _check(others, _ROW_KEYS, what, _SETTINGS)
    _check(others.get("published", {}), dict.fromkeys(METRICS, float), f"published of {what}")
    try:
        row = Row(others.pop("label", ""), settings, **others)
        config = TrainConfig(**settings)
        # As a run writes it, whatever the case in the file.
        settings["arch"] = find(config.arch).override(**config.overrides).name
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    if not row.slug:
        raise ValueError(f"{what} needs a label with a letter or digit, to name a folder after")
    return row


def _check(table: Mapping, kinds: Mapping[str, type], what: str, more: Iterable[str] = ()) -> None:
    """Checks the keys of a table and the types of its values."""
    for key, value in table.items():
        if key not in kinds:
            hint = did_you_mean(key, [*kinds, *more])
            raise ValueError(f"{what} has an unknown key {key!r}; {hint}")
        check_setting(f"{key} of {what}", value, Setting(), (kinds[key],))
