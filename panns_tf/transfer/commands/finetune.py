"""`python -m panns_tf finetune`."""

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path

from panns_tf.config import OVERRIDES
from panns_tf.transfer import options as flags

_DESCRIPTION = """\
Learn a new task from a pretrained network, or from nothing, and say how well it went.

DIR is the folder of one of the paper's six data sets (--task), or a data set of your own: a folder
with one folder a class, a folder of files with the label in their names, or a CSV. The strategies
are the paper's: scratch (random weights), freeze_l1 and freeze_l3 (one or three new layers on what
the frozen network hears), finetune (all of it learns); and linear_probe, which takes seconds.

The same command goes on after a kill with the trainings that are missing.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf finetune --data sounds/ --output runs/mine
  python -m panns_tf finetune --data clips.csv --audio sounds/ --strategy linear_probe
  python -m panns_tf finetune --task esc50 --data ESC-50-master --strategy freeze_l1
  python -m panns_tf finetune --task gtzan --data GTZAN --weights Cnn14_mAP=0.431.pth
  python -m panns_tf finetune --task esc10 --data ESC-10 --arch MobileNetV1 --strategy scratch
  python -m panns_tf finetune --task esc50 --data ESC-50-master --clips-per-class 1,2,5,10,20,all \\
    --seeds 5 --strategy linear_probe --output runs/esc50
"""


def add_parser(commands) -> None:
    """Adds `finetune` to the commands of ``python -m panns_tf``."""
    parser = commands.add_parser(
        "finetune",
        help="learn a new task, the paper's or one's own",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    flags.add_flags(parser)
    parser.set_defaults(run=_finetune)


def _finetune(options: argparse.Namespace) -> None:
    from panns_tf.commands import writable_folder
    from panns_tf.inference.commands.options import check_workers, quiet
    from panns_tf.transfer.checks import check_cache, check_parts, check_place

    # What needs no TensorFlow is looked at before it is imported.
    task = _task(options)
    config = flags.config_of(options, task is None)
    trials = {
        "clips_per_class": flags.counts_of(options.clips_per_class),
        "seeds": flags.seeds_of(options.seeds, config.seed),
        "only": tuple(name.strip() for name in options.only_folds.split(",") if name.strip()),
    }
    check_workers(options)
    check_parts(options)
    if options.strategy == "scratch" and options.weights:
        raise ValueError("--strategy scratch begins with random weights; leave --weights out")
    check_cache(options.cache)
    if options.output is not None:
        writable_folder(options.output)
    collection = _collection(options, task)
    quiet()
    _repeatable(config.seed)
    plan, base = _plan(options, task, config, collection, trials)
    output = options.output or Path("runs") / f"{_plain(collection.name)}-{plan.arch.lower()}"
    writable_folder(output)
    check_place(output, collection)
    _run(options, task, plan, base, output)


def _plan(options: argparse.Namespace, task, config, collection, trials: dict):
    """What is to be done, and the pretrained network or None."""
    from panns_tf.models import find
    from panns_tf.transfer.base import overrides_of, read_base
    from panns_tf.transfer.lengths import clip_seconds_of
    from panns_tf.transfer.plan import Plan
    from panns_tf.transfer.told import check_overrides

    given = {n: getattr(options, n) for n in OVERRIDES if getattr(options, n) is not None}
    base, weights = None, None
    if options.strategy == "scratch":
        arch = find(options.arch or "Cnn14").name
    else:
        weights = options.weights or "audioset"
        base = read_base(options.arch, weights)
        check_overrides(base, given)
        given, arch = overrides_of(base), base.row.name
    seconds = options.clip_seconds
    if seconds is None:
        paths = [clip.path for clip in collection.clips]
        seconds = task.clip_seconds if task else clip_seconds_of(paths)
    parts = {name: getattr(options, name) for name in ("folds", "test", "validation")}
    plan = Plan(
        collection=collection,
        arch=arch,
        weights=weights,
        overrides=given,
        config=config,
        clip_seconds=seconds,
        metric=_metric(options, task, collection),
        save_models=options.save_models,
        **{name: value for name, value in parts.items() if value is not None},
        **trials,
    )
    return plan, base


def _run(options: argparse.Namespace, task, plan, base, output: Path) -> None:
    """Trains, tests, writes and prints."""
    from panns_tf.plots.fewshot import name_of
    from panns_tf.training.checkpoint import NotFiniteError
    from panns_tf.transfer.embeddings import cache_folder
    from panns_tf.transfer.report import check_folder, forget, printed, write
    from panns_tf.transfer.running import run
    from panns_tf.transfer.told import facts_of

    to_come = facts_of(plan, None, task)
    if options.force:
        forget(output, to_come)
    check_folder(output, to_come)
    output.mkdir(parents=True, exist_ok=True)
    print(f"{to_come.title}: {plan.arch}, {name_of(plan.config.strategy)}. Results go to {output}")
    how = {"workers": options.workers, "force": options.force, "quiet": not sys.stderr.isatty()}
    try:
        done = run(plan, output, base, cache_folder(options.cache), **how)
    except NotFiniteError as error:
        raise ValueError(str(error)) from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command") from None
    facts = facts_of(plan, done, task)
    written = write(output, facts, done.results)
    # The data set's notes were told before the first training.
    for line in printed(dataclasses.replace(facts, notes=()), done.results, output):
        print(line)
    if (output / "final.keras").is_file():
        written = [output / "final.keras", *written]
    print("Written:", *written, sep="\n  ")
    if (output / "final.keras").is_file():
        print(f"Next: python -m panns_tf predict FILES --model {shlex.quote(str(output))}")


def _repeatable(seed: int) -> None:
    """Has a run that was killed repeat the bits of one that was not, where that costs little."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if not tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_op_determinism()


def _task(options: argparse.Namespace):
    from panns_tf.transfer.tasks import find_task

    if options.task is None:
        return None
    given = [name for name in flags.OWN if getattr(options, name) is not None]
    if given:
        raise ValueError(
            f"--{given[0].replace('_', '-')} is for a data set of one's own; --task "
            f"{options.task} has its protocol"
        )
    return find_task(options.task)


def _collection(options: argparse.Namespace, task):
    if task is not None:
        from panns_tf.transfer.layouts import read_task

        return read_task(options.data, task)
    from panns_tf.transfer.own import read_own

    return read_own(
        options.data,
        audio=options.audio,
        labels_from=options.labels_from or "auto",
        pattern=options.label_pattern,
        group_pattern=options.group_pattern,
        classes_file=options.classes,
        drop_rare=bool(options.drop_rare),
    )


def _metric(options: argparse.Namespace, task, collection) -> str:
    default = task.metric if task else "mAP" if collection.multi_label else "accuracy"
    metric = options.metric or default
    if collection.multi_label and metric != "mAP":
        raise ValueError(f"--metric {metric} needs clips of one label each; take mAP")
    return metric


def _plain(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return kept.strip("-").lower() or "data"
