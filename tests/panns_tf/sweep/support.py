"""Grids and finished runs for the tests of ablations."""

import json
import sys
from pathlib import Path

from panns_tf.sweep.grid import Grid, Row
from panns_tf.sweep.runner import Plan

FAKE = [sys.executable, str(Path(__file__).with_name("fake_train.py"))]


def rows_of(*gains: float, steps: int = 5, data: str | None = "train", **published) -> tuple:
    """A row for every gain, which is how much better the fake run is."""
    return tuple(
        Row(
            f"gain {gain:g}",
            {"arch": "Tiny", "steps": steps, "gain": gain},
            data,
            {"mAP": published[f"gain_{place}"]} if f"gain_{place}" in published else {},
        )
        for place, gain in enumerate(gains)
    )


def plan_of(output: Path, rows: tuple, seeds: tuple = (0, 1), **of_the_grid) -> Plan:
    grid = Grid("mine", "My table", "nobody", "nothing", rows, **of_the_grid)
    return Plan(grid, "eval", seeds, output)


def finish(cell, **values) -> None:
    """Makes a run look finished, with these figures."""
    whole = {"mAP": 0.3, "mAUC": 0.9, "d_prime": 1.8, "chance_mAP": 0.1}
    whole |= {"num_clips": 40, "num_classes": 12, "classes_left_out": 0}
    (cell.folder / "evaluation").mkdir(parents=True)
    (cell.folder / "final.keras").write_text("")
    (cell.folder / "evaluation" / "metrics.json").write_text(json.dumps({**whole, **values}))
