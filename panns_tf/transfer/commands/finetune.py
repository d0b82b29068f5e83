"""`python -m panns_tf finetune`."""

import argparse
import sys
from pathlib import Path

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
    from panns_tf.training.allocator import spare_memory

    task = _task(options)
    config = flags.config_of(options, task is None)
    counts = flags.counts_of(options.clips_per_class)
    seeds = flags.seeds_of(options.seeds, config.seed)
    check_workers(options)
    if options.strategy == "scratch" and options.weights:
        raise ValueError("--strategy scratch begins with random weights; leave --weights out")
    collection = _collection(options, task)
    if options.output is not None:
        writable_folder(options.output)
    spare_memory()
    quiet()
    from panns_tf.transfer.base import overrides_of, read_base
    from panns_tf.transfer.embeddings import cache_folder
    from panns_tf.transfer.lengths import clip_seconds_of
    from panns_tf.transfer.plan import Plan
    from panns_tf.transfer.report import check_folder, forget, printed, write
    from panns_tf.transfer.running import run
    from panns_tf.transfer.told import check_overrides, facts_of

    given = {n: getattr(options, n) for n in flags.OVERRIDES if getattr(options, n) is not None}
    base, arch = None, options.arch or "Cnn14"
    if options.strategy != "scratch":
        base = read_base(options.arch, options.weights or "audioset")
        check_overrides(base, given)
        given, arch = overrides_of(base), base.row.name
    arch = _known(arch)
    seconds = options.clip_seconds or (task.clip_seconds if task else None)
    plan = Plan(
        collection=collection,
        arch=arch,
        weights=None if base is None else options.weights or "audioset",
        overrides=given,
        config=config,
        clip_seconds=seconds or clip_seconds_of([clip.path for clip in collection.clips]),
        metric=_metric(options, task, collection),
        clips_per_class=counts,
        seeds=seeds,
        folds=options.folds,
        test=0.2 if options.test is None else options.test,
        validation=0.15 if options.validation is None else options.validation,
        only=tuple(name.strip() for name in options.only_folds.split(",") if name.strip()),
        save_models=options.save_models,
    )
    output = options.output or Path("runs") / f"{_plain(collection.name)}-{arch.lower()}"
    writable_folder(output)
    if options.force:
        forget(output, facts_of(plan, None, task))
    check_folder(output, facts_of(plan, None, task))
    output.mkdir(parents=True, exist_ok=True)
    print(f"{collection.name}: {arch}, {config.strategy}. Results go to {output}")
    done = run(
        plan,
        output,
        base,
        cache_folder(options.cache),
        workers=options.workers,
        force=options.force,
        quiet=not sys.stderr.isatty(),
    )
    facts = facts_of(plan, done, task)
    written = write(output, facts, done.results)
    for line in printed(facts, done.results, output):
        print(line)
    if (output / "final.keras").is_file():
        written = [output / "final.keras", *written]
    print(f"Written: {', '.join(map(str, written))}")


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


def _known(arch: str) -> str:
    from panns_tf.models import find

    return find(arch).name


def _plain(name: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return kept.strip("-").lower() or "data"
