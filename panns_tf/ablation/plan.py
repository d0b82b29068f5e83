"""What a folder of runs is to become: rows with their data, and seeds; kept in grid.json."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from panns_tf.ablation.grid import Grid, Row
from panns_tf.ablation.runs import Cell, cells_of, check_unchanged, read_json

SNAPSHOT = "grid.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A grid whose rows have the paths of their data, the held-out data, and the seeds."""

    grid: Grid
    eval_data: str
    seeds: tuple[int, ...]
    output: Path

    @property
    def cells(self) -> list[Cell]:
        """Every run."""
        return cells_of(self.grid.rows, self.seeds, self.output)


def with_data(grid: Grid, data: dict[str | None, str], say: Callable[[str], None]) -> Grid:
    """Gives every row the path of its training set; leaves out rows whose set was not given.

    Args:
        grid: whose rows name sets, or none.
        data: paths by name; None for the one without. Alone it, or the only one with a name, is
            for the rows that name none.
        say: prints a line for what is left out.

    Raises:
        ValueError: if no row is left, or a name is in no row.
    """
    names = [row.data for row in grid.rows]
    for name in data:
        if name is not None and name not in names and not (len(data) == 1 and None in names):
            known = ", ".join(dict.fromkeys(repr(n) for n in names if n)) or "no set by name"
            raise ValueError(f"--data {name}=...: the rows of {grid.name} name {known}")
    plain = data.get(None, next(iter(data.values())) if len(data) == 1 else None)
    paths = [data.get(name) if name else plain for name in names]
    missing = {}
    for row, path in zip(grid.rows, paths, strict=True):
        if path is None:
            missing.setdefault(f"--data {row.data}=DIR" if row.data else "--data DIR", []).append(
                row.label
            )
    found = "; ".join(f"{flag} for {', '.join(map(repr, rows))}" for flag, rows in missing.items())
    if len(paths) == paths.count(None):
        raise ValueError(f"no row of {grid.name} has its data; give {found}")
    if missing:
        say(f"Left out for lack of data: give {found}")
    rows = tuple(
        dataclasses.replace(row, data=path)
        for row, path in zip(grid.rows, paths, strict=True)
        if path is not None
    )
    return dataclasses.replace(grid, rows=rows)


def begin(plan: Plan) -> Plan:
    """Checks a plan against what the folder holds, and notes it there.

    Returns:
        The plan, with the seeds of earlier calls as well.

    Raises:
        ValueError: the folder holds another grid, or runs of other settings.
    """
    before = read_json(plan.output / SNAPSHOT)
    if before and before.get("grid", {}).get("name") != plan.grid.name:
        raise ValueError(
            f"{plan.output} holds the grid {before.get('grid', {}).get('name')!r}, not "
            f"{plan.grid.name!r}; choose another --output"
        )
    seeds = tuple(sorted({*plan.seeds, *before.get("seeds", ())}))
    plan = dataclasses.replace(plan, seeds=seeds)
    check_unchanged(plan.cells, plan.eval_data)
    return plan


def note(plan: Plan) -> None:
    """Writes grid.json."""
    content = {
        "grid": dataclasses.asdict(plan.grid),
        "eval_data": plan.eval_data,
        "seeds": plan.seeds,
    }
    plan.output.mkdir(parents=True, exist_ok=True)
    partial = plan.output / f"{SNAPSHOT}.partial"
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(plan.output / SNAPSHOT)


def noted(output: Path) -> Plan:
    """Returns the plan that a folder's grid.json holds; ValueError if there is none."""
    path = output / SNAPSHOT
    if not path.is_file():
        raise ValueError(f"no ablation in {output}: it has no {SNAPSHOT}")
    try:
        content = json.loads(path.read_text())
        grid = content["grid"]
        rows = tuple(Row(**row) for row in grid.pop("rows"))
        lists = {name: tuple(grid.pop(name)) for name in ("varied", "factors")}
        grid = Grid(**grid, **lists, rows=rows)
        return Plan(grid, content["eval_data"], tuple(content["seeds"]), output)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from error
