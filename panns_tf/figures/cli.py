"""Command `plot`: the paper's figures from run directories."""

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from panns_tf.figures.chart import Chart
from panns_tf.figures.classes import ORDERS, TALLEST, classes
from panns_tf.figures.complexity import complexity
from panns_tf.figures.curves import METRICS, curves
from panns_tf.figures.fewshot import COLUMNS, fewshot
from panns_tf.figures.grouping import describe_data, partition
from panns_tf.run import Run, read_runs
from tfrecords.files import check_output_folder

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


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", "+").split("+") if name]


def _classes(runs: Sequence[Run], name: str = "classes", **settings) -> list[Chart]:
    """All classes; of many also the two ends of their order, as Figure 3 beside Figure 12."""
    chosen = settings.get("top") is not None or settings.get("bottom") is not None
    if chosen or max(len(run.labels) for run in runs) <= TALLEST:
        return [classes(runs, name=name, **settings)]
    ends = {**settings, "top": ENDS, "bottom": ENDS}
    return [classes(runs, name=name, **ends), classes(runs, name=f"{name}_all", **settings)]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure, from which its command and its part in `plot all` follow.

    Attributes:
        help: what it shows, and its number in the paper.
        draw: a function of what it needs, the files' name and the flags' values.
        needs: ``"runs"`` of the same held-out data, ``"any runs"`` or none, or ``"files"``.
        flags: keywords of argparse by the flag's name.
        all: what `plot all` draws: values of flags by the files' name.
        description: for ``--help``.
    """

    help: str
    draw: Callable[..., Chart | list[Chart]]
    needs: str
    flags: Mapping[str, dict]
    all: Mapping[str, dict]
    description: str = ""


FIGURES = {
    "curves": Figure(
        "training curves by setting (Figure 4)",
        curves,
        needs="runs",
        flags={
            "by": {
                "type": _names,
                "default": (),
                "metavar": "SETTING",
                "help": "compare runs by it, or by several, such as sampling+mixup; runs that "
                "differ elsewhere are left out; default: all settings in which they differ",
            },
            "metric": {"default": "mAP", "choices": tuple(METRICS), "help": "default mAP"},
            "split": {"default": "held-out", "choices": ("held-out", "training")},
            "panels": {
                "action": argparse.BooleanOptionalAction,
                "help": "a panel for each kind of setting, as in Figure 4; default: if that takes "
                "in all runs",
            },
        },
        all={"curves": {}, "loss": {"metric": "loss"}},
    ),
    "complexity": Figure(
        "mAP against multiply-adds (Figure 5)",
        complexity,
        needs="any runs",
        flags={},
        all={"complexity": {}},
    ),
    "classes": Figure(
        "AP class by class (Figures 3 and 12)",
        _classes,
        needs="runs",
        flags={
            "label_quality": {
                "type": Path,
                "metavar": "FILE",
                "help": "AudioSet's qa_true_counts.csv; default: that of per_class.csv",
            },
            "top": {"type": int, "metavar": "N", "help": "the first N classes"},
            "bottom": {"type": int, "metavar": "N", "help": "the last N classes"},
            "order": {
                "choices": tuple(ORDERS),
                "help": "by training clips, by AP or by name; default: clips where they are known",
            },
            "evaluation": {
                "metavar": "NAME",
                "help": "which evaluation/NAME of the runs; default: one that they share",
            },
        },
        all={"classes": {}},
    ),
    "fewshot": Figure(
        "few-shot curves (Figures 6 to 11)",
        fewshot,
        needs="files",
        flags={},
        all={"fewshot": {}},
        description=_FEWSHOT,
    ),
}
#: Every figure that the runs allow.
_ALL = Figure("every figure that the runs allow", list, needs="runs", flags={}, all={})


def add_plot_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a command for each figure."""
    raw = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog, parser.formatter_class = _DESCRIPTION, _EXAMPLES, raw
    commands = parser.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    for name, figure in {**FIGURES, "all": _ALL}.items():
        description = figure.description or f"Draw {figure.help}."
        command = commands.add_parser(
            name, help=figure.help, description=description, formatter_class=raw
        )
        count = "*" if figure.needs == "any runs" else "+"
        what = "CSV" if figure.needs == "files" else "RUN"
        command.add_argument("paths", nargs=count, type=Path, metavar=what)
        command.add_argument("--output", required=True, type=Path, metavar="DIR", help="for files")
        for flag, keywords in figure.flags.items():
            command.add_argument(f"--{flag.replace('_', '-')}", **keywords)


def run_plot(args: argparse.Namespace) -> None:
    """Draws the figures, writes them, and prints a summary of their numbers.

    Raises:
        ValueError: if no figure can be drawn.
    """
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
    figure = FIGURES.get(args.figure)
    if figure and figure.needs == "files":
        yield from _drawn(figure, args.paths)
        return
    runs, notes = read_runs(args.paths) if args.paths else ([], [])
    yield from (f"note: {note}" for note in notes)
    if figure:
        yield from _drawn(figure, runs, **{flag: getattr(args, flag) for flag in figure.flags})
        return
    sets = partition(runs)
    numbered = [(f"-{i}" if i > 1 else "", members) for i, members in enumerate(sets, 1)]
    for end, members in numbered if len(sets) > 1 else ():
        names = ", ".join(run.name for run in members)
        yield f"note: figures{end or ' without a number'}: {describe_data(members[0])}: {names}"
    files = [
        file for path in args.paths for file in sorted(path.rglob("*.csv")) if _is_result(file)
    ]
    sources = {"runs": numbered, "any runs": [("", runs)], "files": [("", files)]}
    for figure in FIGURES.values():
        for name, settings in figure.all.items():
            for end, source in sources[figure.needs]:
                try:
                    yield from _drawn(figure, source, name=name + end, **settings)
                except ValueError as error:
                    yield f"{name}{end}: not drawn: {error}"


def _drawn(figure: Figure, source: Sequence, **settings) -> list[Chart]:
    charts = figure.draw(source, **settings)
    return [charts] if isinstance(charts, Chart) else charts


def _is_result(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return set(COLUMNS) <= set(file.readline().strip().split(","))
