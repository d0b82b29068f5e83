"""The sections of an evaluation's page: summary, curves, groups and all classes."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from panns_tf.evaluation.class_metadata import ClassMetadata
from panns_tf.evaluation.measures import LEVEL, Measures
from panns_tf.evaluation.report import (
    Chart,
    Column,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    number,
)
from panns_tf.evaluation.scores import Scores
from panns_tf.metrics.ranking import Ranks, class_rows, rank
from panns_tf.style import LIGHT

#: Points of a curve on a page, at most.
POINTS = 100
_GRID = np.linspace(0, 1, POINTS)
_FRAMES = (("Recall", "Precision"), ("False alarms", "Recall"))
_GROUPS = {"branch": "by branch of the ontology"}
_TILES = (
    Tile("mAP", meaning="Mean of the classes' average precision; {chance} at random.", key="mAP"),
    Tile("mAUC", meaning="Mean area under the ROC curve; 0.5 at random.", key="mAUC"),
    Tile("d-prime", meaning="Of the mean AUC; 0 at random.", digits=2, bar=False, key="d_prime"),
    Tile(
        "Accuracy", meaning="Clips whose label scores highest; {guess} at random.", key="accuracy"
    ),
    Tile("Micro AP", meaning="Of all pairs of clip and class in one ranking.", key="mAP_micro"),
    Tile("Weighted mAP", meaning="Classes weighted by their clips.", key="mAP_weighted"),
    Tile("Lift", meaning="mAP over that at random.", digits=1, bar=False, key="lift"),
    Tile(
        "Calibration error",
        meaning="Mean distance of scores from the share that has the class.",
        bar=False,
        key="expected_calibration_error",
    ),
)


def evaluation_sections(
    scores: Scores, measures: Measures, metadata: ClassMetadata, values: dict
) -> list[Section]:
    """Returns the sections that show metrics; ``values`` are what ``metrics.json`` holds."""
    curves = [_curves(rank(*row)) for row in class_rows(scores.target, scores.score)]
    micro = _curves(rank(scores.target.ravel(), scores.score.flatten()))
    charts = [
        _mean_curve("Precision and recall", 0, curves, micro),
        _mean_curve("ROC", 1, curves, micro),
        _reliability(measures),
        _training_clips(scores.labels, measures, metadata),
    ]
    return [
        Section("Summary", [_tiles(measures, values)]),
        Section("Curves", charts, grid=True),
        Section("Groups of classes", _group_tables(measures.groups)),
        Section("All classes", [_class_table(scores.labels, measures, metadata, curves)]),
    ]


def _tiles(measures: Measures, values: dict) -> Tiles:
    words = {"chance": number(values["chance_mAP"]), "guess": number(1 / values["num_classes"])}
    means = measures.summary.as_dict()  # files have no infinity
    tiles = [
        dataclasses.replace(
            tile,
            value=means.get(tile.key, values[tile.key]),
            interval=measures.intervals.get(tile.key, ()),
            meaning=tile.meaning.format(**words),
        )
        for tile in _TILES
        if tile.key != "accuracy" or measures.accuracy is not None
    ]
    note = "Without intervals: the bootstrap was switched off."
    if measures.bootstrap is not None:
        note = (
            f"Intervals of {100 * LEVEL:.0f} % from {len(measures.bootstrap.auc):,} resamples of "
            "the clips: of the choice of clips, not of another training run."
        )
    return Tiles(tiles, note)


def _curves(ranks: Ranks) -> tuple[np.ndarray, np.ndarray] | None:
    """Precision by recall, and recall by false alarms: (points, 2) each; None if undefined."""
    negatives = ranks.num_clips - ranks.positives
    if not ranks.positives or not negatives:
        return None
    # At each score of a positive, highest first: clips of that score or above, and just above.
    true, called, above = ranks.true[::-1], ranks.called[::-1], ranks.above[::-1]
    true_above = np.append(0, true[:-1])
    precision_recall = np.stack([true / ranks.positives, true / called], axis=1)
    ends = np.stack([(called - true) / negatives, true / ranks.positives], axis=1)
    begins = np.stack([(above - true_above) / negatives, true_above / ranks.positives], axis=1)
    roc = np.stack([begins, ends], axis=1).reshape(-1, 2)
    return precision_recall, np.concatenate([[[0, 0]], roc, [[1, 1]]])


def thin(curve: np.ndarray, points: int = POINTS) -> np.ndarray:
    """Keeps both ends and at most so many points, evenly spaced along the curve."""
    if len(curve) <= points:
        return curve
    steps = np.hypot(*np.diff(curve, axis=0).T)
    length = np.insert(np.cumsum(steps), 0, 0)
    kept = np.searchsorted(length, np.linspace(0, length[-1], points))
    return curve[np.unique(kept.clip(0, len(curve) - 1))]


def _mean_curve(title: str, which: int, curves: list, micro: tuple | None) -> Chart:
    defined = [curve[which] for curve in curves if curve is not None]
    if which == 0:  # precision at the first threshold that reaches a recall
        at = [np.searchsorted(curve[:, 0], _GRID - 1e-9) for curve in defined]
    else:  # recall at no more than so many false alarms
        at = [np.searchsorted(curve[:, 0], _GRID + 1e-9) - 1 for curve in defined]
    mean = np.mean([curve[index, 1] for curve, index in zip(defined, at, strict=True)], axis=0)

    def draw(axes) -> None:
        if which == 1:
            axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        if micro is not None:
            axes.plot(*thin(micro[which]).T, "--", color=LIGHT.series[1], label="all pairs (micro)")
        axes.plot(_GRID, mean, color=LIGHT.series[0], label="mean over the classes")
        _unit_square(axes, *_FRAMES[which])
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return Chart(title, draw, f"{title}: mean over the classes, and all pairs in one ranking")


def _unit_square(axes, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)


def _reliability(measures: Measures) -> Chart | Text:
    calibration = measures.calibration
    if calibration is None:
        return Text("Calibration is not shown: scores lie outside [0, 1].")
    used = calibration.count > 0
    counts = calibration.count[used]
    x, y = calibration.confidence[used], calibration.frequency[used]

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        sizes = 6 + 60 * np.log10(np.maximum(counts, 1)) / max(1, np.log10(counts.max()))
        axes.scatter(x, y, s=sizes, color=LIGHT.series[0], gid="bins")
        _unit_square(axes, "Score", "Share that has the class")

    tooltips = [
        f"{count:,} pairs scored {number(a)} on average; {number(b)} have the class"
        for count, a, b in zip(counts, x, y, strict=True)
    ]
    return Chart(
        "Calibration",
        draw,
        "Calibration: mean score and share of positives in bins of the score; expected error "
        f"{number(calibration.expected_error)}",
        "Pairs of clip and class in bins of the score; larger dots hold more of them.",
        {"bins": tooltips},
    )


def _training_clips(
    labels: Sequence[str], measures: Measures, metadata: ClassMetadata
) -> Chart | Text:
    counts, ap = metadata.training_clips, measures.summary.average_precision
    if counts is None:
        return Text("Training clips of the classes are not known: see --training-clips.")
    shown = measures.summary.defined & (counts > 0)

    def draw(axes) -> None:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.scatter(
            counts[shown], ap[shown], s=14, alpha=0.65, color=LIGHT.series[0], gid="classes"
        )
        axes.set(ylim=(-0.02, 1.02), xlabel="Training clips", ylabel="Average precision")

    tooltips = [
        f"{labels[n]}: AP {number(ap[n])}, {counts[n]:,} training clips"
        for n in np.flatnonzero(shown)
    ]
    return Chart(
        "Average precision and training clips",
        draw,
        f"Average precision by training clips of {shown.sum()} classes",
        "A dot for each class with training clips; point at it for its name.",
        {"classes": tooltips},
    )


def _group_tables(groups: Sequence[dict]) -> list[Table]:
    columns = [
        Column("Group"),
        Column("Classes", "count"),
        Column("mAP", "number"),
        Column("mAP, 0 to 1", "bar"),
        Column("mAUC", "number"),
        Column("d-prime", "number", digits=2),
    ]
    tables = []
    for kind in dict.fromkeys(group["kind"] for group in groups):
        names = ("name", "num_classes", "mAP", "mAP", "mAUC", "d_prime")
        rows = [[group[name] for name in names] for group in groups if group["kind"] == kind]
        tables.append(Table(columns, rows, _GROUPS.get(kind, f"by {kind}").capitalize()))
    return tables


def _class_table(
    labels: Sequence[str], measures: Measures, metadata: ClassMetadata, curves: list
) -> Table:
    summary = measures.summary
    ap, auc = (
        list(zip(getattr(summary, name), *measures.class_interval(name).T, strict=True))
        for name in ("average_precision", "auc")
    )
    columns = {
        Column("Class", hint="press a name for its curves"): labels,
        Column("AP", "number", "average precision and its interval"): ap,
        Column("AP, 0 to 1", "bar", "average precision and its interval"): ap,
        Column("AUC", "number", "area under the ROC curve and its interval"): auc,
        Column("Lift", "number", "average precision over chance", digits=1): summary.lift,
        Column("F1", "number", "best F1 over all thresholds"): measures.f1,
        Column("Positives", "count", "evaluated clips with the class"): summary.positives,
    }
    if metadata.training_clips is not None:
        columns[Column("Training clips", "count", "with the class")] = metadata.training_clips
    if metadata.quality is not None:
        column = Column("Label quality", "number", "share of labels that are right", digits=2)
        columns[column] = metadata.quality
    if any(metadata.branches):
        columns[Column("Branch", hint="of the ontology")] = metadata.branches
    order = np.argsort(-np.nan_to_num(summary.average_precision, nan=-1), kind="stable")
    cells = list(zip(*columns.values(), strict=True))
    return Table(
        list(columns),
        [cells[n] for n in order],
        sortable=True,
        search=True,
        least="Positives",
        choose="Branch" if any(metadata.branches) else None,
        details=[_detail(n, measures, curves[n]) for n in order],
        frames=_FRAMES,
    )


def _detail(n: int, measures: Measures, curves: tuple | None) -> tuple[str, list[np.ndarray]]:
    summary, calibration = measures.summary, measures.calibration
    positives, clips = int(summary.positives[n]), summary.num_clips
    words = f"{positives:,} of {clips:,} clips have it."
    if curves is None:
        what = "with" if positives == 0 else "without"
        return f"{words} There is no clip {what} this class, so nothing can be ranked.", []
    words += f" Ranked at random its average precision would be {number(summary.chance[n])}."
    if calibration is not None:
        words += (
            f" Best F1 at a threshold of {number(measures.f1_threshold[n])}; calibration error "
            f"{number(calibration.class_error[n])}."
        )
    return words, [thin(curve) for curve in curves]
