"""Grids: a small file that names the rows of a table and the settings that make them."""

import dataclasses
import difflib
import itertools
import re
import tomllib
from pathlib import Path

from panns_tf.config import TrainConfig

#: Where the grids that come with the package lie.
FOLDER = Path(__file__).parents[1] / "grids"
#: The figures of a table's row, as `metrics.json` names them.
METRICS = ("mAP", "mAUC", "d_prime")
#: Settings that the command gives, or a row in a way of its own.
_OF_THE_COMMAND = ("run_dir", "recipe", "demo", "data", "eval_data", "seed")
_OF_A_GRID = ("title", "source", "shows", "factors", "base", "row")


#: Letters of a folder's name.
_LONGEST = 80


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: as the table says it.
        settings: of `TrainConfig`, those of all rows included.
        data: which of the named training sets, or None for the only one; in a plan its path.
        published: figures of the paper by the names in `METRICS`; those it lacks are left out.
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
        return re.sub(r"[^a-z0-9.]+", "-", self.label.lower()).strip("-.")[:_LONGEST].strip("-.")

    def config(self, **of_the_run) -> TrainConfig:
        """The configuration of a run of this row."""
        return TrainConfig(**{**self.settings, **of_the_run})


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table to be made.

    Attributes:
        name: the file's name without its ending.
        title, source, shows: what the table is of, where its published figures come from, and what
            is to be seen in it.
        rows: exactly one of them is the reference.
        varied: settings that rows give themselves.
        factors: settings whose combinations the rows are, all of them, or nothing.
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
        """The row that the others are compared with."""
        return next((row for row in self.rows if row.reference), self.rows[-1])


def grid_names() -> list[str]:
    """Returns the names of the grids that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_grid(name: str) -> Path:
    """Returns the file of a grid, by its name or its own path; ValueError if there is none."""
    path = Path(name) if "/" in name or name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"no grid {name!r}; expected one of {', '.join(grid_names())}, or the path of a "
            ".toml file"
        )
    return path


def read_grid(name: str, given: dict | None = None) -> Grid:
    """Reads a grid and checks every row of it.

    Args:
        name: one of `grid_names`, or the path of a TOML file.
        given: settings for all rows, which go before the file's.

    Raises:
        ValueError: no such grid, no TOML, an unknown key, a row that cannot be run, two rows of
            the same label, or given settings that are what the rows differ in.
    """
    path = find_grid(name)
    try:
        content = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"grid {path} is no TOML: {error}") from error
    try:
        return _parse(path.stem, content, given or {})
    except ValueError as error:
        raise ValueError(f"grid {path}: {error}") from error


def _parse(name: str, content: dict, given: dict) -> Grid:
    _check_keys(content, _OF_A_GRID, "the grid")
    rows = content.get("row")
    if not isinstance(rows, list) or not rows:
        raise ValueError("it has no [[row]]")
    texts = {key: content.get(key, "") for key in ("title", "source", "shows")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise ValueError(f"{key} must be a text; received {text!r}")
    base, factors = content.get("base", {}), content.get("factors", [])
    if not isinstance(factors, list) or not all(isinstance(name, str) for name in factors):
        raise ValueError(f"factors must be a list of settings; received {factors!r}")
    own = [_own_settings(row) for row in rows]
    varied = tuple(dict.fromkeys(itertools.chain(*own)))
    for key in given:
        if key in varied:
            raise ValueError(f"the rows differ in {key}, so it cannot be set for all of them")
    made = tuple(
        _row(row, {**base, **settings, **given}) for row, settings in zip(rows, own, strict=True)
    )
    _check_rows(made)
    _check_factors(tuple(factors), made)
    _check_different(made)
    return Grid(name, **texts, rows=made, varied=varied, factors=tuple(factors))


def _own_settings(row: dict) -> dict:
    if not isinstance(row, dict):
        raise ValueError("rows are written as [[row]]")
    of_a_row = {field.name for field in dataclasses.fields(Row)} - {"settings"}
    return {key: value for key, value in row.items() if key not in of_a_row}


def _row(row: dict, settings: dict) -> Row:
    from panns_tf.models import find
    from panns_tf.training.recipes import check_settings

    label = row.get("label")
    if not isinstance(label, str) or not label.strip():
        raise ValueError(f"every [[row]] needs a label, a text; received {label!r}")
    where = f"row {label!r}"
    check_settings(settings, where, but=_OF_THE_COMMAND)
    for key, kind in (("data", str), ("published", dict), ("reference", bool)):
        if key in row and not isinstance(row[key], kind):
            raise ValueError(f"{where}: {key} must be a {kind.__name__}; received {row[key]!r}")
    published = row.get("published", {})
    _check_keys(published, METRICS, f"published of {where}")
    for key, value in published.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{where}: published {key} must be a number; received {value!r}")
    try:
        config = TrainConfig(**settings)
        find(config.arch).override(**config.overrides)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    # As train.py writes it, whatever the case in the file.
    settings = {**settings, "arch": find(config.arch).name}
    return Row(label, settings, row.get("data"), published, row.get("reference", False))


def _check_keys(content: dict, known: tuple[str, ...], what: str) -> None:
    for key in content:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"{what} has an unknown key {key!r}; {hint}")


def _check_rows(rows: tuple[Row, ...]) -> None:
    slugs = {}
    for row in rows:
        if not row.slug:
            raise ValueError(f"label {row.label!r} has no letter or digit to name a folder after")
        if row.slug in slugs:
            other = slugs[row.slug]
            raise ValueError(f"the labels {other!r} and {row.label!r} would share {row.slug}/")
        slugs[row.slug] = row.label
    references = [repr(row.label) for row in rows if row.reference]
    if len(references) > 1:
        raise ValueError(f"only one row can be the reference; received {', '.join(references)}")


def _check_different(rows: tuple[Row, ...]) -> None:
    for first, second in itertools.combinations(rows, 2):
        if (first.settings, first.data) == (second.settings, second.data):
            raise ValueError(
                f"the rows {first.label!r} and {second.label!r} have the same settings; leave one "
                "out"
            )


def _check_factors(factors: tuple[str, ...], rows: tuple[Row, ...]) -> None:
    """Raises a ValueError unless the rows are the combinations of the factors' levels."""
    if not factors:
        return
    if len(factors) < 2 or len(set(factors)) < len(factors):
        raise ValueError(f"factors must be two settings or more; received {list(factors)}")
    for row in rows:
        for name in factors:
            if name not in row.settings:
                raise ValueError(f"row {row.label!r} does not say {name}, which is a factor")
    places = [tuple(row.settings[name] for name in factors) for row in rows]
    levels = [list(dict.fromkeys(level)) for level in zip(*places, strict=True)]
    for name, found in zip(factors, levels, strict=True):
        if len(found) < 2:
            raise ValueError(f"the factor {name} is {found[0]!r} in all rows")
    for place in itertools.product(*levels):
        if places.count(place) != 1:
            what = " and ".join(f"{n} = {v!r}" for n, v in zip(factors, place, strict=True))
            raise ValueError(
                f"factors need one row for every combination; {places.count(place)} have {what}"
            )
