"""What a result stands beside: chance, the paper's figure, this project's."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from panns_tf.plots.published import STRATEGIES, published
from panns_tf.transfer.measured import Measured, measured
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.run_info import RunInfo
from panns_tf.transfer.scoring import chance


@dataclasses.dataclass(frozen=True)
class Beside:
    """Figures to compare with.

    Attributes:
        chance: what scores at random give, the mean over folds; NaN where not defined.
        paper: the paper's figure, with all clips; None where it has none or is not comparable.
        project: this project's recorded figure; None likewise.
        why_not: a line for a person if the paper has a figure that is not compared.
    """

    chance: float
    paper: float | None
    project: Measured | None
    why_not: str = ""


def beside(run: RunInfo, results: Sequence[FoldResult]) -> Beside:
    """Returns what a run's results with all clips may be compared with.

    Folds, classes and number of clips must be the paper's (`RunInfo.comparable`), and so must the
    metric.
    """
    chances = [chance(run.metric, result.target) for result in results]
    chances = [value for value in chances if not np.isnan(value)]
    guess = float(np.mean(chances)) if chances else float("nan")
    paper = published(run.task) if run.task else None
    if paper is None:
        own = measured(run.task, run.arch, run.strategy, run.metric, run.weights)
        return Beside(guess, None, own if run.comparable else None)
    if not run.comparable:
        return Beside(guess, None, None, f"not compared: {run.why_not or 'other clips or folds'}")
    own = measured(run.task, run.arch, run.strategy, run.metric, run.weights)
    if paper.metric != run.metric:
        return Beside(guess, None, own, f"not compared: the paper gives {paper.metric}")
    if not with_all_clips(results):
        return Beside(guess, None, None, "not compared: it gives figures with all clips")
    if run.strategy in paper.ends:
        return Beside(guess, paper.ends[run.strategy], own)
    if run.strategy in STRATEGIES:
        return Beside(guess, None, own, "not compared: its printed figure is in doubt")
    return Beside(guess, None, own, f"not compared: it has no {run.strategy}")


def with_all_clips(results: Sequence[FoldResult]) -> bool:
    """Whether a result is of a training with all clips."""
    return any(result.clips_per_class is None for result in results)
