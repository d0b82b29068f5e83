"""The headline numbers of a page, each with its interval and what it means."""

from panns_tf.evaluation.class_table import bar
from panns_tf.evaluation.html import interval, number, text
from panns_tf.evaluation.measures import LEVEL, Measures

#: Name in metrics.json, name for people, digits, whether 0 to 1, and what it means.
_FIGURES = (
    (
        "mAP",
        "mAP",
        3,
        True,
        "Mean over the classes of average precision: how high up in a ranking by the score the "
        "clips with the class stand. At random it would be {chance}.",
    ),
    (
        "mAUC",
        "mAUC",
        3,
        True,
        "Mean area under the ROC curve: how often a clip with the class outscores one without. "
        "At random 0.5.",
    ),
    (
        "d_prime",
        "d-prime",
        2,
        False,
        "The mean AUC on the scale of two bell curves: their distance in standard deviations. "
        "At random 0.",
    ),
    (
        "accuracy",
        "Accuracy",
        3,
        True,
        "Share of clips whose one label has the highest score. At random {guess}.",
    ),
    (
        "mAP_micro",
        "Micro AP",
        3,
        True,
        "All pairs of clip and class in one ranking: common classes count more, and scores must "
        "compare between classes.",
    ),
    (
        "mAP_weighted",
        "Weighted mAP",
        3,
        True,
        "Average precision where every class counts by its clips.",
    ),
    ("lift", "Lift", 1, False, "How many times the mAP of a random ranking."),
    (
        "expected_calibration_error",
        "Calibration error",
        3,
        False,
        "How far scores lie from how often they come true, on average over all pairs. 0 is best; "
        "rare classes keep it low.",
    ),
)


def headline(figures: dict, measures: Measures) -> str:
    """The section of the page.

    Args:
        figures: what ``metrics.json`` holds.
        measures: of the evaluation.
    """
    words = {
        "chance": number(figures["chance_mAP"]),
        "guess": number(1 / figures["num_classes"]),
    }
    tiles = [
        _tile(key, name, digits, share, meaning.format(**words), figures, measures)
        for key, name, digits, share, meaning in _FIGURES
        if not (key == "accuracy" and figures["accuracy"] is None)
    ]
    if measures.bootstrap is None:
        below = "Without intervals: the bootstrap was switched off."
    else:
        count = len(measures.bootstrap.auc)
        below = (
            f"Intervals of {100 * LEVEL:.0f} % from {count:,} resamples of the clips. They show "
            "how much the choice of clips matters, not how much another training run would differ; "
            "those of single classes are too narrow below about 10 clips."
        )
    return f'<div class="tiles">{"".join(tiles)}</div><p class="aside">{below}</p>'


def _tile(key, name, digits, share, meaning, figures: dict, measures: Measures) -> str:
    value, ends = figures[key], measures.intervals.get(key)
    shown = number(value, digits)
    if value is None and key == "d_prime":
        shown, meaning = "∞", f"{meaning} Infinite, since the ranking is perfect."
    elif value is None:
        meaning = f"{meaning} Not defined here; see the notes above."
    between, drawn = "", ""
    if ends is not None:
        between = f'<span class="between">{interval(ends, digits)}</span>'
    if share and value is not None:
        drawn = bar(value, *ends) if ends is not None else bar(value)
    exact = "" if value is None else repr(value)
    return (
        f'<div class="tile" data-figure="{key}" data-value="{exact}"><h3>{text(name)}</h3>'
        f'<p class="value">{shown} {between}</p>{drawn}<p class="meaning">{text(meaning)}</p></div>'
    )
