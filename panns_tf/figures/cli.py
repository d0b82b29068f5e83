"""Command `plot`: the paper's figures from run directories."""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from panns_tf.figures.chart import Chart
from panns_tf.figures.classes import classes
from panns_tf.figures.complexity import complexity
from panns_tf.figures.curves import METRICS, curves
from panns_tf.figures.fewshot import COLUMNS, fewshot
from panns_tf.figures.grouping import describe_data, partition
from panns_tf.run import Run, read_runs
from tfrecords.files import check_output_folder

_DESCRIPTION = """\
Draw the paper's figures from run directories.

RUN is a run directory or a folder that holds some. Runs that differ in their seed alone are one
line or mark, with their mean and range. Each figure is written as NAME.png, NAME-dark.png,
NAME.svg (which turns dark where the reader's system is) and NAME.csv, the numbers drawn; a
summary is printed. What is unfinished, damaged or undefined is reported, and never drawn as zero.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf plot all runs --output figures
  python -m panns_tf plot curves runs --by sampling+mixup --output figures
  python -m panns_tf plot classes runs/a runs/b --top 10 --bottom 10 --output figures
  python -m panns_tf plot fewshot results.csv --output figures
"""
_RESULTS = f"""
CSV: {",".join(COLUMNS)}
with a row for each training. clips_per_class is a whole number or 'all', strategies are scratch,
finetune, freeze_l1 and freeze_l3, or any other name. A task of the paper (esc50, dcase2019_task1,
dcase2018_task2, msos, gtzan, ravdess) gets the paper's results with all clips as hollow marks,
without those whose printed source is in doubt.
"""


#: Figures with their help and what they are drawn of.
_FIGURES = {
    "curves": ("training curves by setting (Figure 4)", "RUN"),
    "complexity": ("mAP against multiply-adds (Figure 5)", "RUN"),
    "classes": ("AP class by class (Figures 3 and 12)", "RUN"),
    "fewshot": ("few-shot curves (Figures 6 to 11)", "CSV"),
    "all": ("every figure that the runs allow", "RUN"),
}


def add_plot_flags(parser: argparse.ArgumentParser) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog, parser.formatter_class = _DESCRIPTION, _EXAMPLES, raw
    commands = parser.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    for name, (about, what) in _FIGURES.items():
        epilog = _RESULTS if what == "CSV" else None
        command = commands.add_parser(name, help=about, formatter_class=raw, epilog=epilog)
        add = command.add_argument
        add("paths", nargs="*" if name == "complexity" else "+", type=Path, metavar=what)
        add("--output", required=True, type=Path, metavar="DIR", help="for files")
        if name == "curves":
            about = "compare runs by it, or by several, such as sampling+mixup; runs that differ "
            about += "elsewhere are left out; default: all settings in which they differ"
            add("--by", metavar="SETTING", help=about)
            add("--metric", default="mAP", choices=tuple(METRICS), help="default mAP")
        elif name == "classes":
            about = "AudioSet's qa_true_counts.csv; default: that of per_class.csv"
            add("--label-quality", metavar="FILE", help=about)
            add("--top", type=int, metavar="N", help="the first N classes")
            add("--bottom", type=int, metavar="N", help="the last N classes")


def run_plot(args: argparse.Namespace) -> None:
    check_output_folder(args.output)
    notes, written = set(), []
    for chart in _charts(args):
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


def _charts(args: argparse.Namespace) -> Iterator[Chart | str]:
    """The charts that are asked for, and lines of what was left out."""
    if args.figure == "fewshot":
        yield from fewshot(args.paths)
        return
    runs, notes = read_runs(args.paths) if args.paths else ([], [])
    yield from (f"note: {note}" for note in notes)
    if args.figure == "curves":
        yield from curves(runs, args.by, args.metric)
    elif args.figure == "complexity":
        yield from complexity(runs)
    elif args.figure == "classes":
        yield from classes(runs, args.label_quality, args.top, args.bottom)
    else:
        yield from _everything(runs, args.paths)


def _everything(runs: Sequence[Run], paths: Sequence[Path]) -> Iterator[Chart | str]:
    """Every chart, those of other held-out data each in a file of their own."""
    files = [file for path in paths for file in sorted(path.rglob("*.csv")) if _fits(file)]
    sets, draws = partition(runs), {}
    for number, members in enumerate(sets, 1):
        end = f"-{number}" if number > 1 else ""
        draws[f"curves{end}"] = partial(curves, members)
        draws[f"loss{end}"] = partial(curves, members, metric="loss")
        draws[f"classes{end}"] = partial(classes, members)
        if len(sets) > 1:
            names = ", ".join(run.name for run in members)
            yield f"note: figures{end or ' without a number'}: {describe_data(members[0])}: {names}"
    draws |= {"complexity": partial(complexity, runs), "fewshot": partial(fewshot, files)}
    for name, draw in draws.items():
        try:
            yield from draw(name=name)
        except ValueError as error:
            yield f"{name}: not drawn: {error}"


def _fits(path: Path) -> bool:
    """Whether a file has the columns of results with few clips."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return set(COLUMNS) <= set(file.readline().strip().split(","))
