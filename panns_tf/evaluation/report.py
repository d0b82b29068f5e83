"""The sections of an evaluation's page: summary, curves, groups, all classes and mistakes."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from panns_tf.evaluation.class_metadata import ClassMetadata
from panns_tf.evaluation.measures import LEVEL, Measures
from panns_tf.evaluation.page import Chart, Clip, Clips, Column, Section, Table, Tile
from panns_tf.evaluation.scores import Scores
from panns_tf.metrics.bootstrap import NONE, Estimate, number
from panns_tf.metrics.ranking import Ranks, class_rows, rank
from panns_tf.style import LIGHT
from tfrecords import load_index
from tfrecords.codecs import resample_clips
from tfrecords.records import RecordReader

#: Mistakes of one clip, and of one class, at most: else one odd clip would fill the page.
_PER_CLIP, _PER_CLASS, _TOP_SCORES = 1, 2, 4
#: Points of a curve on a page, at most.
POINTS = 100
_GRID = np.linspace(0, 1, POINTS)
_FRAMES = (("Recall", "Precision"), ("False alarms", "Recall"))
_GROUPS = {"branch": "by branch of the ontology"}
_TILES = (
    Tile("mAP", None, "Mean of the classes' average precision; {chance} at random.", key="mAP"),
    Tile("mAUC", None, "Mean area under the ROC curve; 0.5 at random.", key="mAUC"),
    Tile("d-prime", None, "Of the mean AUC; 0 at random.", digits=2, bar=False, key="d_prime"),
    Tile("Accuracy", None, "Clips whose label scores highest; {guess} at random.", key="accuracy"),
    Tile("Micro AP", None, "Of all pairs of clip and class in one ranking.", key="mAP_micro"),
    Tile("Weighted mAP", None, "Classes weighted by their clips.", key="mAP_weighted"),
    Tile("Lift", None, "mAP over that at random.", digits=1, bar=False, key="lift"),
    Tile(
        "Calibration error",
        None,
        "Mean distance of scores from the share that has the class.",
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
        Section("Summary", _tiles(measures, values)),
        Section("Curves", charts, grid=True),
        Section("Groups of classes", _group_tables(measures.groups)),
        Section("All classes", [_class_table(scores.labels, measures, metadata, curves)]),
    ]


def _tiles(measures: Measures, values: dict) -> list:
    words = {"chance": number(values["chance_mAP"]), "guess": number(1 / values["num_classes"])}
    means = measures.summary.as_dict()  # files have no infinity
    tiles = [
        dataclasses.replace(
            tile,
            value=_estimate(means.get(tile.key, values[tile.key]), measures, tile.key),
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
    return [tiles, note]


def _estimate(value: float | None, measures: Measures, key: str) -> Estimate | None:
    return None if value is None else Estimate(value, *measures.intervals.get(key, ()))


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


def _reliability(measures: Measures) -> Chart | str:
    calibration = measures.calibration
    if calibration is None:
        return "Calibration is not shown: scores lie outside [0, 1]."
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
) -> Chart | str:
    counts, ap = metadata.training_clips, measures.summary.average_precision
    if counts is None:
        return "Training clips of the classes are not known: see --training-clips."
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
        Column("mAP", "bar"),
        Column("mAUC", "number"),
        Column("d-prime", "number", digits=2),
    ]
    tables = []
    for kind in dict.fromkeys(group["kind"] for group in groups):
        names = ("name", "num_classes", "mAP", "mAUC", "d_prime")
        rows = [[group[name] for name in names] for group in groups if group["kind"] == kind]
        tables.append(Table(columns, rows, _GROUPS.get(kind, f"by {kind}").capitalize()))
    return tables


def _class_table(
    labels: Sequence[str], measures: Measures, metadata: ClassMetadata, curves: list
) -> Table:
    summary = measures.summary
    ap, auc = (
        list(map(Estimate, getattr(summary, name), *measures.class_interval(name).T))
        for name in ("average_precision", "auc")
    )
    columns = {
        Column("Class", hint="press a name for its curves"): labels,
        Column("AP", "bar", "average precision and its interval"): ap,
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
        branches = ["; ".join(names) for names in metadata.branches]
        columns[Column("Branch", hint="of the ontology")] = branches
    order = np.argsort(-np.nan_to_num(summary.average_precision, nan=-1), kind="stable")
    cells = list(zip(*columns.values(), strict=True))
    return Table(
        list(columns),
        [cells[n] for n in order],
        sortable=True,
        least="Positives",
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


def find_mistakes(
    scores: Scores, count: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Returns the most confident false alarms and misses, at most so many of each.

    A false alarm is a clip without the label that outscores a clip with it, or any clip of a
    class that no clip has; a miss is a clip with the label that one without it outscores. In a
    perfect ranking there is neither.

    Args:
        scores: finite ones.
        count: of each kind.

    Returns:
        Clip and class of each, the most confident first.
    """
    target, score = scores.target, scores.score
    lowest_hit = np.where(target, score, np.inf).min(axis=0)
    highest_other = np.where(target, -np.inf, score).max(axis=0)
    alarms = ~target & ((score > lowest_hit) | ~target.any(axis=0))
    misses = target & (score < highest_other)
    return (
        _most_confident(np.where(alarms, score, -np.inf), count),
        _most_confident(np.where(misses, -score, -np.inf), count),
    )


def _most_confident(confidence: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The highest of (clips, classes), few of a clip and of a class; -inf is no mistake."""
    flat = confidence.ravel()
    order = np.argsort(-flat, kind="stable")
    clips, labels, chosen = Counter(), Counter(), []
    for index in order[flat[order] > -np.inf]:
        clip, label = (int(x) for x in divmod(index, confidence.shape[1]))
        if len(chosen) < count and clips[clip] < _PER_CLIP and labels[label] < _PER_CLASS:
            clips[clip] += 1
            labels[label] += 1
            chosen.append((clip, label))
    return chosen


def mistake_blocks(
    scores: Scores, count: int, data: Path, decimation: str, audio: bool = True
) -> list[Clips]:
    """Blocks of a page: so many false alarms and misses, with clips of packed records."""
    alarms, misses = find_mistakes(scores, count)
    rate, labels = scores.meta["sample_rate"], scores.labels
    wanted = [scores.clip_ids[clip] for clip, _ in alarms + misses]
    waveforms = read_clips(data, wanted, rate, decimation)

    def card(clip: int, label: int, what: str) -> Clip:
        score, target, clip_id = scores.score[clip], scores.target[clip], scores.clip_ids[clip]
        top = np.argsort(-score, kind="stable")[:_TOP_SCORES]
        return Clip(
            title=labels[label],
            subtitle=f"{what}, score {number(score[label])}",
            name=clip_id.decode(errors="replace"),
            labels=", ".join(labels[n] for n in np.flatnonzero(target)) or NONE,
            scores=[(labels[n], float(score[n]), bool(target[n])) for n in top],
            waveform=waveforms.get(clip_id),
            sample_rate=rate,
            audible=audio,
        )

    empty = "None: every clip with a label outscores those without."
    note = (
        "The highest scores for labels that the clips do not have. Where labels are incomplete, "
        "as AudioSet's are, some of these are right."
    )
    missed = "The lowest scores for labels that the clips have."
    return [
        Clips([card(*pair, "false alarm") for pair in alarms], "False alarms", note, empty),
        Clips([card(*pair, "missed") for pair in misses], "Misses", missed, empty),
    ]


def read_clips(
    data: Path, clip_ids: list[bytes], sample_rate: int, decimation: str
) -> dict[bytes, np.ndarray]:
    """Reads clips of packed records, except missing and damaged ones: float32 (samples,) by id."""
    index = load_index(data)
    rows = {clip_id: row for row, clip_id in enumerate(index.clip_ids.tolist())}
    wanted = [clip_id for clip_id in dict.fromkeys(clip_ids) if clip_id in rows]
    if not wanted:
        return {}
    stored, damages = RecordReader(index).waveforms(np.array([rows[clip_id] for clip_id in wanted]))
    waveforms = resample_clips(
        np.array(stored),
        stored=index.info.sample_rate,
        wanted=sample_rate,
        resample=decimation,
    )
    return {
        clip_id: waveforms[row].astype(np.float32) / 32767
        for row, clip_id in enumerate(wanted)
        if row not in damages
    }
