"""What a run tells of itself."""

import dataclasses

from panns_tf.models import Network
from panns_tf.transfer.clips import Collection
from panns_tf.transfer.options import noticed
from panns_tf.transfer.plan import Plan
from panns_tf.transfer.run_info import RunInfo
from panns_tf.transfer.running import Run
from panns_tf.transfer.tasks import Task


def check_overrides(base: Network, given: dict) -> None:
    """Raises ValueError if the user wants another front end than a pretrained network has."""
    for name, value in given.items():
        place = base.row if name == "embedding_size" else base.row.frontend
        if getattr(place, name) != value:
            raise ValueError(
                f"--{name.replace('_', '-')} {value}: the pretrained {base.row.name} has "
                f"{getattr(place, name)}; leave it out, or take --strategy scratch"
            )


def facts_of(plan: Plan, done: Run | None, task: Task | None) -> RunInfo:
    """Returns what the report says of a run besides its scores; of one to come, for ``None``."""
    collection = plan.collection if done is None else done.collection
    settings = dataclasses.asdict(plan.config)
    settings = {name: settings[name] for name in settings if name in noticed(plan.config.strategy)}
    settings.pop("strategy")
    settings |= {"clip seconds": plan.clip_seconds, **plan.overrides}
    why_not = _differs(plan, collection, task)
    return RunInfo(
        title=task.title if task else collection.name,
        arch=plan.arch,
        strategy=plan.config.strategy,
        metric=plan.metric,
        classes=collection.classes,
        weights=plan.weights,
        task=task.name if task else None,
        multi_label=collection.multi_label,
        settings=settings,
        notes=collection.notes,
        comparable=not why_not,
        why_not=why_not,
        seconds=None if done is None else done.seconds,
    )


def _differs(plan: Plan, collection: Collection, task: Task | None) -> str:
    """In what a run is not as the paper's, or nothing."""
    if task is None:
        return "no task of the paper"
    if plan.metric != task.metric:
        return f"{plan.metric} measured; the paper has {task.metric}"
    clips, published = len(collection.clips), sum(task.published.values())
    if abs(clips - published) > 0.01 * published:
        return f"{clips} clips, where the paper had {published}"
    if plan.only:
        return "not all folds were run"
    return ""
