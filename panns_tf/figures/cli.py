"""Command `plot`: the paper's figures from run directories."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfrecords.files import check_output_folder

if TYPE_CHECKING:
    from panns_tf.figures.chart import Chart
    from panns_tf.run import Run

#: Of many classes, how many from each end make a figure that is read at a glance.
ENDS = 15

_DESCRIPTION = """\
Draw the paper's figures from run directories.

RUN is a run directory or a folder that holds some. Runs that differ in their seed alone are one
line or mark, with their mean and range. Each figure is written as NAME.png, NAME-dark.png,
NAME.svg (which turns dark where the reader's system is) and NAME.csv, the numbers drawn; a
summary is printed. What is unfinished, damaged or undefined is reported, and never drawn as zero.
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


def add_plot_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a command for each figure."""
    raw = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog, parser.formatter_class = _DESCRIPTION, _EXAMPLES, raw
    figures = parser.add_subparsers(title="figures", required=True, metavar="FIGURE")

    def add(name: str, help: str, charts: Callable, count: str, what: str = "RUN"):
        figure = figures.add_parser(name, help=help, description=f"Draw {help}.")
        figure.add_argument("paths", nargs=count, type=Path, metavar=what)
        figure.add_argument("--output", required=True, type=Path, metavar="DIR", help="for files")
        figure.set_defaults(charts=charts)
        return figure

    curves = add("curves", "training curves by setting (Figure 4)", _curves, "+")
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

    add("complexity", "mAP against multiply-adds (Figure 5)", _complexity, "*")

    classes = add("classes", "AP class by class (Figures 3 and 12)", _classes, "+")
    classes.add_argument(
        "--label-quality",
        type=Path,
        metavar="FILE",
        help="AudioSet's qa_true_counts.csv; default: that of per_class.csv",
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

    fewshot = add("fewshot", "few-shot curves (Figures 6 to 11)", _fewshot, "+", "CSV")
    fewshot.description, fewshot.formatter_class = _FEWSHOT, raw

    add("all", "every figure that the runs allow", _all, "+")


def run_plot(args: argparse.Namespace) -> None:
    """Draws the figures, writes them, and prints a summary of their numbers.

    Raises:
        ValueError: if no figure can be drawn.
    """
    check_output_folder(args.output)
    notes, written = set(), []
    for chart in args.charts(args):
        if isinstance(chart, str):
            print(f"{chart}\n")
            continue
        written += chart.save(args.output)
        print(f"{chart.name}\n\n{chart.summary()}\n")
        fresh = [note for note in chart.notes if note not in notes]
        print("".join(f"note: {note}\n" for note in fresh))
        notes |= set(fresh)
    if not written:
        raise ValueError("no figure could be drawn")
    print(f"Written: {', '.join(map(str, written))}")


def _read(paths: Sequence[Path]) -> "tuple[list[Run], list[str]]":
    from panns_tf.run import read_runs

    runs, notes = read_runs(paths)
    return runs, [f"note: {note}" for note in notes]


def _curves(args: argparse.Namespace) -> "Iterator[Chart | str]":
    from panns_tf.figures.curves import curves

    runs, notes = _read(args.paths)
    yield from notes
    by = [name for name in args.by.replace(",", "+").split("+") if name]
    name = {"mAP": "curves", "loss": "loss"}.get(args.metric, f"curves_{args.metric}")
    name += "_training" if args.split == "training" and args.metric != "loss" else ""
    yield curves(runs, by, args.metric, args.split, args.panels, name=name)


def _complexity(args: argparse.Namespace) -> "Iterator[Chart | str]":
    runs, notes = _read(args.paths) if args.paths else ([], [])
    yield from notes
    yield _complexity_chart(runs)


def _complexity_chart(runs: "Sequence[Run]") -> "Chart":
    from panns_tf.figures.complexity import complexity
    from tfrecords.commands import import_tensorflow_quietly

    if runs:  # their operations are counted by Keras
        import_tensorflow_quietly()

    return complexity(runs)


def _classes(args: argparse.Namespace) -> "Iterator[Chart | str]":
    from panns_tf.figures.classes import classes

    runs, notes = _read(args.paths)
    yield from notes
    settings = {"order": args.order, "evaluation": args.evaluation}
    if args.label_quality:
        from panns_tf.metrics.class_groups import read_label_quality

        settings["quality"] = read_label_quality(args.label_quality, len(runs[0].labels))
    if args.top is None and args.bottom is None:
        yield from _class_charts(runs, "classes", **settings)
    else:
        yield classes(runs, top=args.top, bottom=args.bottom, **settings)


def _class_charts(runs: "Sequence[Run]", name: str, **settings) -> "Iterator[Chart]":
    """All classes; of many also the two ends of their order, as Figure 3 beside Figure 12."""
    from panns_tf.figures.classes import TALLEST, classes

    many = max(len(run.labels) for run in runs) > TALLEST
    if many:
        yield classes(runs, top=ENDS, bottom=ENDS, name=name, **settings)
    yield classes(runs, name=f"{name}_all" if many else name, **settings)


def _fewshot(args: argparse.Namespace) -> "Iterator[Chart | str]":
    from panns_tf.figures.fewshot import fewshot

    yield fewshot(args.paths)


def _all(args: argparse.Namespace) -> "Iterator[Chart | str]":
    """Every figure; for one that the runs do not allow, a line with the reason."""
    from panns_tf.figures.curves import curves
    from panns_tf.figures.fewshot import COLUMNS, fewshot
    from panns_tf.figures.held_out import describe_data, partition

    runs, notes = _read(args.paths)
    yield from notes
    sets = partition(runs)
    suffixes = ["", *(f"-{i}" for i in range(2, len(sets) + 1))]
    numbered = list(zip(suffixes, sets, strict=True))
    for suffix, members in numbered if len(sets) > 1 else ():
        names = ", ".join(run.name for run in members)
        yield f"note: figures{suffix or ' without a number'}: {describe_data(members[0])}: {names}"

    def attempt(name: str, make: Callable) -> "Iterator[Chart | str]":
        try:
            yield from list(make(name))
        except ValueError as error:
            yield f"{name}: not drawn: {error}"

    for name, metric in (("curves", "mAP"), ("loss", "loss")):
        for end, each in numbered:
            yield from attempt(name + end, lambda n, r=each, m=metric: [curves(r, (), m, name=n)])
    yield from attempt("complexity", lambda _: [_complexity_chart(runs)])
    for end, each in numbered:
        yield from attempt(f"classes{end}", lambda name, r=each: _class_charts(r, name))
    files = [
        file
        for path in args.paths
        for file in sorted(path.rglob("*.csv"))
        if set(COLUMNS) <= set(_first_line(file).split(","))
    ]
    if files:
        yield from attempt("fewshot", lambda _: [fewshot(files)])
    else:
        yield "fewshot: not drawn: no result file among the runs; see plot fewshot --help"


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline().strip()
