"""The settings of `panns-tf finetune`, and what the strategies set of them."""

import argparse
import dataclasses
import math
from functools import partial
from pathlib import Path

from panns_tf.config import FitSettings
from panns_tf.transfer.tasks import TASKS
from tfrecords.flags import CheckedSettings, flag_settings, redeclare, setting, settings_of

#: The paper's four, and a linear classifier that is solved for rather than trained.
STRATEGIES = ("scratch", "finetune", "freeze_l1", "freeze_l3", "linear_probe")
#: Those that take a pretrained network as it is.
FROZEN = ("freeze_l1", "freeze_l3", "linear_probe")
#: What the strategies set, unless the user sets it.
DEFAULTS = {
    "scratch": {"epochs": 100, "learning_rate": 1e-3, "schedule": "cosine", "warmup_steps": 20},
    "finetune": {"epochs": 30, "learning_rate": 1e-4},
    # One layer cannot overfit much, and embeddings of few units learn slowly.
    "freeze_l1": {"epochs": 200, "min_steps": 1000, "learning_rate": 1e-2, "schedule": "cosine"},
    "freeze_l3": {"epochs": 100, "min_steps": 500, "learning_rate": 1e-3, "schedule": "cosine"},
    "linear_probe": {},
}
#: Patience for user data, which come without the paper's number of epochs.
USER_PATIENCE = 10
#: What trainings on the embeddings of a frozen network do not use.
_OF_THE_WHOLE = {
    *("mixup", "mixup_alpha", "crop_seconds", "time_shift", "gain", "spec_augment", "precision"),
    *("layer_decay", "unfreeze_epochs", "patience", "dropout", "ema"),
}

_USER = "user data"
_data = partial(setting, group="the data set")
_user = partial(setting, group=_USER)
_network = partial(setting, group="the network")
_trials = partial(setting, group="experiments")
_learning = partial(setting, group="learning")
_clips = partial(setting, group="clips")
_run = partial(setting, group="the run")


def _shown(name: str, default) -> str:
    others = [f"{key} {row[name]}" for key, row in DEFAULTS.items() if name in row]
    return ", ".join([str(default), *others])


def _fit(name: str, default):
    return redeclare(FitSettings, name, default, shown=_shown(name, default))


@dataclasses.dataclass(frozen=True)
class FinetuneConfig(FitSettings):
    """What decides the training on a new task."""

    strategy: str = _network(
        "finetune",
        "finetune: all layers of a pretrained network; freeze_l1, freeze_l3: one or three new "
        "layers on a frozen one; linear_probe: one layer, solved for; scratch: random weights",
        choices=STRATEGIES,
    )
    epochs: int = _learning(
        30, "passes over the training clips, at most", minimum=1, shown=_shown("epochs", 30)
    )
    min_steps: int = _learning(
        100, "updates at least, of few clips too", minimum=1, shown=_shown("min_steps", 100)
    )
    learning_rate: float = _fit("learning_rate", 1e-4)
    schedule: str = _fit("schedule", "constant")
    warmup_steps: int = _fit("warmup_steps", 0)
    layer_decay: float = _learning(
        1.0, "learning rate of a layer group over that of the group after it", above=0, maximum=1
    )
    unfreeze_epochs: int = _learning(
        0, "finetune: epochs after which one more layer group learns; 0: all at once", minimum=0
    )
    patience: int | None = _learning(
        None,
        "scratch, finetune: epochs without a better validation metric that end training; 0: off",
        minimum=0,
        shown=f"off for tasks, {USER_PATIENCE} for user data",
    )
    class_weights: bool = _learning(False, "weigh classes by their rarity")
    sampling: str = _clips(
        "shuffled", "order of the training clips", choices=("shuffled", "balanced")
    )
    crop_seconds: float | None = _clips(
        None, "length of random training crops", above=0, maximum=3600, shown="--clip-seconds"
    )
    seed: int = redeclare(FitSettings, "seed", 0)


@dataclasses.dataclass(frozen=True)
class Options(CheckedSettings):
    data: Path = _data(help="a data set's folder, or a CSV")
    task: str | None = _data(None, ", ".join(task.name for task in TASKS), shown="user data")
    audio: Path | None = _user(None, "folder of the files that a CSV names")
    labels_from: str = _user(
        "auto",
        "where labels are; name: in file names, --label-pattern",
        choices=("auto", "folder", "name", "csv"),
    )
    label_pattern: str | None = _user(
        None, "labels in file names: (?P<label>...), perhaps also (?P<group>...)", metavar="REGEX"
    )
    group_pattern: str | None = _user(
        None, "in file names: (?P<group>...), such as a speaker; splits keep it", metavar="REGEX"
    )
    classes: Path | None = _user(None, "the labels in their order, one a line")
    drop_rare: bool = _user(False, "leave out classes of one clip")
    folds: int | None = _user(None, "cross-validate, rather than one split", minimum=2)
    test: float = _user(0.2, "share of the clips that is tested", above=0, below=1)
    validation: float = _user(
        0.15, "share of the training clips for early stopping", minimum=0, below=1
    )
    arch: str | None = _network(None, "name of the network", shown="that of --weights, or Cnn14")
    weights: str | None = _network(
        None, "pretrained: a .pth or .keras file or a run directory", shown="published ones"
    )
    clip_seconds: float | None = _network(
        None,
        "length of the windows of test clips, whose predictions are averaged",
        minimum=0.05,
        maximum=600,
        shown="the task's, or by the clips' lengths",
    )
    clips_per_class: str = _trials("all", "train on so many clips of each class: 1,2,5,10,20,all")
    seeds: int = _trials(1, "trainings of each configuration", minimum=1, maximum=10_000)
    only_folds: str = _trials("", "folds to run, such as 1,2", shown="all")
    metric: str | None = _trials(
        None, "metric to report", choices=("accuracy", "mAP@3", "mAP"), shown="the task's"
    )
    output: Path | None = _run(None, "folder of the results", shown="runs/<data set>-<network>")
    force: bool = _run(False, "discard results of other settings in --output")
    cache: Path | None = _run(None, "folder of embeddings", shown="~/.cache/panns_tf")
    workers: int = _run(2, "threads that decode audio", minimum=1, maximum=64)
    save_models: bool = _run(True, "keep the network of every fold")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.counts

    @property
    def counts(self) -> tuple[int | None, ...]:
        """Training clips of each class to try, the fewest first; None for all."""
        words = [word.strip().lower() for word in self.clips_per_class.split(",")]
        if not all(word == "all" or (word.isdecimal() and int(word)) for word in words):
            raise ValueError(
                "--clips-per-class must list numbers above 0 and all, such as 1,2,5,all; received "
                f"{self.clips_per_class!r}"
            )
        counts = sorted({math.inf if word == "all" else int(word) for word in words})
        return tuple(None if count == math.inf else count for count in counts)


def used_settings(strategy: str) -> set[str]:
    """The settings that change something under a strategy."""
    if strategy == "linear_probe":
        return {"strategy", "seed"}
    unused = {"finetune": set(), "scratch": {"unfreeze_epochs"}}.get(strategy, _OF_THE_WHOLE)
    return set(settings_of(FinetuneConfig)) - unused


def finetune_config(namespace: argparse.Namespace) -> FinetuneConfig:
    """The flags over the strategy's settings; ValueError for one that the strategy ignores."""
    given = flag_settings(namespace, FinetuneConfig)
    strategy = given.get("strategy", "finetune")
    used = used_settings(strategy)
    for name in given:
        if name not in used:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} changes nothing under --strategy {strategy}; leave it out")
    if "patience" in used and getattr(namespace, "task", None) is None:
        given.setdefault("patience", USER_PATIENCE)
    return FinetuneConfig(**{**DEFAULTS[strategy], **given})


def finetune_options(namespace: argparse.Namespace) -> Options:
    """The other flags; ValueError for those that exclude each other."""
    given, known = flag_settings(namespace, Options), settings_of(Options)
    for name in given:
        if "task" in given and known[name][1].group == _USER:
            flag, task = name.replace("_", "-"), given["task"]
            raise ValueError(f"--{flag} is for user data; --task {task} has its protocol")
    if getattr(namespace, "strategy", "") == "scratch" and given.get("weights"):
        raise ValueError("--strategy scratch begins with random weights; leave --weights out")
    return Options(**given)
