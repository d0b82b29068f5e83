"""Runs an experiment: a training for every number of clips, seed and split, and its report."""

import dataclasses
import hashlib
import json
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.inference.model import load_network
from panns_tf.models.network import Network
from panns_tf.models.registry import find
from panns_tf.run import CONFIG, FINAL, LOG
from panns_tf.training.checkpoint import save_keras
from panns_tf.transfer import dataset as datasets
from panns_tf.transfer.dataset import Dataset, Split
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.finetune import Finetuner
from panns_tf.transfer.model import fingerprint, kept_overrides
from panns_tf.transfer.predict import TRANSFER
from panns_tf.transfer.report import write_report
from panns_tf.transfer.results import ResultStore, check_folder
from panns_tf.transfer.scores import FoldResult, metric_of
from panns_tf.transfer.settings import FinetuneConfig, Options
from panns_tf.transfer.store import AudioStore, window_seconds
from panns_tf.transfer.tasks import Task
from panns_tf.weights.loading import AUDIOSET
from panns_tf.weights.zoo import cache_folder
from tfrecords.files import check_output_folder, write_atomic, write_csv, write_json
from tfrecords.progress import logger
from tfrecords.text import some

REJECTED = "rejected.csv"
#: Share of the training clips that chooses the penalty of a linear probe.
PROBE_VALIDATION = 0.25


def finetune(
    task: Task | None, dataset: Dataset, config: FinetuneConfig, options: Options, overrides: dict
) -> None:
    """Trains, tests, writes and prints; ``overrides`` are those that the user gave."""
    pretrained = None
    if config.strategy == "scratch":
        arch = find(options.arch or "Cnn14").name
    else:
        weights = options.weights or AUDIOSET
        if options.arch is None and weights != AUDIOSET:
            pretrained = load_network(weights)
        else:
            pretrained = load_network(find(options.arch or "Cnn14").name, weights)
        overrides, arch = kept_overrides(pretrained, overrides), pretrained.arch.name
    experiment = Experiment(dataset, task, arch, overrides, config, options)
    name = re.sub(r"[^\w-]", "-", dataset.name).strip("-").lower() or "data"
    output = options.output or Path("runs") / f"{name}-{arch.lower()}"
    check_output_folder(output)
    for clip in dataset.clips:
        if clip.path.resolve().is_relative_to(output.resolve()):
            raise ValueError(
                f"--output {output} holds clips of the data set, such as {clip.clip_id}; choose "
                "another folder"
            )
    check_folder(output, experiment, options.force)
    print(f"{experiment.title}: {arch}, {config.strategy}. Results go to {output}")
    try:
        cache = options.cache or cache_folder() / "embeddings"
        experiment, results = run(experiment, output, pretrained, cache)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command") from None
    for line in write_report(output, experiment, results):
        print(line)
    print(f"Results: {output / 'results.json'}, {output / 'report.html'}")
    if (output / FINAL).is_file():
        print(f"Next: panns-tf predict FILES --model {shlex.quote(str(output))}")


def run(
    experiment: Experiment, output: Path, pretrained: Network | None, cache: Path
) -> tuple[Experiment, list[FoldResult]]:
    """Trains and tests what is missing; returns the experiment with splits, and the results."""
    began, config, options = time.monotonic(), experiment.config, experiment.options
    output.mkdir(parents=True, exist_ok=True)
    arch = find(experiment.arch).override(**experiment.overrides)
    paths = [clip.path for clip in experiment.dataset.clips]
    store = AudioStore(paths, arch.frontend.sample_rate, output, options.workers)
    sounds = hashlib.sha256("".join(store.hashes).encode()).hexdigest()
    dataset = _readable(experiment.dataset, store, output)
    wanted = experiment.task.clip_seconds if experiment.task else None
    seconds = options.clip_seconds or window_seconds(store.lengths / store.sample_rate, wanted)
    experiment = dataclasses.replace(experiment, clip_seconds=seconds)
    identity = experiment.identity(fingerprint(pretrained) if pretrained else None, sounds)
    folder = output / "parts" / f"{experiment.arch}-{config.strategy}"
    kept = ResultStore(folder, identity, options.force)
    dataset = datasets.make_splits(
        datasets.group_duplicates(dataset, store.hashes),
        folds=options.folds,
        test=options.test,
        validation=options.validation if config.patience else 0.0,
        seed=config.seed,
    )
    _announce(dataset)
    names = [split.name for split in dataset.splits]
    chosen = [name.strip() for name in options.only_folds.split(",") if name.strip()] or names
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(f"--only-folds {', '.join(unknown)}: the folds are {', '.join(names)}")
    experiment = dataclasses.replace(experiment, dataset=dataset)
    trainer = Finetuner(experiment, store, pretrained, cache)
    results = [
        _result(trainer, kept, output, split, count, seed)
        for count in options.counts
        for seed in range(config.seed, config.seed + options.seeds)
        for split in dataset.splits
        if split.name in chosen
    ]
    return dataclasses.replace(experiment, seconds=time.monotonic() - began), results


def _readable(dataset: Dataset, store: AudioStore, output: Path) -> Dataset:
    """The clips that can be read; the others are listed in ``rejected.csv`` and noted."""
    path, errors, notes = output / REJECTED, store.errors, store.notes
    path.unlink(missing_ok=True)
    notes = [some(notes, separator="; ")] if notes else []
    if len(errors) == len(dataset.clips):
        raise ValueError(f"no clip of {dataset.name} can be read; the first: {errors[0]}")
    if errors:
        rows = [(dataset.clips[number].clip_id, reason) for number, reason in errors.items()]
        write_csv(path, ("filename", "reason"), rows)
        reasons = some(errors.values(), separator="; ")
        notes.append(
            f"{len(errors)} clips cannot be read and were left out ({REJECTED}): {reasons}"
        )
    numbers = [number for number in range(len(dataset.clips)) if number not in errors]
    store.keep(numbers)
    return dataset.keep(numbers).with_notes(*notes)


def _announce(dataset: Dataset) -> None:
    if len(dataset.splits) > 1:
        parts = f"; folds {', '.join(split.name for split in dataset.splits)}"
    else:
        sizes = dataset.splits[0].parts().items()
        parts = ": " + ", ".join(f"{len(clips)} {name}" for name, clips in sizes if clips)
    print(f"{len(dataset.clips)} clips in {len(dataset.classes)} classes{parts}")
    for note in dataset.notes:
        print(f"note: {note}")


def _result(
    trainer: Finetuner, kept: ResultStore, output: Path, split: Split, count: int | None, seed: int
) -> FoldResult:
    """A result: from before, or of a training now, whose network is saved."""
    experiment = trainer.experiment
    dataset, config, options = experiment.dataset, experiment.config, experiment.options
    notes = []
    if count is not None:
        split, notes = datasets.subset(split, dataset, count, seed)
    elif config.patience:
        split = datasets.with_validation(split, dataset, options.validation, seed)
    if config.strategy == "linear_probe":
        split = datasets.with_validation(split, dataset, PROBE_VALIDATION, seed)
    name = f"{count or 'all'}-seed{seed}-fold{split.name}"
    clips = [dataset.clips[number] for number in split.test]
    clip_ids = [clip.clip_id for clip in clips]
    folder = output if len(dataset.splits) == 1 else output / f"fold-{split.name}"
    saves = options.save_models and count is None and seed == config.seed
    result, took = kept.get(name, clip_ids), "from before"
    if result is None or (saves and not (folder / FINAL).is_file()):
        network, history, test = trainer.train(split, seed)
        notes += test.pop("notes")
        if len(clips) > 1 and np.ptp(test["score"], axis=0).max() < 1e-6:
            notes.append(
                f"the network predicts the same for every test clip: {test['steps']} updates were "
                "too few or too large; try more --epochs, or another --learning-rate"
            )
        result = FoldResult(
            fold=split.name,
            seed=seed,
            clips_per_class=count,
            clip_ids=clip_ids,
            groups=[clip.group for clip in clips],
            target=dataset.target()[list(split.test)],
            training_clips=len(split.train) + len(split.validation),
            notes=notes,
            **test,
        )
        if saves:
            save_network(network, history, experiment, split, folder)
        kept.put(name, result)
        took = f"{result.seconds:.1f} s"
    value = metric_of(experiment.metric, result.target, result.score)
    logger.info(f"  {name}: {experiment.metric} {value:.3f} ({took})")
    return result


def save_network(
    network: Network, history: Sequence[dict], experiment: Experiment, split: Split, folder: Path
) -> None:
    """Writes a trained network as a run directory, with what `predict` and `pack` take."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset, config = experiment.dataset, experiment.config
    settings = {"arch": experiment.arch, **dataclasses.asdict(config), **experiment.overrides}
    settings |= {"weights": experiment.weights, "data": dataset.name, "steps": history[-1]["step"]}
    counts = dataset.target()[list(split.train)].sum(axis=0).astype(int)
    about = {"config": settings, "labels": dataset.classes, "training_clips": counts}
    write_json(folder / CONFIG, about)
    write_atomic(folder / LOG, "".join(json.dumps(row) + "\n" for row in history))
    write_atomic(folder / "labels.txt", "\n".join(dataset.classes) + "\n")
    for name in ("train", "validation", "test"):
        (folder / f"{name}.csv").unlink(missing_ok=True)
        clips = (dataset.clips[number] for number in getattr(split, name))
        rows = [(clip.clip_id, ";".join(clip.labels), clip.group) for clip in clips]
        if rows:
            write_csv(folder / f"{name}.csv", ("filename", "labels", "group"), rows)
    about = {
        "clip_seconds": experiment.clip_seconds,
        "multi_label": dataset.multi_label,
        "strategy": config.strategy,
        "metric": experiment.metric,
        "fold": split.name,
    }
    write_json(folder / TRANSFER, about)
    save_keras(network, folder / FINAL)
