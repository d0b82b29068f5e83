"""The sections of an evaluation's page: summary, curves, groups, all classes and mistakes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from panns_tf import metrics
from panns_tf.evaluation.measures import Measures
from panns_tf.evaluation.page import Chart, Clip, Clips, Column, Section, Table, Tile
from panns_tf.evaluation.scores import Scores
from panns_tf.metrics import METRICS, Estimate
from panns_tf.metrics.bootstrap import LEVEL, NONE, number
from panns_tf.metrics.ranking import class_rows
from panns_tf.style import LIGHT
from tfrecords import load_index
from tfrecords.codecs import resample_clips
from tfrecords.records import RecordReader

# Where curves are drawn.
_GRID = np.linspace(0, 1, 101)
_FRAMES = (("Recall", "Precision"), ("False alarms", "Recall"))
#: Mistakes of one clip, and of one class, at most: else one odd clip would fill the page.
_PER_CLIP, _PER_CLASS = 1, 2


def evaluation_sections(scores: Scores, measures: Measures) -> list[Section]:
    """The sections that show metrics."""
    curves = [_curves(*row) for row in class_rows(scores.target, scores.score)]
    micro = _curves(scores.target.ravel(), scores.score.ravel())
    charts = [
        _curve_chart("Precision and recall", 0, curves, micro),
        _curve_chart("ROC", 1, curves, micro),
        _reliability(measures),
        _training_clips(scores.labels, measures),
    ]
    return [
        Section("Summary", _tiles(measures)),
        Section("Curves", charts, grid=True),
        Section("Groups of classes", _group_tables(measures.groups)),
        Section("All classes", [_class_table(scores.labels, measures, curves)]),
    ]


def _tiles(measures: Measures) -> list:
    known, found = measures.summary.as_dict(), measures.estimates
    tiles = [
        Tile(m.name, found[m.key], m.meaning.format(**known), m.digits, m.share, m.key)
        for m in METRICS
        if m.key in found
    ]
    note = "Without intervals: the bootstrap was switched off."
    if measures.bootstrap is not None:
        note = (
            f"Intervals of {100 * LEVEL:.0f} % from {len(measures.bootstrap.auc):,} resamples of "
            "the clips: of the choice of clips, not of another training run."
        )
    return [tiles, note]


def _curves(hits: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Precision by recall, and recall by false alarms, at `_GRID`: (2, points); or None."""
    if not hits.any() or hits.all():
        return None
    precision, recall, _ = metrics.precision_recall_curve(hits, values)
    false_alarms, hit_rate, _ = metrics.roc_curve(hits, values)
    # Of thresholds that reach a recall the first is the most precise.
    by_recall = np.interp(_GRID - 1e-9, recall[::-1], precision[::-1])
    return np.array([by_recall, np.interp(_GRID, false_alarms, hit_rate)])


def _curve_chart(title: str, which: int, curves: list, micro: np.ndarray) -> Chart:
    mean = np.mean([curve[which] for curve in curves if curve is not None], axis=0)

    def draw(axes) -> None:
        if which == 1:
            axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        axes.plot(_GRID, micro[which], "--", color=LIGHT.series[1], label="all pairs (micro)")
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
    counts, x, y = calibration.count, calibration.confidence, calibration.frequency
    used = np.flatnonzero(counts)

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        sizes = 6 + 60 * np.log10(counts[used]) / max(1, np.log10(counts.max()))
        axes.scatter(x[used], y[used], sizes, LIGHT.series[0], gid="bins")
        _unit_square(axes, "Score", "Share that has the class")

    words = "{:,} pairs scored {:.3f} on average; {:.3f} have the class"
    return Chart(
        "Calibration",
        draw,
        f"Mean score and share of positives; expected error {number(calibration.expected_error)}",
        "Pairs of clip and class in bins of the score; larger dots hold more of them.",
        {"bins": [words.format(counts[n], x[n], y[n]) for n in used]},
    )


def _training_clips(labels: Sequence[str], measures: Measures) -> Chart | str:
    counts, ap = measures.classes["training_clips"], measures.summary.average_precision
    if counts.isna().all():
        return "Training clips of the classes are not known: see --training-clips."
    shown = np.flatnonzero(measures.summary.defined & (counts > 0))

    def draw(axes) -> None:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.scatter(counts[shown], ap[shown], 14, LIGHT.series[0], alpha=0.65, gid="classes")
        axes.set(ylim=(-0.02, 1.02), xlabel="Training clips", ylabel="Average precision")

    words = "{}: AP {:.3f}, {:,} training clips"
    return Chart(
        "Average precision and training clips",
        draw,
        f"Average precision by training clips of {len(shown)} classes",
        "A dot for each class with training clips; point at it for its name.",
        {"classes": [words.format(labels[n], ap[n], counts[n]) for n in shown]},
    )


def _group_tables(groups: Sequence[dict]) -> list[Table]:
    shown = [metric for metric in METRICS if metric.in_training]
    columns = [Column("Group"), Column("Classes", "count")]
    columns += [
        Column(m.name, "bar" if m.key == "mAP" else "number", digits=m.digits) for m in shown
    ]
    tables = []
    for kind in dict.fromkeys(group["kind"] for group in groups):
        names = ("name", "num_classes", *(metric.key for metric in shown))
        rows = [[group[name] for name in names] for group in groups if group["kind"] == kind]
        tables.append(Table(columns, rows, f"By {kind}"))
    return tables


def _class_table(labels: Sequence[str], measures: Measures, curves: list) -> Table:
    summary, classes = measures.summary, measures.classes
    columns = {
        Column("Class", hint="press a name for its curves"): labels,
        Column("AP", "bar", "average precision and its interval"): list(
            map(Estimate, summary.average_precision, classes["ap_low"], classes["ap_high"])
        ),
        Column("AUC", "number", "area under the ROC curve and its interval"): list(
            map(Estimate, summary.auc, classes["auc_low"], classes["auc_high"])
        ),
        Column("Lift", "number", "average precision over chance", digits=1): classes["lift"],
        Column("F1", "number", "best F1 over all thresholds"): classes["best_f1"],
        Column("Positives", "count", "evaluated clips with the class"): summary.positives,
        Column("Training clips", "count", "with the class"): classes["training_clips"],
        Column("Label quality", "number", "share found right", 2): classes["label_quality"],
        Column("Branch", hint="of the ontology"): classes["branch"],
    }
    rows = list(zip(*columns.values(), strict=True))
    details = [_detail(*row, measures, curves[row[0]]) for row in classes.iterrows()]
    order = np.argsort(-np.nan_to_num(summary.average_precision, nan=-1), kind="stable")
    return Table(
        list(columns),
        [rows[n] for n in order],
        sortable=True,
        least="Positives",
        details=[details[n] for n in order],
        frames=_FRAMES,
    )


def _detail(n: int, row, measures: Measures, curves: np.ndarray | None) -> tuple[str, Sequence]:
    positives, clips = measures.summary.positives[n], measures.summary.num_clips
    words = f"{positives:,} of {clips:,} clips have it."
    if curves is None:
        what = "without" if positives else "with"
        return f"{words} There is no clip {what} this class, so nothing can be ranked.", ()
    return (
        f"{words} Ranked at random its average precision would be {number(row.chance)}. Best F1 at "
        f"a threshold of {number(row.f1_threshold)}; calibration error "
        f"{number(row.calibration_error)}.",
        curves,
    )


def find_mistakes(scores: Scores, count: int) -> list[list[tuple[int, int]]]:
    """Clip and class of the most confident false alarms, and of as many misses, worst first.

    A false alarm is a clip without the label that outscores a clip with it, or any clip of a
    class that no clip has; a miss is a clip with the label that one without it outscores. In a
    perfect ranking there is neither.
    """
    target, score = scores.target, scores.score
    lowest_hit = np.where(target, score, np.inf).min(axis=0)
    highest_other = np.where(target, -np.inf, score).max(axis=0)
    alarms = ~target & ((score > lowest_hit) | ~target.any(axis=0))
    misses = target & (score < highest_other)
    return [
        _most_confident(np.where(alarms, score, -np.inf), count),
        _most_confident(np.where(misses, -score, -np.inf), count),
    ]


def _most_confident(confidence: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The highest of (clips, classes), few of a clip and of a class; -inf is no mistake."""
    flat = confidence.ravel()
    order = np.argsort(-flat, kind="stable")
    clips, labels, chosen = Counter(), Counter(), []
    for index in order[flat[order] > -np.inf]:
        if len(chosen) == count:
            break
        clip, label = (int(x) for x in divmod(index, confidence.shape[1]))
        if clips[clip] < _PER_CLIP and labels[label] < _PER_CLASS:
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
        return Clip(
            title=labels[label],
            subtitle=f"{what}, score {number(score[label])}",
            name=clip_id.decode(errors="replace"),
            labels=", ".join(labels[n] for n in np.flatnonzero(target)) or NONE,
            scores=[
                (labels[n], float(score[n]), bool(target[n]))
                for n in np.argsort(-score, kind="stable")[:4]
            ],
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
        np.array(stored), stored=index.info.sample_rate, wanted=sample_rate, resample=decimation
    )
    return {
        clip_id: waveform.astype(np.float32) / 32767
        for row, (clip_id, waveform) in enumerate(zip(wanted, waveforms, strict=True))
        if row not in damages
    }
