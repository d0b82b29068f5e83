"""The settings of `panns-tf finetune`, and what the strategies set of them."""

import argparse
import dataclasses
from pathlib import Path

from panns_tf.config import FitSettings, NetworkOverrides
from tfrecords.flags import check_settings, given_settings, redeclare, setting, settings_of

LABELS_FROM = ("auto", "folder", "name", "csv")

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

_DATA, _USER, _NETWORK = "the data set", "user data", "the network"
_TRIALS, _LEARNING, _CLIPS, _RUN = "experiments", "learning", "clips", "the run"


def _by_strategy(name: str, default) -> str:
    others = [f"{key} {row[name]}" for key, row in DEFAULTS.items() if name in row]
    return ", ".join([str(default), *others])


@dataclasses.dataclass(frozen=True)
class FinetuneConfig(FitSettings):
    """What decides the training on a new task."""

    strategy: str = setting(
        "finetune",
        "finetune (all layers of a pretrained network learn), freeze_l1 and freeze_l3 (one or "
        "three new layers on the frozen network), linear_probe (one layer, solved for), scratch",
        choices=STRATEGIES,
        group=_NETWORK,
    )
    epochs: int = setting(
        30,
        "passes over the training clips, at most",
        minimum=1,
        group=_LEARNING,
        shown=_by_strategy("epochs", 30),
    )
    min_steps: int = setting(
        100,
        "updates at least, however few clips there are",
        minimum=1,
        group=_LEARNING,
        shown=_by_strategy("min_steps", 100),
    )
    learning_rate: float = redeclare(
        FitSettings, "learning_rate", 1e-4, shown=_by_strategy("learning_rate", 1e-4)
    )
    schedule: str = redeclare(
        FitSettings, "schedule", "constant", shown=_by_strategy("schedule", "constant")
    )
    warmup_steps: int = redeclare(
        FitSettings, "warmup_steps", 0, shown=_by_strategy("warmup_steps", 0)
    )
    layer_decay: float = setting(
        1.0,
        "learning rate of a layer group over that of the group after it (Howard and Ruder 2018)",
        above=0,
        maximum=1,
        group=_LEARNING,
    )
    unfreeze_epochs: int = setting(
        0,
        "finetune: epochs after which one more layer group learns, from the classifier on",
        minimum=0,
        group=_LEARNING,
        shown="0, all at once",
    )
    patience: int | None = setting(
        None,
        "scratch, finetune: epochs without a better validation metric after which training stops "
        "with the best weights; 0: off",
        minimum=0,
        group=_LEARNING,
        shown=f"off for tasks, {USER_PATIENCE} for user data",
    )
    class_weights: bool = setting(False, "weigh classes by their rarity", group=_LEARNING)
    sampling: str = setting(
        "shuffled", "order of the training clips", choices=("shuffled", "balanced"), group=_CLIPS
    )
    crop_seconds: float | None = setting(
        None,
        "length of the random crops of training clips",
        above=0,
        maximum=3600,
        group=_CLIPS,
        shown="--clip-seconds",
    )
    seed: int = redeclare(FitSettings, "seed", 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patience == 0:
            object.__setattr__(self, "patience", None)

    def steps_per_epoch(self, clips: int) -> int:
        """Updates in which so many clips are sampled about once."""
        return max(1, round(clips / self.clips_per_step))

    def steps(self, clips: int) -> int:
        """Updates of a training on so many clips."""
        return max(self.min_steps, self.epochs * self.steps_per_epoch(clips))


@dataclasses.dataclass(frozen=True)
class Options:
    """What `panns-tf finetune` is to do, besides the settings of learning."""

    data: Path = setting(help="a data set's folder, or a CSV", metavar="DIR", group=_DATA)
    task: str | None = setting(
        None,
        "esc50, dcase2019_task1, dcase2018_task2, msos, gtzan, ravdess, or esc10",
        group=_DATA,
        shown="user data",
    )
    audio: Path | None = setting(
        None, "folder of the files that a CSV names", metavar="DIR", group=_USER
    )
    labels_from: str = setting(
        "auto",
        "where labels are: folder names, file names (see --label-pattern), a CSV",
        choices=LABELS_FROM,
        group=_USER,
    )
    label_pattern: str | None = setting(
        None,
        "file names hold the labels: the group (?P<label>...), perhaps also (?P<group>...)",
        metavar="REGEX",
        group=_USER,
    )
    group_pattern: str | None = setting(
        None,
        "(?P<group>...) of the file name: clips of one speaker, place or recording are never on "
        "two sides of a split",
        metavar="REGEX",
        group=_USER,
    )
    classes: Path | None = setting(
        None, "the labels in their order, one a line", metavar="FILE", group=_USER
    )
    drop_rare: bool = setting(False, "leave out classes of one clip", group=_USER)
    folds: int | None = setting(
        None, "cross-validate, rather than one split", minimum=2, metavar="N", group=_USER
    )
    test: float = setting(
        0.2, "share of the clips that is tested", above=0, below=1, metavar="SHARE", group=_USER
    )
    validation: float = setting(
        0.15,
        "share of the training clips for early stopping",
        minimum=0,
        below=1,
        metavar="SHARE",
        group=_USER,
    )
    arch: str | None = setting(
        None, "name of the network", group=_NETWORK, shown="that of --weights, or Cnn14"
    )
    weights: str | None = setting(
        None,
        "pretrained: a .pth or .keras file or a run directory; scratch takes none",
        metavar="FILE",
        group=_NETWORK,
        shown="the published ones, downloaded once",
    )
    clip_seconds: float | None = setting(
        None,
        "length of the windows of test clips, whose predictions are averaged",
        minimum=0.05,
        maximum=600,
        metavar="SECONDS",
        group=_NETWORK,
        shown="the task's, or by the clips' lengths",
    )
    clips_per_class: str = setting(
        "all",
        "train on so many clips of each class, such as 1,2,5,10,20,all",
        metavar="N,N,...",
        group=_TRIALS,
    )
    seeds: str = setting(
        "1", "seeds, and so trainings, of each configuration", metavar="N", group=_TRIALS
    )
    only_folds: str = setting("", "folds to run", metavar="F,F,...", group=_TRIALS, shown="all")
    metric: str | None = setting(
        None,
        "metric to report",
        choices=("accuracy", "mAP@3", "mAP"),
        group=_TRIALS,
        shown="the task's",
    )
    output: Path | None = setting(
        None, "folder of the results", metavar="DIR", group=_RUN, shown="runs/<data set>-<network>"
    )
    force: bool = setting(False, "discard results of other settings in --output", group=_RUN)
    cache: Path | None = setting(
        None, "folder of embeddings", metavar="DIR", group=_RUN, shown="~/.cache/panns_tf"
    )
    workers: int = setting(
        2, "threads that decode audio", minimum=1, maximum=64, metavar="N", group=_RUN
    )
    save_models: bool = setting(True, "keep the network of every fold", group=_RUN)

    def __post_init__(self) -> None:
        check_settings(self)
        _ = self.counts, self.trial_seeds(0)

    @property
    def counts(self) -> tuple[int | None, ...]:
        """Training clips of each class to try; None for all."""
        words = [word.strip().lower() for word in self.clips_per_class.split(",") if word.strip()]
        valid = all(word == "all" or (word.isdecimal() and int(word) > 0) for word in words)
        if not words or not valid:
            raise ValueError(
                "--clips-per-class must list numbers above 0 and all, such as 1,2,5,all; received "
                f"{self.clips_per_class!r}"
            )
        return tuple(dict.fromkeys(None if word == "all" else int(word) for word in words))

    @property
    def folds_to_run(self) -> tuple[str, ...]:
        """Names of the folds to run; empty for all."""
        return tuple(name.strip() for name in self.only_folds.split(",") if name.strip())

    def trial_seeds(self, first: int) -> tuple[int, ...]:
        """The seeds of the trainings, from the first on."""
        if not (self.seeds.isdecimal() and len(self.seeds) < 6 and 1 <= int(self.seeds) <= 10_000):
            raise ValueError(
                f"--seeds must be a number of trainings, 1 to 10000; received {self.seeds!r}"
            )
        return tuple(range(first, first + int(self.seeds)))


def used_settings(strategy: str) -> set[str]:
    """The settings that change something under a strategy."""
    every = set(settings_of(FinetuneConfig))
    if strategy == "finetune":
        return every
    if strategy == "scratch":
        return every - {"unfreeze_epochs"}
    if strategy == "linear_probe":
        return {"strategy", "seed"}
    of_sound = ("mixup", "mixup_alpha", "crop_seconds", "time_shift", "gain", "spec_augment")
    of_network = ("layer_decay", "unfreeze_epochs", "patience", "precision", "dropout", "ema")
    return every - {*of_sound, *of_network}


def finetune_config(namespace: argparse.Namespace) -> FinetuneConfig:
    """The settings of a training: the flags over the strategy's over the defaults.

    Raises:
        ValueError: for an impossible setting, or one that the strategy does not use.
    """
    given = given_settings(namespace, FinetuneConfig)
    strategy = given.get("strategy", "finetune")
    used = used_settings(strategy)
    unused = [name for name in given if name not in used]
    if unused:
        raise ValueError(
            f"--{unused[0].replace('_', '-')} changes nothing under --strategy {strategy}; leave "
            "it out"
        )
    if "patience" in used and getattr(namespace, "task", None) is None:
        given.setdefault("patience", USER_PATIENCE)
    return FinetuneConfig(**{**DEFAULTS[strategy], **given})


def finetune_options(namespace: argparse.Namespace) -> Options:
    """The other flags.

    Raises:
        ValueError: for an impossible value, or flags that exclude each other.
    """
    given = given_settings(namespace, Options)
    user = [name for name, (_, about, _) in settings_of(Options).items() if about.group == _USER]
    if given.get("task") is not None:
        for name in user:
            if name in given:
                raise ValueError(
                    f"--{name.replace('_', '-')} is for user data; --task {given['task']} has its "
                    "protocol"
                )
    if getattr(namespace, "strategy", "") == "scratch" and given.get("weights"):
        raise ValueError("--strategy scratch begins with random weights; leave --weights out")
    return Options(**given)


def given_overrides(namespace: argparse.Namespace) -> dict:
    """What is to differ from the network's row in the registry."""
    return NetworkOverrides(**given_settings(namespace, NetworkOverrides)).overrides
