"""Command `plot`: the paper's figures from run directories."""

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from panns_tf.figures.chart import Chart
from panns_tf.figures.classes import ORDERS, classes
from panns_tf.figures.complexity import complexity
from panns_tf.figures.curves import METRICS, curves
from panns_tf.figures.fewshot import COLUMNS, fewshot
from panns_tf.figures.grouping import describe_data, partition
from panns_tf.run import read_runs
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


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure, from which its command and its part in `plot all` follow.

    ``draw`` takes what the figure ``needs``: "runs" of the same held-out data, "any runs" or none,
    or "files"; and as keywords the files' name and the ``flags``, given by argparse's keywords.
    ``all`` is what `plot all` draws: values of flags by the files' name.
    """

    help: str
    draw: Callable[..., list[Chart]]
    needs: str
    all: Mapping[str, dict]
    flags: Mapping[str, dict] = dataclasses.field(default_factory=dict)


def _flag(help: str, **keywords) -> dict:
    return {"help": help, **keywords}


FIGURES = {
    "curves": Figure(
        "training curves by setting (Figure 4)",
        curves,
        needs="runs",
        all={"curves": {}, "loss": {"metric": "loss"}},
        flags={
            "by": _flag(
                "compare runs by it, or by several, such as sampling+mixup; runs that differ "
                "elsewhere are left out; default: all settings in which they differ",
                metavar="SETTING",
            ),
            "metric": _flag("default mAP", default="mAP", choices=tuple(METRICS)),
            "split": _flag(
                "default held-out", default="held-out", choices=("held-out", "training")
            ),
            "panels": _flag(
                "a panel for each kind of setting, as in Figure 4; default: if that takes in all",
                action=argparse.BooleanOptionalAction,
            ),
        },
    ),
    "complexity": Figure(
        "mAP against multiply-adds (Figure 5)", complexity, "any runs", {"complexity": {}}
    ),
    "classes": Figure(
        "AP class by class (Figures 3 and 12)",
        classes,
        needs="runs",
        all={"classes": {}},
        flags={
            "label_quality": _flag(
                "AudioSet's qa_true_counts.csv; default: that of per_class.csv", metavar="FILE"
            ),
            "top": _flag("the first N classes", type=int, metavar="N"),
            "bottom": _flag("the last N classes", type=int, metavar="N"),
            "order": _flag("default: clips where they are known, else ap", choices=tuple(ORDERS)),
            "evaluation": _flag(
                "which evaluation/NAME of the runs; default: one that they share", metavar="NAME"
            ),
        },
    ),
    "fewshot": Figure("few-shot curves (Figures 6 to 11)", fewshot, "files", {"fewshot": {}}),
}


def add_plot_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a command for each figure."""
    raw = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog, parser.formatter_class = _DESCRIPTION, _EXAMPLES, raw
    commands = parser.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    everything = Figure("every figure that the runs allow", list, "runs", {})
    for name, figure in {**FIGURES, "all": everything}.items():
        files = figure.needs == "files"
        command = commands.add_parser(
            name, help=figure.help, formatter_class=raw, epilog=_RESULTS if files else None
        )
        count, what = "*" if figure.needs == "any runs" else "+", "CSV" if files else "RUN"
        command.add_argument("paths", nargs=count, type=Path, metavar=what)
        command.add_argument("--output", required=True, type=Path, metavar="DIR", help="for files")
        for flag, keywords in figure.flags.items():
            command.add_argument(f"--{flag.replace('_', '-')}", **keywords)


def run_plot(args: argparse.Namespace) -> None:
    """Draws the figures, writes them, and prints a summary of their numbers."""
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
    figure, runs = FIGURES.get(args.figure), []
    if args.paths and not (figure and figure.needs == "files"):
        runs, notes = read_runs(args.paths)
        yield from (f"note: {note}" for note in notes)
    if figure:
        settings = {flag: getattr(args, flag) for flag in figure.flags}
        yield from figure.draw(args.paths if figure.needs == "files" else runs, **settings)
        return
    sets = [(f"-{i}" if i > 1 else "", each) for i, each in enumerate(partition(runs), 1)]
    for end, members in sets if len(sets) > 1 else ():
        names = ", ".join(run.name for run in members)
        yield f"note: figures{end or ' without a number'}: {describe_data(members[0])}: {names}"
    files = [file for path in args.paths for file in sorted(path.rglob("*.csv")) if _fits(file)]
    sources = {"runs": sets, "any runs": [("", runs)], "files": [("", files)]}
    for figure in FIGURES.values():
        for name, settings in figure.all.items():
            for end, source in sources[figure.needs]:
                try:
                    yield from figure.draw(source, name=name + end, **settings)
                except ValueError as error:
                    yield f"{name}{end}: not drawn: {error}"


def _fits(path: Path) -> bool:
    """Whether a file has the columns of results with few clips."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return set(COLUMNS) <= set(file.readline().strip().split(","))
