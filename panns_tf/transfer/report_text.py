"""A run's results for the terminal."""

import math
from collections.abc import Sequence
from pathlib import Path

from panns_tf.plots.chart import as_text
from panns_tf.plots.fewshot import ALL, name_of
from panns_tf.transfer.beside import beside, with_all_clips
from panns_tf.transfer.certainty import Overall, figure, interval, overall
from panns_tf.transfer.records import by_count, merged, read_records, records_of, summary_of
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.run_info import RunInfo


def printed(run: RunInfo, results: Sequence[FoldResult], output: Path | None = None) -> list[str]:
    """Returns the lines that a command prints at its end.

    Args:
        run: what was run.
        results: of all folds, seeds and numbers of clips.
        output: a folder whose earlier results join the table of strategies and clips.
    """
    groups = by_count(results)
    weights = f" from {run.weights}" if run.weights else ""
    lines = [f"{run.title}: {run.arch}, {name_of(run.strategy)}{weights}; {run.metric}"]
    if not results:
        return [*lines, "no result", *_notes(run, results)]
    last = list(groups)[-1]
    if len(results) > 1 and len(groups) == 1:
        table = as_text(_folds(run, groups[last]), most=60)
        lines += [f"  {line}" for line in table.splitlines()]
    if len(groups) > 1 or last is not None:
        lines += [f"  {line}" for line in _few(run, results, output)]
    lines += [f"  {line}" for line in _summary(run, groups[last], last)]
    return [*lines, *_notes(run, results)]


def _folds(run: RunInfo, results: Sequence[FoldResult]) -> list[tuple]:
    seeds = len({result.seed for result in results}) > 1
    head = ["fold", run.metric, "95 % interval", "training clips", "time"]
    table = [tuple(head[:1] + ["seed"] * seeds + head[1:])]
    for result in results:
        row = [
            value(figure(result, run.metric)),
            between(interval(result, run.metric)),
            f"{result.training_clips}",
            duration(result.seconds),
        ]
        table.append((result.fold, *[str(result.seed)] * seeds, *row))
    return table


def _few(run: RunInfo, results: Sequence[FoldResult], output: Path | None) -> list[str]:
    old = [] if output is None else read_records(output)
    summary = summary_of(merged(old, records_of(run, results)))
    counts, rows = few_table(summary)
    table = [("of each class", *map(_clips, counts)), *rows]
    return [few_title(run.metric, summary), *as_text(table).splitlines()]


def _clips(count: int | str) -> str:
    return "all clips" if count == ALL else f"{count} clip{'s' * (count > 1)}"


def few_title(metric: str, summary: Sequence[dict]) -> str:
    """Says what `few_table` holds."""
    seeds = sorted({row["seeds"] for row in summary})
    if seeds[-1:] == [1]:
        return f"{metric}, mean over folds:"
    many = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[-1]}"
    return f"{metric}, mean and standard deviation over {many} seeds:"


def few_table(summary: Sequence[dict]) -> tuple[list, list[tuple[str, ...]]]:
    """Figures of strategies by number of clips.

    Args:
        summary: of `panns_tf.transfer.records.summary_of`.

    Returns:
        The numbers of clips, the fewest first; and of each strategy its name and a text for each
        number, empty where it was not run.
    """
    counts = {row["clips_per_class"] for row in summary}
    counts = sorted(counts, key=lambda count: math.inf if count == ALL else count)
    cells: dict[str, dict] = {}
    for row in summary:
        spread = "" if row["spread"] is None else f" ± {value(row['spread'])}"
        cells.setdefault(row["strategy"], {})[row["clips_per_class"]] = value(row["mean"]) + spread
    rows = [
        (name_of(name), *(found.get(count, "") for count in counts))
        for name, found in cells.items()
    ]
    return counts, rows


def _summary(run: RunInfo, results: Sequence[FoldResult], count: int | None) -> list[str]:
    whole, other = overall(results, run.metric), beside(run, results)
    lines = [f"{mean_of(whole, count)}: {value(whole.value)} {_range(whole)}".rstrip()]
    if len(results) == 1:
        (one,) = results
        lines.append(f"{one.training_clips} clips learnt from, {len(one.clip_ids)} tested")
    if not math.isnan(whole.fold_spread):
        lines.append(f"spread (standard deviation) over folds: {value(whole.fold_spread)}")
    if not math.isnan(whole.seed_spread):
        lines.append(f"spread (standard deviation) over seeds: {value(whole.seed_spread)}")
    if other.paper is not None:
        lines.append(f"paper (Cnn14): {value(other.paper)}")
    elif other.why_not:
        lines.append(f"paper: {other.why_not}")
    if other.project is not None and with_all_clips(results):
        own = other.project
        began = f" from {own.weights}" if own.weights else ""
        ends = between((own.low, own.high)) if own.low is not None else ""
        known = f" ({ends})" if ends else ""
        lines.append(f"this project ({own.arch}{began}): {value(own.value)}{known}")
    lines.append(f"chance: {value(other.chance)}")
    return lines


def mean_of(whole: Overall, count: int | None) -> str:
    """Says of what a figure is the mean."""
    parts = [f"{whole.folds} folds"] if whole.folds > 1 else []
    parts += [f"{whole.seeds} seeds"] if whole.seeds > 1 else []
    clips = "all clips" if count is None else f"{count} clip{'s' * (count > 1)} of a class"
    what = f"mean of {' and '.join(parts)}" if parts else whole.metric
    return what if count is None else f"{what}, {clips}"


def _range(whole: Overall) -> str:
    ends = between((whole.low, whole.high))
    return f"({ends})" if ends else ""


def _notes(run: RunInfo, results: Sequence[FoldResult]) -> list[str]:
    return [f"note: {note}" for note in all_notes(run, results)]


def all_notes(run: RunInfo, results: Sequence[FoldResult]) -> list[str]:
    """What a reader must be told: of the run, of its folds, and of what has no figure."""
    notes = list(run.notes)
    several = len(results) > 1
    for result in results:
        notes += [f"fold {result.fold}: {note}" if several else note for note in result.notes]
    for count, group in by_count(results).items():
        of = "" if count is None else f"{count} clips of a class: "
        notes += [f"{of}{note}" for note in overall(group, run.metric).notes]
    return list(dict.fromkeys(notes))


def value(number: float | None) -> str:
    """A figure for a person; a dash for none."""
    return "–" if number is None or math.isnan(number) else f"{number:.3f}"


def between(ends: tuple[float | None, float | None]) -> str:
    """An interval for a person; empty for none."""
    if any(end is None or math.isnan(end) for end in ends):
        return ""
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def duration(seconds: float | None) -> str:
    """A time for a person."""
    if seconds is None:
        return "–"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
