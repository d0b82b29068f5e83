"""The charts of a page: curves over all classes, calibration, and what training clips bring."""

import numpy as np

from panns_tf.evaluation.curves import Curves
from panns_tf.evaluation.facts import Facts
from panns_tf.evaluation.html import number
from panns_tf.evaluation.measures import Measures
from panns_tf.evaluation.svg import Chart, decades, unit


def charts(labels: list[str], measures: Measures, facts: Facts, curves: Curves) -> str:
    """The section of the page."""
    figures = [
        _two_curves(
            "Precision and recall",
            Chart(unit("Recall"), unit("Precision")),
            curves.mean_precision_recall,
            curves.micro_precision_recall,
        ),
        _two_curves(
            "ROC",
            Chart(unit("False alarms"), unit("Recall")),
            curves.mean_roc,
            curves.micro_roc,
            diagonal=True,
        ),
        _reliability(measures),
        _training_clips(labels, measures, facts),
    ]
    return f'<div class="charts">{"".join(filter(None, figures))}</div>'


def _figure(title: str, drawing: str, caption: str) -> str:
    return f"<figure><h3>{title}</h3>{drawing}<figcaption>{caption}</figcaption></figure>"


def _two_curves(title: str, chart: Chart, mean, micro, diagonal: bool = False) -> str:
    marks = chart.line([0, 1], [0, 1], "even") if diagonal else ""
    marks += chart.line(micro.x, micro.y, "second") + chart.line(mean.x, mean.y, "first")
    alt = f"{title}: the mean over the classes, and all pairs of clip and class in one ranking"
    return _figure(
        title,
        chart.draw(marks, alt),
        '<span class="key first"></span> mean over the classes '
        '<span class="key second"></span> all pairs in one ranking (micro)',
    )


def _reliability(measures: Measures) -> str:
    calibration = measures.calibration
    if calibration is None:
        return _figure(
            "Calibration",
            '<p class="empty">Not shown: scores lie outside [0, 1].</p>',
            "Calibration needs probabilities.",
        )
    chart = Chart(unit("Score"), unit("Share that has the class"))
    used = calibration.count > 0
    counts = calibration.count[used]
    sizes = 2 + 4 * np.log10(np.maximum(counts, 1)) / max(1, np.log10(counts.max()))
    xs, ys = calibration.confidence[used], calibration.frequency[used]
    titles = [
        f"{count:,} pairs scored {number(float(x))} on average; {number(float(y))} have the class"
        for count, x, y in zip(counts, xs, ys, strict=True)
    ]
    marks = chart.line([0, 1], [0, 1], "even")
    marks += chart.dots(xs, ys, titles, "first", sizes)
    alt = (
        "Calibration: mean score and share of positives in bins of the score; expected error "
        f"{number(calibration.expected_error)}"
    )
    return _figure(
        "Calibration",
        chart.draw(marks, alt),
        "Pairs of clip and class in bins of the score; on the dotted line scores are "
        "probabilities. Larger dots hold more pairs, by powers of ten.",
    )


def _training_clips(labels: list[str], measures: Measures, facts: Facts) -> str:
    title = "Average precision and training clips"
    if facts.training_clips is None:
        return _figure(
            title,
            '<p class="empty">Not shown: how many clips each class was trained on is not known. '
            "Give them with --training-clips.</p>",
            "Training clips: unknown.",
        )
    counts, ap = np.asarray(facts.training_clips), measures.summary.average_precision
    shown = measures.summary.defined & (counts > 0)
    without = int((measures.summary.defined & (counts == 0)).sum())
    if not shown.any():
        return ""
    chart = Chart(
        decades("Training clips", counts[shown].min(), counts[shown].max()),
        unit("Average precision"),
    )
    titles = [
        f"{labels[n]}: AP {number(float(ap[n]))}, {counts[n]:,} training clips"
        for n in np.flatnonzero(shown)
    ]
    alt = f"{title} of {int(shown.sum())} classes, training clips on a logarithmic scale"
    left_out = f" {without} without any training clip are not shown." if without else ""
    return _figure(
        title,
        chart.draw(chart.dots(counts[shown], ap[shown], titles, "first cloud"), alt),
        f"A dot for each class; point at it for its name.{left_out}",
    )
