"""Runs an experiment: a training for every number of clips, seed and split, and its report."""

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from panns_tf.figures.fewshot import ALL, fewshot
from panns_tf.models.network import Network
from panns_tf.models.registry import find
from panns_tf.run import CONFIG, FINAL, LOG
from panns_tf.training.checkpoint import save_keras
from panns_tf.transfer.dataset import Dataset, Split
from panns_tf.transfer.experiment import Experiment
from panns_tf.transfer.fewshot import short_classes, subset
from panns_tf.transfer.finetune import Finetuner, Trained
from panns_tf.transfer.model import fingerprint
from panns_tf.transfer.predict import TRANSFER
from panns_tf.transfer.report import duration, report_lines, write_page
from panns_tf.transfer.results import FEWSHOT, ResultStore, write_results
from panns_tf.transfer.scores import FoldResult, metric_of
from panns_tf.transfer.splits import group_duplicates, make_splits, with_validation
from panns_tf.transfer.store import AudioStore
from tfrecords.files import write_atomic, write_csv, write_json
from tfrecords.progress import logger
from tfrecords.text import some

REJECTED = "rejected.csv"
#: Share of the training clips that chooses the penalty of a linear probe.
PROBE_VALIDATION = 0.25


def run(
    experiment: Experiment, output: Path, pretrained: Network | None, cache: Path
) -> tuple[Experiment, list[FoldResult]]:
    """Trains and tests what is missing of an experiment.

    Args:
        experiment: what to do.
        output: folder of the results and the networks.
        pretrained: a network, or None.
        cache: folder of kept embeddings.

    Returns:
        The experiment on the clips that can be read, with splits, and the results.

    Raises:
        ValueError: if the data set cannot be split as asked, no clip of it can be read, or there
            are results of other settings.
    """
    began, config, options = time.monotonic(), experiment.config, experiment.options
    output.mkdir(parents=True, exist_ok=True)
    arch = find(experiment.arch).override(**experiment.overrides)
    paths = [clip.path for clip in experiment.dataset.clips]
    store = AudioStore(paths, arch.frontend.sample_rate, output, options.workers)
    identity = experiment.identity(fingerprint(pretrained) if pretrained is not None else None)
    identity["sounds"] = hashlib.sha256("".join(store.hashes).encode()).hexdigest()
    folder = output / "parts" / f"{experiment.arch}-{config.strategy}"
    kept = ResultStore(folder, identity, options.force)
    dataset = group_duplicates(_readable(experiment.dataset, store, output), store.hashes)
    dataset = make_splits(
        dataset,
        folds=options.folds,
        test=options.test,
        validation=options.validation if config.patience else 0.0,
        seed=config.seed,
    )
    splits = _chosen(dataset, options.folds_to_run)
    _announce(dataset, splits)
    experiment = dataclasses.replace(experiment, dataset=dataset)
    finetuner = Finetuner(experiment, store, pretrained, cache)
    results = []
    for count in options.counts:
        for seed in options.trial_seeds(config.seed):
            for split in splits:
                trial = _Trial(experiment, split, count, seed)
                results.append(trial.result(finetuner, kept, output))
    return dataclasses.replace(experiment, seconds=time.monotonic() - began), results


def _readable(dataset: Dataset, store: AudioStore, output: Path) -> Dataset:
    """The clips that can be read; the others are listed in ``rejected.csv`` and noted."""
    notes, errors = list(store.notes), store.errors
    if len(notes) > 5:
        notes = [*notes[:5], f"and {len(notes) - 5} more such notes"]
    path = output / REJECTED
    path.unlink(missing_ok=True)
    if not errors:
        return dataset.with_notes(*notes)
    if len(errors) == len(dataset.clips):
        raise ValueError(f"no clip of {dataset.name} can be read; the first: {errors[0]}")
    rows = [(dataset.clips[number].clip_id, reason) for number, reason in errors.items()]
    write_csv(path, ("filename", "reason"), rows)
    numbers = [number for number in range(len(dataset.clips)) if number not in errors]
    store.keep(numbers)
    reasons = some(list(errors.values()), separator="; ")
    note = f"{len(errors)} clips cannot be read and were left out ({REJECTED}): {reasons}"
    return dataset.keep(numbers).with_notes(note, *notes)


def _chosen(dataset: Dataset, only: Sequence[str]) -> list[Split]:
    names = [split.name for split in dataset.splits]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise ValueError(
            f"--only-folds {', '.join(unknown)}: {dataset.name} has {', '.join(names)}"
        )
    return [split for split in dataset.splits if not only or split.name in only]


def _announce(dataset: Dataset, splits: Sequence[Split]) -> None:
    line = f"{len(dataset.clips)} clips in {len(dataset.classes)} classes"
    if len(splits) > 1:
        line += f"; folds {', '.join(split.name for split in splits)}"
    else:
        parts = {"training": splits[0].train, "validation": splits[0].validation,
                 "test": splits[0].test}  # fmt: skip
        sizes = (f"{len(clips)} {name}" for name, clips in parts.items() if clips)
        line += f": {', '.join(sizes)}"
    print(line)
    for note in dataset.notes:
        print(f"note: {note}")


class _Trial:
    """One training to come: a split with the clips that it trains on."""

    def __init__(self, experiment: Experiment, split: Split, count: int | None, seed: int):
        self._experiment, self._count, self._seed, self._notes = experiment, count, seed, []
        dataset, config = experiment.dataset, experiment.config
        if count is not None:
            # There is nothing to stop by where clips are few: all of them may be chosen.
            train = tuple(sorted((*split.train, *split.validation)))
            split = dataclasses.replace(split, train=train, validation=())
            note = short_classes(split, dataset, count)
            self._notes = [note] if note else []
            split = subset(split, dataset, count, seed)
        elif config.patience:
            split = with_validation(split, dataset, experiment.options.validation, seed)
        if config.strategy == "linear_probe":
            split = with_validation(split, dataset, PROBE_VALIDATION, seed)
        self._split = split

    def result(self, finetuner: Finetuner, kept: ResultStore, output: Path) -> FoldResult:
        """Its result: from before, or of a training now, whose network is saved."""
        experiment, split = self._experiment, self._split
        dataset, options = experiment.dataset, experiment.options
        name = f"{self._count or 'all'}-seed{self._seed}-fold{split.name}"
        clips = [dataset.clips[number] for number in split.test]
        folder = output if len(dataset.splits) == 1 else output / f"fold-{split.name}"
        is_first = self._count is None and self._seed == experiment.config.seed
        saves = options.save_models and is_first
        result = kept.get(name, [clip.clip_id for clip in clips])
        before = result is not None and (not saves or (folder / FINAL).is_file())
        if not before:
            trained = finetuner.train(split, self._seed)
            result = FoldResult(
                fold=split.name,
                seed=self._seed,
                clips_per_class=self._count,
                clip_ids=tuple(clip.clip_id for clip in clips),
                groups=tuple(clip.group for clip in clips),
                target=dataset.target()[list(split.test)],
                score=trained.score,
                training_clips=len(split.train) + len(split.validation),
                steps=trained.steps,
                seconds=trained.seconds,
                notes=(*self._notes, *trained.notes()),
            )
            if saves:
                save_network(trained, experiment, split, folder)
            kept.put(name, result)
        value = metric_of(experiment.metric, result.target, result.score)
        took = "from before" if before else duration(result.seconds)
        clips = "" if self._count is None else f"{self._count} clips of a class, "
        logger.info(
            f"  {clips}seed {self._seed}, fold {split.name}: {experiment.metric} {value:.3f} "
            f"({took})"
        )
        return result


def save_network(trained: Trained, experiment: Experiment, split: Split, folder: Path) -> None:
    """Writes a trained network as a run directory.

    Besides ``final.keras``, its labels inside, there are ``config.json`` and ``metrics.jsonl`` as
    `panns-tf train` writes them, ``transfer.json`` (how long the windows are), ``labels.txt``, and
    ``train.csv``, ``test.csv`` and perhaps ``validation.csv``, which `panns-tf pack` takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dataset, config = experiment.dataset, experiment.config
    counts = dataset.target()[list(split.train)].sum(axis=0).astype(int)
    settings = {"arch": experiment.arch, **dataclasses.asdict(config), **experiment.overrides}
    settings |= {"weights": experiment.weights, "data": dataset.name, "steps": trained.steps}
    content = {"config": settings, "labels": list(dataset.classes)}
    write_json(folder / CONFIG, content | {"training_clips": counts.tolist()})
    lines = "".join(json.dumps(dict(row)) + "\n" for row in trained.history)
    write_atomic(folder / LOG, lines)
    write_atomic(folder / "labels.txt", "\n".join(dataset.classes) + "\n")
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    for name, numbers in parts.items():
        (folder / f"{name}.csv").unlink(missing_ok=True)
        clips = [dataset.clips[number] for number in numbers]
        rows = [
            (clip.clip_id, ";".join(dataset.classes[label] for label in clip.labels), clip.group)
            for clip in clips
        ]
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
    save_keras(trained.network(), folder / FINAL)


def write_report(output: Path, experiment: Experiment, results: Sequence[FoldResult]) -> list[str]:
    """Writes the files of a run's results beside those of earlier runs of the same task.

    ``results.json`` holds everything, ``predictions.csv`` a row for each test clip,
    ``fewshot.csv`` what `panns-tf plot fewshot` draws, ``report.html`` a page for people; with few
    clips of each class ``curves.png``, ``.svg`` and ``.csv`` are the figure.

    Returns:
        The lines to print.
    """
    records = write_results(output, experiment, results)
    drawn = [record for record in records if record["value"] is not None]
    if any(record["clips_per_class"] != ALL for record in drawn):
        fewshot([output / FEWSHOT], "curves", with_paper=not experiment.why_not).save(output)
    write_page(output, experiment, results, records)
    return list(report_lines(experiment, results, records))
