"""One evaluation from a model to its files, and what is printed of it."""

import dataclasses
from pathlib import Path

from tqdm import tqdm

from panns_tf.commands import writable_folder
from panns_tf.evaluation.facts import Facts, gather_facts
from panns_tf.evaluation.html import number
from panns_tf.evaluation.measures import Measures, as_metrics, class_columns, measure
from panns_tf.evaluation.media import Media, read_media
from panns_tf.evaluation.mistakes import Mistake, find_mistakes
from panns_tf.evaluation.predicting import Hearing, hear
from panns_tf.evaluation.page import FILE_NAME as PAGE
from panns_tf.evaluation.page import write_page
from panns_tf.evaluation.runs import Run, find_model, read_run
from panns_tf.evaluation.scores import Scores, save_scores
from panns_tf.training.evaluator import write_report
from panns_tf.training.callbacks import finite
from tfrecords import load_index


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What an evaluation is to give besides exact figures.

    Args:
        bootstrap: replicates of the intervals; 0 for none.
        training_clips, label_quality, ontology: files that tell of the classes, or None; see
            `panns_tf.evaluation.facts.gather_facts`.
        report: whether to write the page.
        mistakes: false alarms shown on it, and as many misses.
        audio: whether they can be played.
    """

    bootstrap: int = 1000
    training_clips: Path | None = None
    label_quality: Path | None = None
    ontology: Path | None = None
    report: bool = True
    mistakes: int = 12
    audio: bool = True

    def __post_init__(self) -> None:
        if self.bootstrap < 0 or self.bootstrap == 1:
            raise ValueError(
                f"--bootstrap must be 0, for no intervals, or at least 2; received {self.bootstrap}"
            )
        if self.mistakes < 0:
            raise ValueError(f"--mistakes must be at least 0; received {self.mistakes}")


def evaluate(model: Path, hearing: Hearing, output: Path, wishes: Wishes) -> Scores:
    """Evaluates a model, writes everything into a directory and prints the figures.

    Args:
        model: a run directory, a ``.keras`` file or a SavedModel.
        hearing: the records, and how the model hears them.
        output: the directory.
        wishes: what is wanted besides.

    Returns:
        The scores.
    """
    writable_folder(output)
    find_model(model)
    run, labels = read_run(model), list(load_index(hearing.data).info.classes)
    # Files that cannot be read are told before what takes long.
    facts = gather_facts(labels, run, wishes.training_clips, wishes.label_quality, wishes.ontology)
    scores = hear(model, hearing)
    meta = scores.meta
    heard = hearing.windows.describe(meta["clip_seconds"])
    scores = dataclasses.replace(scores, meta={**meta, "heard": heard})
    if meta["unfinished"]:
        print(f"unfinished: {meta['unfinished']}")
    if damaged := meta["damaged_clips"]:
        print(f"left out {len(damaged)} damaged clips, the first: {damaged[0]}")
    measures = _measured(scores, facts, wishes)
    # Nothing of an earlier evaluation stays beside these.
    (output / PAGE).unlink(missing_ok=True)
    written = [save_scores(output, scores)]
    extra = finite({**as_metrics(measures), **_described(scores, facts)})
    if measures.accuracy is None:
        del extra["accuracy"]  # it has none where clips have several labels
    write_report(output, measures.summary, scores.labels, extra, class_columns(measures, facts))
    written = [output / "metrics.json", output / "per_class.csv", *written]
    figures = finite({"accuracy": None, **measures.summary.as_dict(), **extra})
    if wishes.report:
        mistakes = find_mistakes(scores, wishes.mistakes)
        settings = _settings(scores, facts, run, wishes)
        media = _media(scores, mistakes, hearing, wishes)
        written.append(
            write_page(output, scores, measures, facts, figures, settings, mistakes, media)
        )
    for line in printed(scores, measures, figures):
        print(line)
    print(f"Written: {', '.join(map(str, written))}")
    return scores


def _measured(scores: Scores, facts: Facts, wishes: Wishes, name: str = "bootstrap") -> Measures:
    """Computes the figures behind a bar."""
    count = wishes.bootstrap
    with tqdm(
        total=count, unit="resample", desc="bootstrap", leave=False, disable=not count
    ) as bar:
        return measure(scores, facts, wishes.ontology, count, lambda done: bar.update(done - bar.n))


def _described(scores: Scores, facts: Facts) -> dict:
    """What the figures are of, for ``metrics.json``."""
    names = ("model", "model_sha256", "data", "index_sha256", "clip_seconds")
    meta = scores.meta
    found = {name: meta[name] for name in (*names, "window", "hop", "aggregate", "decimation")}
    found["training_clips"] = facts.training_source
    if meta["unfinished"]:
        found["unfinished"] = meta["unfinished"]
    if meta["damaged_clips"]:
        found["damaged_clips"] = len(meta["damaged_clips"])
    return found


def _media(
    scores: Scores,
    mistakes: tuple[list[Mistake], list[Mistake]],
    hearing: Hearing,
    wishes: Wishes,
) -> dict[bytes, Media]:
    clips = [scores.clip_ids[mistake.clip] for kind in mistakes for mistake in kind]
    rate = scores.meta["sample_rate"]
    return read_media(hearing.data, clips, rate, hearing.decimation, wishes.audio)


def _settings(
    scores: Scores, facts: Facts, run: Run | None, wishes: Wishes
) -> list[tuple[str, str]]:
    """What decided the figures, for the page."""
    meta = scores.meta
    resamples = f"{wishes.bootstrap:,} resamples of the clips" if wishes.bootstrap else "off"
    rows = [
        ("Network", f"{meta['network']}, {meta['sample_rate']:,} Hz"),
        ("Model", meta["model"]),
        ("SHA-256 of the model", meta["model_sha256"]),
        ("Records", meta["data"]),
        ("SHA-256 of their index", meta["index_sha256"]),
        ("Heard", meta["heard"]),
        ("Lower sample rates by", meta["decimation"]),
        ("Training clips from", facts.training_source),
        ("Label quality from", str(wishes.label_quality or "unknown")),
        ("Bootstrap", resamples),
    ]
    if run is not None:
        rows.append(("Run", f"{run.path}, {run.progress}"))
        left_out = {"run_dir", "eval_data", "demo"}
        rows += [
            (f"Training: {name.replace('_', ' ')}", str(value))
            for name, value in run.config.items()
            if name not in left_out and value is not None
        ]
    return rows


def printed(scores: Scores, measures: Measures, figures: dict) -> list[str]:
    """The lines for the person at the terminal; ``figures`` as in ``metrics.json``."""
    guess = 1 / len(scores.labels)
    shown = [
        ("mAP", "mAP", 4, f"chance {figures['chance_mAP']:.4f}"),
        ("mAUC", "mAUC", 4, "chance 0.5"),
        ("d-prime", "d_prime", 3, "chance 0"),
        ("micro AP", "mAP_micro", 4, ""),
        ("weighted mAP", "mAP_weighted", 4, ""),
        ("lift", "lift", 2, "times chance"),
        ("calibration error", "expected_calibration_error", 4, ""),
    ]
    if measures.accuracy is not None:
        shown.append(("accuracy", "accuracy", 4, f"chance {guess:.4f}"))
    lines = [
        f"{scores.meta['network']} on {len(scores.score)} clips of {scores.meta['data']}, "
        f"{scores.meta['heard']}"
    ]
    for name, key, digits, aside in shown:
        value, ends = figures[key], measures.intervals.get(key)
        if value is None:
            text, aside = ("infinite", "a perfect ranking") if key == "d_prime" else ("-", "")
        else:
            text = f"{value:.{digits}f}"
        between = f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}" if ends else ""
        note = f"   ({aside})" if aside else ""
        lines.append(f"  {name:18} {text:>8}   {between:18}{note}".rstrip())
    if measures.bootstrap is not None:
        count = len(measures.bootstrap.auc)
        lines.append(f"  (95 % intervals from {number(count, 0)} resamples of the clips)")
    return lines + [f"  note: {note}" for note in measures.notes]
