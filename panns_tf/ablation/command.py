"""`python -m panns_tf ablate`: its flags, and what they start."""

import argparse
import difflib
import functools
import os
import shlex
import signal
import tomllib
from collections.abc import Sequence
from pathlib import Path

_HELP = """\
Train the rows of a table, each with several seeds, and make the table: published figures beside,
intervals over seeds, paired differences. GRID is one that comes with the package (table_v to
table_x of the paper, balancing_mixup, networks) or the path of a .toml file like them.

Every run is a train.py in OUT/<row>/seed-<n>/, with its log beside. The same command goes on after
anything: finished runs are not repeated, others resume.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf ablate table_vi --data packed/train --eval-data packed/eval --output vi
  python -m panns_tf ablate table_v --data full=packed/full --data balanced=packed/balanced \\
    --eval-data packed/eval --output v --set arch=Cnn6 --set steps=2000 --dry-run
  python -m panns_tf ablate --output v --table
"""


def add_parser(commands) -> None:
    """Adds the command to those of `python -m panns_tf`."""
    parser = commands.add_parser(
        "ablate",
        help="run a grid of settings and seeds, and make its table",
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("grid", nargs="?", metavar="GRID")
    add("--data", action="append", default=[], metavar="[NAME=]DIR", help="packed training records")
    add("--eval-data", metavar="DIR", help="packed held-out records")
    add("--output", type=Path, required=True, metavar="OUT", help="for the runs and the table")
    add("--seeds", default="1", metavar="N", help="0 to N-1; or a list: 1234,7 (one: 1234,)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for all rows")
    add("--only", nargs="+", metavar="LABEL", help="run these rows alone")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="print what would be run")
    how.add_argument("--table", action="store_true", help="print the table of what is in OUT")
    parser.set_defaults(run=ablate)


def ablate(options: argparse.Namespace, command: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        options: of `add_parser`.
        command: the words that start train.py; None for the one beside the package.

    Returns:
        0, or 1 if a run failed.

    Raises:
        ValueError: for what cannot be run.
        KeyboardInterrupt: after Ctrl-C, when the run under way has written its checkpoint.
    """
    from panns_tf.ablation.plan import note, noted
    from panns_tf.ablation.runner import locked, run_cells, train_command
    from panns_tf.ablation.runs import state_of
    from panns_tf.ablation.table import write_table

    if options.table:
        plan = noted(options.output)
        if options.grid and Path(options.grid).stem != plan.grid.name:
            raise ValueError(f"{options.output} holds the grid {plan.grid.name!r}")
        print(write_table(plan), end="")
        return 0
    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    plan, cells = _plan(options)
    command = train_command() if command is None else command
    if options.dry_run:
        _show(plan, cells, command)
        return 0
    with locked(plan.output) as lock:
        note(plan)
        say = functools.partial(print, flush=True)
        stopped = run_cells(cells, plan.eval_data, command, say, lock)
    if stopped == signal.SIGINT:
        raise KeyboardInterrupt("the same command")
    if stopped:
        print("Continue with the same command.")
        return 0
    print(f"\n{write_table(plan)}", end="")
    print(f"\n{plan.output}/table.md, table.csv, runs.csv")
    return int(any(state_of(cell).status != "finished" for cell in cells))


def _plan(options: argparse.Namespace):
    """The plan that the flags ask for, and those of its runs that are to be run now."""
    from panns_tf.ablation.grid import grid_names, read_grid
    from panns_tf.ablation.plan import Plan, begin, with_data
    from panns_tf.ablation.runs import cells_of
    from tfrecords import load_index

    if not options.grid:
        raise ValueError(f"which grid? One of {', '.join(grid_names())}, or a .toml file")
    if not options.data or not options.eval_data:
        raise ValueError("--data and --eval-data are needed: packed training and held-out records")
    seeds = parse_seeds(options.seeds)
    grid = read_grid(options.grid, parse_settings(options.set))
    data = parse_data(options.data)
    grid = with_data(grid, data, print)
    eval_data = _absolute(options.eval_data)
    for path in (*dict.fromkeys(row.data for row in grid.rows), eval_data):
        load_index(path)  # which says what is wrong with it
    plan = begin(Plan(grid, eval_data, seeds, Path(_absolute(str(options.output)))))
    rows = chosen(grid, options.only) if options.only else grid.rows
    return plan, cells_of(rows, seeds, plan.output)


def _show(plan, cells, command: Sequence[str]) -> None:
    from panns_tf.ablation.runner import flags
    from panns_tf.ablation.runs import state_of

    print(f"{plan.grid.title or plan.grid.name}: {len(cells)} runs in {plan.output}")
    for cell in cells:
        print(f"\n{cell.name}: {state_of(cell).text}")
        print(f"  {shlex.join([*command, *flags(cell, plan.eval_data)])}")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Reads ``5`` as 0 to 4, ``1234,7`` as these two."""
    try:
        found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise ValueError(f"--seeds must be a number of seeds, or a list such as 1,7; got {text!r}")
    if "," in text:
        return tuple(found)
    if not 1 <= found[0] <= 100:
        raise ValueError(
            f"--seeds {text} must be a number of seeds from 1 to 100; for the one seed {text} "
            f"write {text}, with a comma"
        )
    return tuple(range(found[0]))


def parse_settings(words: Sequence[str]) -> dict:
    """Reads ``name=value``, values as TOML has them; what is none of these is a text."""
    settings = {}
    for word in words:
        name, sign, value = word.partition("=")
        name = name.strip().replace("-", "_")
        if not sign or not name:
            raise ValueError(f"--set takes NAME=VALUE, such as steps=200; received {word!r}")
        if name in settings:
            raise ValueError(f"--set gives {name} twice")
        try:
            settings[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[name] = value
    return settings


def parse_data(words: Sequence[str]) -> dict[str | None, str]:
    """Reads ``name=dir`` or ``dir``, where a path with ``=`` in a folder's name stays a path."""
    found = {}
    for word in words:
        name, sign, path = word.partition("=")
        named = bool(sign) and "/" not in name and not Path(word).exists()
        key, path = (name, path) if named else (None, word)
        if key in found:
            raise ValueError(f"--data gives {key or 'a set without a name'} twice")
        found[key] = _absolute(path)
    return found


def chosen(grid, labels: Sequence[str]) -> tuple:
    """The rows of these labels, or names of folders; ValueError names the nearest."""
    for label in labels:
        if not any(label in (row.label, row.slug) for row in grid.rows):
            known = [row.label for row in grid.rows]
            near = difflib.get_close_matches(label, known, n=1, cutoff=0.3) or known
            raise ValueError(f"--only {label!r}: no such row; there are {', '.join(near)}")
    return tuple(row for row in grid.rows if row.label in labels or row.slug in labels)


def _absolute(path: str) -> str:
    """A path that a run finds wherever it is started; addresses stay as they are."""
    return path if "://" in path else os.path.abspath(Path(path).expanduser())  # noqa: PTH100
