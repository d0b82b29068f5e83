"""What the paper printed for transfer to new tasks, with all clips: Tables XIII to XVIII."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Task:
    """One of the paper's six tasks.

    Attributes:
        title: as a person writes it.
        metric: which the paper gives.
        ends: that metric by strategy. What its printed source leaves in doubt is left out.
    """

    title: str
    metric: str
    ends: dict[str, float]


STRATEGIES = {
    "scratch": "scratch",
    "freeze_l1": "Freeze_L1",
    "freeze_l3": "Freeze_L3",
    "finetune": "fine-tune",
}
TASKS = {
    "esc50": ("ESC-50", "accuracy", (0.833, 0.908, 0.918, 0.947)),
    # Freeze_L1 of this task is one of the doubtful figures.
    "dcase2019_task1": ("DCASE 2019 task 1", "accuracy", (0.691, None, 0.607, 0.764)),
    "dcase2018_task2": ("DCASE 2018 task 2", "mAP@3", (0.902, 0.717, 0.768, 0.941)),
    "msos": ("MSoS", "accuracy", (0.760, 0.886, 0.930, 0.960)),
    "gtzan": ("GTZAN", "accuracy", (0.758, 0.827, 0.858, 0.915)),
    "ravdess": ("RAVDESS", "accuracy", (0.692, 0.397, 0.401, 0.721)),
}


def published(task: str) -> Task | None:
    """Returns what the paper has of a task, or None if it is none of its six."""
    if task not in TASKS:
        return None
    title, metric, values = TASKS[task]
    ends = zip(STRATEGIES, values, strict=True)
    return Task(title, metric, {key: value for key, value in ends if value is not None})
