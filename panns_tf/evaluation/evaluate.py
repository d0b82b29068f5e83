"""An evaluation: from a model and records to metrics, files and a page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf import metrics
from panns_tf.evaluation.page import Chart, Column, Section, Sound, Table, Tile, render
from panns_tf.evaluation.scores import (
    EvaluateSettings,
    Scores,
    default_output,
    predict_scores,
    save_scores,
)
from panns_tf.metrics.bootstrap import LEVEL, number
from panns_tf.metrics.class_groups import ClassMetadata, group_rows
from panns_tf.metrics.ranking import class_rows
from panns_tf.run import find_model, run_of
from panns_tf.style import LIGHT
from panns_tf.training.evaluator import write_report
from tfrecords import load_index
from tfrecords.codecs import resample_clips
from tfrecords.decoders import RECORD_FULL_SCALE
from tfrecords.files import check_output_folder
from tfrecords.records import RecordReader
from tfrecords.text import text_table

#: Mistakes by kind, and what to know of them.
_MISTAKES = {
    "False alarms": "The highest scores for labels that the clips do not have. Where labels are "
    "incomplete, as AudioSet's are, some of these are right.",
    "Misses": "The lowest scores for labels that the clips have.",
}
_COLUMNS = (
    *(Column("Class"), Column("Score", "number"), Column("Sound", "sound")),
    *(Column("Labels"), Column("Highest scores"), Column("Clip")),
)
# Where curves are drawn.
_GRID = np.linspace(0, 1, 101)


def evaluate(model: Path, settings: EvaluateSettings, output: Path | None = None) -> Scores:
    """Evaluates a run's model, a ``.keras`` file or a SavedModel; writes and prints all of it."""
    output = output or default_output(model, settings)
    check_output_folder(output)
    find_model(model)
    run, labels = run_of(model), list(load_index(settings.data).info.classes)
    # Before what takes long: files that cannot be read are errors.
    metadata = ClassMetadata(
        labels, run, settings.training_clips, settings.label_quality, settings.ontology
    )
    scores = predict_scores(model, settings)
    measures = Measures(scores, metadata, settings.bootstrap)
    # Nothing of an earlier evaluation stays beside these.
    page = output / "report.html"
    page.unlink(missing_ok=True)
    written = [output / "metrics.json", output / "per_class.csv", save_scores(output, scores)]
    meta, remarks, (clips, classes) = scores.meta, [], scores.score.shape
    provenance = {key: meta[key] for key in ("model", "model_sha256", "data", "clip_seconds")}
    provenance |= {**settings.as_dict(), "training_clips": metadata.training_source}
    if meta["unfinished"]:
        provenance["unfinished"] = meta["unfinished"]
        remarks.append(f"unfinished: {meta['unfinished']}")
    if damaged := meta["damaged_clips"]:
        provenance["damaged_clips"] = len(damaged)
        remarks.append(f"left out {len(damaged)} damaged clips, the first: {damaged[0]}")
    extra = measures.as_metrics() | provenance
    write_report(output, measures.summary, labels, extra, measures.classes.to_dict("list"))
    if settings.report:
        about = {name: value for name, value in meta.items() if not isinstance(value, list)}
        if run is not None:
            about["run"] = f"{run.path}, {run.progress}"
            about |= {f"training: {name}": value for name, value in run.config.items()}
        render(
            page,
            f"{meta['network']} on {Path(meta['data']).name}",
            [
                *evaluation_sections(scores, measures),
                Section("Mistakes", mistake_blocks(scores, settings)),
                Section("Settings", [about]),
            ],
            lead=f"{clips:,} clips, {classes:,} classes; {meta['heard']}.",
            notes=[*remarks, *measures.notes],
        )
        written.append(page)
    print(f"{meta['network']} on {clips:,} clips of {meta['data']}, {meta['heard']}")
    rows = [(tile.name, tile.value.text(4), tile.meaning) for tile in tiles(measures)]
    notes = [f"note: {note}" for note in [*remarks, *measures.notes]]
    for line in [*text_table(rows).splitlines(), measures.certainty, *notes]:
        print(f"  {line}")
    print(f"Written: {', '.join(map(str, written))}")
    return scores


class Measures:
    """All metrics of finite scores; without intervals for 0 replicates."""

    def __init__(self, scores: Scores, metadata: ClassMetadata, replicates: int = 1000):
        import pandas as pd

        target, score = scores.target, scores.score
        self.bootstrap = metrics.bootstrap(target, score, replicates)
        self.summary = self.bootstrap.summary
        every = {m.key: m.estimate(target, score, self.bootstrap) for m in metrics.METRICS}
        #: By key in `METRICS`, but those without meaning here.
        self.estimates = {key: found for key, found in every.items() if found is not None}
        self.calibration, threshold, f1 = None, np.nan, np.nan
        if score.min() >= 0 and score.max() <= 1:
            self.calibration = metrics.calibration(target, score)
            threshold, f1 = metrics.best_f1(target, score)
        classes = {}
        for short, name in {"ap": "average_precision", "auc": "auc"}.items():
            ends = self.bootstrap.class_interval(name)
            classes |= {f"{short}_low": ends[:, 0], f"{short}_high": ends[:, 1]}
        classes |= {
            "chance": np.where(self.summary.positives > 0, self.summary.chance, np.nan),
            "lift": self.summary.lift,
            "best_f1": f1,
            "f1_threshold": threshold,
            "calibration_error": self.calibration.class_error if self.calibration else np.nan,
            "training_clips": metadata.training_clips,
            "label_quality": metadata.quality,
            "branch": ["; ".join(names) for names in metadata.branches],
        }
        #: A row a class, the columns that are added to per_class.csv.
        self.classes = pd.DataFrame(classes)
        self.groups = group_rows(self.summary, metadata.groups)
        self.notes = metrics.remarks(target, score, scores.labels)

    @property
    def certainty(self) -> str:
        """Where the intervals are from."""
        if not len(self.bootstrap.auc):
            return "Without intervals: the bootstrap was switched off."
        return (
            f"Intervals of {100 * LEVEL:.0f} % from {len(self.bootstrap.auc):,} resamples of the "
            "clips: of the choice of clips, not of another training run."
        )

    def as_metrics(self) -> dict:
        """The entries of ``metrics.json``; undefined metrics are NaN."""
        intervals = {key: each.ends or None for key, each in self.estimates.items()}
        always = ("mAP", "mAUC", "d_prime")
        return {
            **self.summary.as_dict(),
            **{key: each.value for key, each in self.estimates.items()},
            "intervals": {key: ends for key, ends in intervals.items() if ends or key in always},
            "interval_level": LEVEL if len(self.bootstrap.auc) else None,
            "strata": self.groups,
            "notes": self.notes,
        }


def evaluation_sections(scores: Scores, measures: Measures) -> list[Section]:
    curves = [_curves(*row) for row in class_rows(scores.target, scores.score)]
    mean = np.nanmean(curves, axis=0)
    micro = _curves(scores.target.ravel(), scores.score.ravel())
    charts = [
        _curve_chart("Precision and recall", "Recall", "Precision", mean[0], micro[0]),
        _curve_chart("ROC", "False alarms", "Recall", mean[1], micro[1]),
        _reliability(measures.calibration),
    ]
    return [
        Section("Summary", [tiles(measures), measures.certainty]),
        Section("Curves", charts, grid=True),
        Section("Groups of classes", _group_tables(measures.groups)),
        Section("All classes", [_class_table(scores.labels, measures)]),
    ]


def tiles(measures: Measures) -> list[Tile]:
    known, found = measures.summary.as_dict(), measures.estimates
    return [
        Tile(m.name, found[m.key], m.meaning.format(**known), m.digits, m.share, m.key)
        for m in metrics.METRICS
        if m.key in found
    ]


def _curves(hits: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Precision by recall, and recall by false alarms, at `_GRID`: (2, points), NaN undefined."""
    if not hits.any() or hits.all():
        return np.full((2, len(_GRID)), np.nan)
    precision, recall, _ = metrics.precision_recall_curve(hits, values)
    false_alarms, hit_rate, _ = metrics.roc_curve(hits, values)
    # Of thresholds that reach a recall the first is the most precise.
    by_recall = np.interp(_GRID - 1e-9, recall[::-1], precision[::-1])
    return np.array([by_recall, np.interp(_GRID, false_alarms, hit_rate)])


def _curve_chart(title: str, x: str, y: str, mean: np.ndarray, micro: np.ndarray) -> Chart:
    def draw(axes) -> None:
        axes.plot(_GRID, micro, "--", color=LIGHT.series[1], label="all pairs (micro)")
        axes.plot(_GRID, mean, color=LIGHT.series[0], label="mean over the classes")
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return Chart(title, draw, f"{title}: mean over the classes, and all pairs in one ranking")


def _reliability(calibration: metrics.Calibration | None) -> Chart | str:
    if calibration is None:
        return "Calibration is not shown: scores lie outside [0, 1]."

    def draw(axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=LIGHT.muted, lw=1)
        sizes = 10 * np.log10(1 + calibration.count)
        axes.scatter(calibration.confidence, calibration.frequency, sizes, LIGHT.series[0])
        axes.set(xlabel="Score", ylabel="Share that has the class")

    alt = f"Share of positives by score; expected error {number(calibration.expected_error)}"
    caption = "Pairs of clip and class in bins of the score; larger dots hold more of them."
    return Chart("Calibration", draw, alt, caption)


def _group_tables(groups: Sequence[dict]) -> list[Table]:
    shown = [metric for metric in metrics.METRICS if metric.in_training]
    kinds = ["bar" if metric.share else "number" for metric in shown]
    columns = [Column("Group"), Column("Classes", "count")]
    columns += [Column(m.name, kind, digits=m.digits) for m, kind in zip(shown, kinds, strict=True)]
    names = ("name", "num_classes", *(metric.key for metric in shown))
    tables: dict[str, list] = {}
    for group in groups:
        tables.setdefault(group["kind"], []).append([group[name] for name in names])
    return [Table(columns, rows, f"By {kind}") for kind, rows in tables.items()]


def _class_table(labels: Sequence[str], measures: Measures) -> Table:
    summary, classes = measures.summary, measures.classes
    ap = map(metrics.Estimate, summary.average_precision, classes["ap_low"], classes["ap_high"])
    auc = map(metrics.Estimate, summary.auc, classes["auc_low"], classes["auc_high"])
    columns = {
        Column("Class"): labels,
        Column("AP", "bar", "average precision and its interval"): ap,
        Column("AUC", "number", "area under the ROC curve and its interval"): auc,
        Column("Lift", "number", "average precision over chance", digits=1): classes["lift"],
        Column("F1", "number", "best F1 over all thresholds"): classes["best_f1"],
        Column("Positives", "count", "evaluated clips with the class"): summary.positives,
        Column("Training clips", "count", "with the class"): classes["training_clips"],
        Column("Label quality", "number", "share found right", 2): classes["label_quality"],
        Column("Branch", hint="of the ontology"): classes["branch"],
    }
    unknown = {name for name in classes if not classes[name].any()}
    columns = {c: v for c, v in columns.items() if getattr(v, "name", "") not in unknown}
    rows = list(zip(*columns.values(), strict=True))
    order = np.argsort(-np.nan_to_num(summary.average_precision, nan=-1), kind="stable")
    return Table(list(columns), [rows[n] for n in order], sortable=True, least="Positives")


def find_mistakes(scores: Scores, count: int) -> list[list[tuple[int, int]]]:
    """Clip and class of the most confident false alarms, and of as many misses, worst first."""
    # Clips without a label that outscore one with it, and the reverse: none in a perfect ranking.
    target, score = scores.target, scores.score
    lowest_hit = np.where(target, score, np.inf).min(axis=0)
    highest_other = np.where(target, -np.inf, score).max(axis=0)
    alarms = ~target & ((score > lowest_hit) | ~target.any(axis=0))
    return [_worst(alarms, score, count), _worst(target & (score < highest_other), -score, count)]


def _worst(wrong: np.ndarray, confidence: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The most confident wrong ones of (clips, classes), one of a clip and two of a class."""
    import pandas as pd

    clip, label = wrong.nonzero()
    found = pd.DataFrame({"clip": clip, "label": label, "confidence": confidence[wrong]})
    found = found.sort_values("confidence", ascending=False, kind="stable")
    found = found.drop_duplicates("clip").groupby("label").head(2).head(count)
    return list(zip(found["clip"].tolist(), found["label"].tolist(), strict=True))


def mistake_blocks(scores: Scores, settings: EvaluateSettings) -> list:
    """Blocks of a page: false alarms and misses, with clips of packed records."""
    labels, blocks, found = scores.labels, [], find_mistakes(scores, settings.mistakes)
    wanted = [scores.clip_ids[clip] for clip, _ in found[0] + found[1]]
    sounds = read_sounds(settings, wanted, scores.meta["sample_rate"])
    for (caption, note), pairs in zip(_MISTAKES.items(), found, strict=True):
        rows = []
        for clip, label in pairs:
            score, clip_id = scores.score[clip], scores.clip_ids[clip]
            top = np.argsort(-score, kind="stable")[:4]
            labelled = ", ".join(labels[n] for n in np.flatnonzero(scores.target[clip]))
            highest = ", ".join(f"{labels[n]} {number(score[n])}" for n in top)
            name = clip_id.decode(errors="replace")
            rows.append((labels[label], score[label], sounds.get(clip_id), labelled, highest, name))
        blocks += [Table(_COLUMNS, rows, caption), note if rows else "There are none."]
    return blocks


def read_sounds(settings: EvaluateSettings, clip_ids: list[bytes], sample_rate: int) -> dict:
    """Reads a `Sound` of each clip of packed records, by id, but of missing and damaged ones."""
    index = load_index(settings.data)
    rows = np.flatnonzero(np.isin(index.clip_ids, np.array(clip_ids, "S")))
    if not rows.size:
        return {}
    stored, (waveforms, damages) = index.info.sample_rate, RecordReader(index).waveforms(rows)
    waveforms = resample_clips(np.array(waveforms), stored, sample_rate, settings.decimation)
    return {
        index.clip_ids[row]: Sound(
            waveform / np.float32(RECORD_FULL_SCALE), sample_rate, settings.audio
        )
        for place, (row, waveform) in enumerate(zip(rows, waveforms, strict=True))
        if place not in damages
    }
