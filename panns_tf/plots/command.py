"""`python -m panns_tf plot`: the command line of the figures."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from panns_tf.commands import writable_folder

if TYPE_CHECKING:
    from panns_tf.plots.chart import Chart
    from panns_tf.plots.runs import Run

#: Of many classes, how many from each end make a figure that is read at a glance.
ENDS = 15

_DESCRIPTION = """\
Draw the paper's figures from run directories.

RUN is a run directory or a folder that holds some. Runs that differ in their seed alone are one
line or mark, with their mean and range. Each figure is written as NAME.png, NAME-dark.png,
NAME.svg (which turns dark where the reader's system is) and NAME.csv, the numbers drawn; they are
printed in short. What is unfinished, damaged or undefined is said, and never drawn as zero.
"""
_FEWSHOT = """\
Draw Figures 6 to 11 from result files: CSV with the columns

  task,strategy,clips_per_class,seed,metric,value

one row for each training. clips_per_class is a whole number or 'all'. Strategies are scratch,
finetune, freeze_l1 and freeze_l3, or any other name. A task that is one of esc50,
dcase2019_task1, dcase2018_task2, msos, gtzan and ravdess gets the paper's results with all clips
as hollow marks, without those whose printed source is in doubt.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf plot all runs --output figures
  python -m panns_tf plot curves runs --by sampling+mixup --output figures
  python -m panns_tf plot complexity --output figures
  python -m panns_tf plot classes runs/a runs/b --top 10 --bottom 10 --output figures
  python -m panns_tf plot fewshot results.csv --output figures
"""


def add_parser(commands) -> None:
    """Adds `plot` and its own commands to those of ``python -m panns_tf``."""
    raw = argparse.RawDescriptionHelpFormatter
    plot = commands.add_parser(
        "plot",
        help="the paper's figures, from run directories",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=raw,
    )
    figures = plot.add_subparsers(title="figures", required=True, metavar="FIGURE")

    curves = _figure(figures, "curves", "training curves by setting (Figure 4)", _curves, "+")
    curves.add_argument(
        "--by",
        default="",
        metavar="SETTING",
        help="compare runs by it, or by several, such as sampling+mixup; runs that differ "
        "elsewhere are left out; default: all settings in which they differ",
    )
    curves.add_argument(
        "--metric", default="mAP", choices=("mAP", "mAUC", "d_prime", "loss"), help="default mAP"
    )
    curves.add_argument("--split", default="held-out", choices=("held-out", "training"))
    curves.add_argument(
        "--panels",
        action=argparse.BooleanOptionalAction,
        help="a panel for each kind of setting, as in Figure 4; default: if that takes in all runs",
    )

    _figure(figures, "complexity", "mAP against multiply-adds (Figure 5)", _complexity, "*")

    classes = _figure(figures, "classes", "AP class by class (Figures 3 and 12)", _classes, "+")
    classes.add_argument(
        "--label-quality",
        type=Path,
        metavar="FILE",
        help="AudioSet's qa_true_counts.csv; default: what per_class.csv says",
    )
    for name, end in (("top", "first"), ("bottom", "last")):
        classes.add_argument(f"--{name}", type=int, metavar="N", help=f"the {end} N classes")
    classes.add_argument(
        "--order",
        choices=("clips", "ap", "name"),
        help="by training clips, by AP or by name; default: clips where they are known",
    )
    classes.add_argument(
        "--evaluation",
        metavar="NAME",
        help="which evaluation/NAME of the runs; default: one that they share",
    )

    fewshot = _figure(figures, "fewshot", "few-shot curves (Figures 6 to 11)", _fewshot, "+", "CSV")
    fewshot.description, fewshot.formatter_class = _FEWSHOT, raw

    _figure(figures, "all", "every figure that the runs allow", _all, "+")


def _figure(figures, name: str, said: str, made: Callable, count: str, what: str = "RUN"):
    parser = figures.add_parser(name, help=said, description=f"Draw {said}.")
    parser.add_argument("paths", nargs=count, type=Path, metavar=what)
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for the files")
    parser.set_defaults(run=_draw, charts=made)
    return parser


def _draw(options: argparse.Namespace) -> None:
    """Makes the charts of a command, writes them, and prints their numbers in short."""
    from panns_tf.plots.chart import as_text

    writable_folder(options.output)
    seen, written = set(), []
    for made in options.charts(options):
        if isinstance(made, str):
            print(f"{made}\n")
            continue
        written += made.save(options.output)
        print(f"{made.name}\n\n{as_text(made.table)}\n")
        for note in made.notes:
            if note not in seen:
                print(f"note: {note}")
        print("\n" if set(made.notes) - seen else "", end="")
        seen |= set(made.notes)
    if written:
        print(f"Written: {', '.join(map(str, written))}")
    else:
        raise ValueError("no figure could be drawn")


def _read(paths: Sequence[Path]) -> "tuple[list[Run], list[str]]":
    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.plots.runs import read_runs

    runs, notes = read_runs(paths)
    return runs, [f"note: {note}" for note in notes]


def _curves(options: argparse.Namespace) -> "Iterator[Chart | str]":
    runs, notes = _read(options.paths)
    yield from notes
    from panns_tf.plots.curves import curves

    by = [name for name in options.by.replace(",", "+").split("+") if name]
    what = {"mAP": "curves", "loss": "loss"}.get(options.metric, f"curves_{options.metric}")
    what += "_training" if options.split == "training" and options.metric != "loss" else ""
    yield curves(runs, by, options.metric, options.split, options.panels, name=what)


def _complexity(options: argparse.Namespace) -> "Iterator[Chart | str]":
    runs, notes = [], []
    if options.paths:
        runs, notes = _read(options.paths)
    else:
        from tfrecords.quiet import import_tensorflow_quietly

        import_tensorflow_quietly()
    yield from notes
    from panns_tf.plots.complexity import complexity

    yield complexity(runs)


def _classes(options: argparse.Namespace) -> "Iterator[Chart | str]":
    runs, notes = _read(options.paths)
    yield from notes
    from panns_tf.plots.classes import classes, read_quality

    quality = None
    if options.label_quality:
        quality = read_quality(options.label_quality, len(runs[0].labels))
    settings = {
        "quality": quality,
        "order": options.order,
        "evaluation": options.evaluation,
    }
    if options.top is None and options.bottom is None:
        yield from _class_charts(runs, "classes", **settings)
    else:
        yield classes(runs, top=options.top, bottom=options.bottom, **settings)


def _class_charts(runs: "Sequence[Run]", name: str, **settings) -> "Iterator[Chart]":
    """All classes; of many also the two ends of their order, as Figure 3 beside Figure 12."""
    from panns_tf.plots.classes import MANY, classes

    many = max(len(run.labels) for run in runs) > MANY
    if many:
        yield classes(runs, top=ENDS, bottom=ENDS, name=name, **settings)
    yield classes(runs, name=f"{name}_all" if many else name, **settings)


def _fewshot(options: argparse.Namespace) -> "Iterator[Chart | str]":
    from panns_tf.plots.fewshot import fewshot

    yield fewshot(options.paths)


def _all(options: argparse.Namespace) -> "Iterator[Chart | str]":
    """Every figure; for one that the runs do not allow, a line that says why."""
    runs, notes = _read(options.paths)
    yield from notes
    from panns_tf.plots.complexity import complexity
    from panns_tf.plots.curves import curves
    from panns_tf.plots.fewshot import fewshot
    from panns_tf.plots.held_out import data_of, partition

    sets = partition(runs)
    for suffix, members in _numbered(sets) if len(sets) > 1 else ():
        names = ", ".join(run.name for run in members)
        yield f"note: figures{suffix or ' without a number'}: {data_of(members[0])}: {names}"
    for name, metric in (("curves", "mAP"), ("loss", "loss")):
        for suffix, members in _numbered(sets):
            yield from _tried(
                name + suffix,
                lambda m=members, n=name + suffix, k=metric: [curves(m, (), k, name=n)],
            )
    yield from _tried("complexity", lambda: [complexity(runs)])
    for suffix, members in _numbered(sets):
        name = f"classes{suffix}"
        yield from _tried(name, lambda m=members, n=name: list(_class_charts(m, n)))
    files = sorted(file for path in options.paths for file in path.rglob("*.csv") if _holds(file))
    if files:
        yield from _tried("fewshot", lambda: [fewshot(files)])
    else:
        yield "fewshot: not drawn: no result file among the runs; see plot fewshot --help"


def _numbered(sets: Sequence) -> list[tuple[str, list]]:
    return [("" if i == 0 else f"-{i + 1}", members) for i, members in enumerate(sets)]


def _tried(name: str, make: Callable) -> "Iterator[Chart | str]":
    try:
        charts = make()
    except ValueError as error:
        yield f"{name}: not drawn: {error}"
        return
    yield from charts


def _holds(file: Path) -> bool:
    """Whether a CSV file holds few-shot results."""
    from panns_tf.plots.fewshot import COLUMNS

    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        return set(COLUMNS) <= set(lines.readline().strip().split(","))
