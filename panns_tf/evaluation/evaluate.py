"""An evaluation: from a model and records to metrics, files and a page."""

from pathlib import Path

import numpy as np

from panns_tf.evaluation.class_metadata import ClassMetadata, class_metadata
from panns_tf.evaluation.measures import LEVEL, Measures, measure
from panns_tf.evaluation.options import EvalInput, ReportOptions
from panns_tf.evaluation.page import Section, render
from panns_tf.evaluation.report import evaluation_sections, mistake_blocks
from panns_tf.evaluation.scores import Scores, predict_scores, save_scores
from panns_tf.run import Run, find_model, run_of
from panns_tf.training.evaluator import write_report
from tfrecords import load_index
from tfrecords.files import check_output_folder, finite
from tfrecords.progress import Progress

PAGE = "report.html"


def evaluate(model: Path, records: EvalInput, output: Path, options: ReportOptions) -> Scores:
    """Evaluates a model, writes everything into a directory and prints the metrics.

    Args:
        model: a run directory, a ``.keras`` file or a SavedModel.
        records: the clips, and how they are given to the model.
        output: the directory.
        options: what is reported.

    Returns:
        The scores.
    """
    check_output_folder(output)
    find_model(model)
    run, labels = run_of(model), list(load_index(records.data).info.classes)
    # Before what takes long: files that cannot be read are errors.
    metadata = class_metadata(
        labels, run, options.training_clips, options.label_quality, options.ontology
    )
    scores = predict_scores(model, records)
    with Progress(options.bootstrap, "resample", "bootstrap") as shown:
        measures = measure(
            scores, metadata, options.bootstrap, lambda done: shown.update(done - shown.done)
        )
    # Nothing of an earlier evaluation stays beside these.
    (output / PAGE).unlink(missing_ok=True)
    written = [output / "metrics.json", output / "per_class.csv", save_scores(output, scores)]
    extra = finite({**measures.as_metrics(), **_provenance(scores, metadata)})
    if measures.accuracy is None:
        del extra["accuracy"]  # it has none where clips have several labels
    columns = measures.class_columns(metadata)
    write_report(output, measures.summary, labels, extra, columns)
    values = finite({"accuracy": None, **measures.summary.as_dict(), **extra})
    remarks = []
    if scores.meta["unfinished"]:
        remarks.append(f"unfinished: {scores.meta['unfinished']}")
    if damaged := scores.meta["damaged_clips"]:
        remarks.append(f"left out {len(damaged)} damaged clips, the first: {damaged[0]}")
    if options.report:
        sections = evaluation_sections(scores, measures, metadata, values)
        mistakes = mistake_blocks(
            scores, options.mistakes, records.data, records.decimation, options.audio
        )
        settings = dict(_settings(scores, run))
        sections += [Section("Mistakes", mistakes), Section("Settings", [settings])]
        clips, classes = scores.score.shape
        render(
            output / PAGE,
            f"{scores.meta['network']} on {Path(scores.meta['data']).name}",
            sections,
            lead=f"{clips:,} clips, {classes:,} classes; {scores.meta['heard']}.",
            notes=[*remarks, *measures.notes],
        )
        written.append(output / PAGE)
    for line in [*remarks, *printed(scores, measures, values)]:
        print(line)
    print(f"Written: {', '.join(map(str, written))}")
    return scores


def _provenance(scores: Scores, metadata: ClassMetadata) -> dict:
    meta = scores.meta
    names = ("model", "model_sha256", "data", "index_sha256", "clip_seconds")
    values = {name: meta[name] for name in (*names, "window", "hop", "aggregate", "decimation")}
    values["training_clips"] = metadata.training_source
    if meta["unfinished"]:
        values["unfinished"] = meta["unfinished"]
    if meta["damaged_clips"]:
        values["damaged_clips"] = len(meta["damaged_clips"])
    return values


def _settings(scores: Scores, run: Run | None) -> list[tuple[str, object]]:
    rows = [(name.replace("_", " ").capitalize(), value) for name, value in scores.meta.items()]
    rows = [(name, value) for name, value in rows if not isinstance(value, list)]
    if run is not None:
        rows.append(("Run", f"{run.path}, {run.progress}"))
        rows += [(f"Training: {name.replace('_', ' ')}", run.config[name]) for name in run.config]
    return rows


def printed(scores: Scores, measures: Measures, values: dict) -> list[str]:
    """The lines printed of an evaluation; ``values`` as in ``metrics.json``."""
    shown = [
        ("mAP", "mAP", 4, f"   (chance {values['chance_mAP']:.4f})"),
        ("mAUC", "mAUC", 4, "   (chance 0.5)"),
        ("d-prime", "d_prime", 3, "   (chance 0)"),
        ("micro AP", "mAP_micro", 4, ""),
        ("weighted mAP", "mAP_weighted", 4, ""),
        ("lift", "lift", 2, "   (times chance)"),
        ("calibration error", "expected_calibration_error", 4, ""),
    ]
    if measures.accuracy is not None:
        shown.append(("accuracy", "accuracy", 4, f"   (chance {1 / len(scores.labels):.4f})"))
    lines = [
        f"{scores.meta['network']} on {len(scores.score)} clips of {scores.meta['data']}, "
        f"{scores.meta['heard']}"
    ]
    for name, key, digits, remark in shown:
        value, ends = values[key], measures.intervals.get(key)
        text = "-" if value is None else f"{value:.{digits}f}"
        if value is None and np.isinf(measures.summary.as_dict().get(key, 0)):
            text = "infinite"  # a perfect ranking's d-prime, null in files
        between = f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}" if ends else ""
        lines.append(f"  {name:18} {text:>8}   {between:18}{remark}".rstrip())
    if measures.bootstrap is not None:
        count = len(measures.bootstrap.auc)
        lines.append(f"  ({100 * LEVEL:.0f} % intervals from {count:,} resamples of the clips)")
    return lines + [f"  note: {note}" for note in measures.notes]
