"""What a report must know of a run besides its scores."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """A run of one network and strategy on one data set.

    Attributes:
        title: of the data set, for a person.
        arch: name of the network.
        strategy: ``scratch``, ``finetune``, ``freeze_l1``, ``freeze_l3``, ``linear_probe``.
        metric: one of `panns_tf.transfer.scoring.METRICS`.
        classes: labels in the order of the outputs.
        weights: that it began with, as a person writes them; None for random ones.
        task: one of the paper's six or another name that results are kept under; None for
            ``title``.
        multi_label: whether clips may have several labels, or none.
        settings: names and values, for the page.
        notes: what a user should know, a line each.
        comparable: whether folds, classes and clips are those of the paper.
        why_not: if not, in what they differ; perhaps empty for what is no task of the paper.
        seconds: of the whole run, or None.
    """

    title: str
    arch: str
    strategy: str
    metric: str
    classes: tuple[str, ...]
    weights: str | None = None
    task: str | None = None
    multi_label: bool = False
    settings: Mapping[str, object] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    comparable: bool = False
    why_not: str = ""
    seconds: float | None = None

    @property
    def name(self) -> str:
        """What results are kept under."""
        return self.task or self.title
