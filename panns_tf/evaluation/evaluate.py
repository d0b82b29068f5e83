"""An evaluation: from a model and records to metrics, files and a page."""

from pathlib import Path

from panns_tf.evaluation.measures import Measures
from panns_tf.evaluation.options import EvaluateSettings
from panns_tf.evaluation.page import Section, render
from panns_tf.evaluation.report import evaluation_sections, mistake_blocks, tiles
from panns_tf.evaluation.scores import Scores, default_output, predict_scores, save_scores
from panns_tf.metrics.class_groups import class_metadata
from panns_tf.run import find_model, run_of
from panns_tf.training.evaluator import write_report
from tfrecords import load_index
from tfrecords.files import check_output_folder
from tfrecords.text import text_table

PAGE = "report.html"
#: What ``metrics.json`` states of the scores.
_PROVENANCE = ("model", "model_sha256", "data", "index_sha256", "clip_seconds")
_PROVENANCE += ("window", "hop", "aggregate", "decimation")


def evaluate(model: Path, settings: EvaluateSettings, output: Path | None = None) -> Scores:
    """Evaluates a run's model, a ``.keras`` file or a SavedModel; writes and prints all of it."""
    output = output or default_output(model, settings)
    check_output_folder(output)
    find_model(model)
    run, labels = run_of(model), list(load_index(settings.data).info.classes)
    # Before what takes long: files that cannot be read are errors.
    metadata = class_metadata(
        labels, run, settings.training_clips, settings.label_quality, settings.ontology
    )
    scores = predict_scores(model, settings)
    measures = Measures(scores, metadata, settings.bootstrap)
    # Nothing of an earlier evaluation stays beside these.
    (output / PAGE).unlink(missing_ok=True)
    written = [output / "metrics.json", output / "per_class.csv", save_scores(output, scores)]
    meta, remarks, (clips, classes) = scores.meta, [], scores.score.shape
    provenance = {name: meta[name] for name in _PROVENANCE}
    provenance["training_clips"] = metadata.training_source
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
            output / PAGE,
            f"{meta['network']} on {Path(meta['data']).name}",
            [
                *evaluation_sections(scores, measures),
                Section("Mistakes", mistake_blocks(scores, settings)),
                Section("Settings", [about]),
            ],
            lead=f"{clips:,} clips, {classes:,} classes; {meta['heard']}.",
            notes=[*remarks, *measures.notes],
        )
        written.append(output / PAGE)
    print(f"{meta['network']} on {clips:,} clips of {meta['data']}, {meta['heard']}")
    rows = [(tile.name, tile.value.text(4), tile.meaning) for tile in tiles(measures)]
    notes = [f"note: {note}" for note in [*remarks, *measures.notes]]
    for line in [*text_table(rows).splitlines(), measures.certainty, *notes]:
        print(f"  {line}")
    print(f"Written: {', '.join(map(str, written))}")
    return scores
