"""Command `ablate`: grids of trainings, and their table."""

import argparse
import os
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tfrecords.files import lock
from tfrecords.progress import logger

_HELP = """\
Train the rows of a table, each with several seeds, and make the table: published results beside,
intervals over seeds, paired differences. GRID is one that comes with the package (table_v to
table_x of the paper, balancing_mixup, networks) or the path of a .toml file like them.

Every run is a training in OUT/<row>/seed-<n>/, with its log beside. The same command goes on
after anything: finished runs are not repeated, others resume.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf ablate table_v --data full=packed/full --data balanced=packed/balanced \\
    --eval-data packed/eval --output v --set arch=Cnn6 --set steps=2000 --dry-run
  python -m panns_tf ablate --output v --table
"""


def add_ablate_flags(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _HELP, _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("grid", nargs="?", metavar="GRID")
    add("--data", action="append", default=[], metavar="[NAME=]DIR", help="packed training records")
    add("--eval-data", metavar="DIR", help="packed held-out records")
    add("--output", type=Path, required=True, metavar="OUT", help="for the runs and the table")
    add("--seeds", default="1", metavar="N", help="0 to N-1; or a list: 1234,7 (one: 1234,)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for all rows")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="print what would be run")
    how.add_argument("--table", action="store_true", help="print the table of what is in OUT")


def run_ablate(args: argparse.Namespace) -> int:
    from panns_tf.sweep.grid import grid_names, read_grid
    from panns_tf.sweep.runner import Plan, run_cells, train_command
    from panns_tf.sweep.table import write_table
    from tfrecords import load_index

    if args.table:
        print(write_table(Plan.load(args.output, args.grid and Path(args.grid).stem)), end="")
        return 0
    if not args.grid:
        raise ValueError(f"which grid? One of {', '.join(grid_names())}, or a .toml file")
    if not args.data or not args.eval_data:
        raise ValueError("--data and --eval-data are needed: packed training and held-out records")
    seeds = parse_seeds(args.seeds)
    grid, missing = read_grid(args.grid, parse_settings(args.set)).with_data(parse_data(args.data))
    if missing:
        logger.info(f"Left out for lack of data: give {missing}")
    eval_data = _absolute(args.eval_data)
    for path in (*dict.fromkeys(row.data for row in grid.rows), eval_data):
        load_index(path)  # raises an error for what cannot be read
    plan = Plan(grid, eval_data, seeds, Path(_absolute(str(args.output)))).extended()
    cells, command = plan.cells(seeds), train_command()
    if args.dry_run:
        print(f"{plan.grid.title or plan.grid.name}: {len(cells)} runs in {plan.output}")
        for cell in cells:
            print(f"\n{cell.name}: {cell.progress()}")
            print(f"  {shlex.join([*command, *cell.flags()])}")
        return 0
    with lock(plan.output / "lock", f"another ablation is at work in {plan.output}"):
        plan.save()
        try:
            run_cells(cells, command)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the same command") from None
    print(write_table(plan), end="")
    logger.info(f"{plan.output}/table.md, table.csv, runs.csv")
    return int(any(cell.state()["status"] != "finished" for cell in cells))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Reads ``5`` as 0 to 4, ``1234,7`` as these two."""
    try:
        seeds = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        seeds = []
    if "," not in text:
        seeds = range(*seeds) if seeds and seeds[0] <= 100 else ()
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(
            "--seeds must be a number of seeds from 1 to 100, or a list such as 1,7 (7, for one "
            f"seed alone); received {text!r}"
        )
    return tuple(seeds)


def parse_settings(words: Sequence[str]) -> dict:
    """Reads ``name=value``, values as in TOML; anything else is a text."""
    settings = {}
    for word in words:
        name, sign, value = word.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name or name in settings:
            raise ValueError(
                f"--set takes NAME=VALUE, such as steps=200, each name once; received {word!r}"
            )
        try:
            settings[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[name] = value
    return settings


def parse_data(words: Sequence[str]) -> dict[str | None, str]:
    """Reads ``name=dir`` or ``dir``, where a path with ``=`` in a folder's name stays a path."""
    data = {}
    for word in words:
        name, sign, path = word.partition("=")
        if not sign or "/" in name or Path(word).exists():
            name, path = None, word
        if name in data:
            raise ValueError(f"--data gives {name or 'a set without a name'} twice")
        data[name] = _absolute(path)
    return data


def _absolute(path: str) -> str:
    """A path that a run finds wherever it is started; addresses stay as they are."""
    return path if "://" in path else os.path.abspath(Path(path).expanduser())  # noqa: PTH100
