"""The flags of `python -m panns_tf finetune`."""

import argparse
from pathlib import Path

from panns_tf.config import CHOICES, OVERRIDES
from panns_tf.transfer.settings import DEFAULTS, STRATEGIES, TransferConfig

#: Flags of a data set of one's own, which a task does not take.
OWN = (
    "audio",
    "labels_from",
    "label_pattern",
    "group_pattern",
    "classes",
    "drop_rare",
    "folds",
    "test",
    "validation",
)
#: What training on one's own clips does unless told otherwise: it stops when it learns no more.
OWN_PATIENCE = 10


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all flags."""
    parser.set_defaults(**dict.fromkeys((*OWN, *OVERRIDES)))
    _add_data(parser)
    _add_network(parser)
    _add_trials(parser)
    _add_learning(parser)
    _add_running(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the data set").add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="a data set's folder, or a CSV")
    add(
        "--task",
        help="esc50, dcase2019_task1, dcase2018_task2, msos, gtzan, ravdess, or esc10; default: a "
        "data set of one's own",
    )
    add = parser.add_argument_group("a data set of one's own").add_argument
    add("--audio", type=Path, metavar="DIR", help="folder of the files that a CSV names")
    add(
        "--labels-from",
        choices=("auto", "folder", "name", "csv"),
        help="where labels stand: the folder a clip lies in, its name, a CSV; default: found out",
    )
    add(
        "--label-pattern",
        metavar="REGEX",
        help="with a group (?P<label>...) of the file's name, perhaps also (?P<group>...)",
    )
    add(
        "--group-pattern",
        metavar="REGEX",
        help="(?P<group>...) of the path: clips of one speaker, place or recording stay together",
    )
    add("--classes", type=Path, metavar="FILE", help="the labels in their order, one a line")
    add("--drop-rare", action="store_true", default=None, help="leave out classes of one clip")
    add("--folds", type=int, metavar="N", help="cross-validate, rather than one split")
    add("--test", type=float, metavar="PART", help="of the clips that is tested; default 0.2")
    add(
        "--validation",
        type=float,
        metavar="PART",
        help="of the training clips that decides when to stop; default 0.15",
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("the network").add_argument
    add("--strategy", choices=STRATEGIES, default="finetune", help="default: %(default)s")
    add("--arch", metavar="NETWORK", help="default: that of --weights, or Cnn14")
    add(
        "--weights",
        metavar="FILE",
        help="pretrained: a .pth or .keras file or a run directory; default: the published ones, "
        "downloaded once; scratch takes none",
    )
    add(
        "--clip-seconds",
        type=float,
        metavar="S",
        help="heard at once in tests, the predictions of longer clips being averaged; default: the "
        "task's, or by the clips' lengths",
    )
    for name in OVERRIDES:
        kind = float if name in ("fmin", "fmax") else int
        add(f"--{name.replace('_', '-')}", type=kind, metavar="N", help="for scratch")


def _add_trials(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is tried").add_argument
    add(
        "--clips-per-class",
        default="all",
        metavar="N,N,...",
        help="learn from so many clips of each class: 1,2,5,10,20,all; default: all",
    )
    add("--seeds", default="1", metavar="N", help="trainings of each kind; default 1")
    add("--only-folds", default="", metavar="F,F,...", help="of a task; default: all")
    add("--metric", choices=("accuracy", "mAP@3", "mAP"), help="default: the task's")


def _add_learning(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("learning").add_argument
    flag = argparse.BooleanOptionalAction
    off = {"default": argparse.SUPPRESS}
    default = TransferConfig()

    def by_strategy(name: str) -> str:
        usual = getattr(default, name)
        found = [f"{k} {row[name]}" for k, row in DEFAULTS.items() if name in row]
        return ", ".join([f"default {usual}", *found])

    add("--epochs", type=int, help=f"rounds of the clips; {by_strategy('epochs')}", **off)
    add("--min-steps", type=int, help=f"updates at least; {by_strategy('min_steps')}", **off)
    add("--batch-size", type=int, help=f"default {default.batch_size}", **off)
    add("--learning-rate", type=float, help=by_strategy("learning_rate"), **off)
    add("--schedule", choices=CHOICES["schedule"], help=by_strategy("schedule"), **off)
    add("--warmup-steps", type=int, help=by_strategy("warmup_steps"), **off)
    add("--layer-decay", type=float, help="rate of a stage over that after it; default 1", **off)
    add(
        "--unfreeze-epochs",
        type=int,
        help="finetune: one more stage learns after so many epochs, the classifier first",
        **off,
    )
    add(
        "--patience",
        type=int,
        help="scratch, finetune: stop after so many epochs without a better validation figure, and "
        "keep the best; "
        f"default: off for tasks, {OWN_PATIENCE} for a data set of one's own; 0: off",
        **off,
    )
    add("--class-weights", action=flag, help="rare classes count more", **off)
    add("--sampling", choices=("shuffled", "balanced"), help="order of the clips", **off)
    add("--mixup", choices=CHOICES["mixup"], help=f"default {default.mixup}", **off)
    add("--mixup-alpha", type=float, help="default 1", **off)
    add("--crop-seconds", type=float, help="of a clip heard at a time in training", **off)
    add("--time-shift", type=float, help="rotate clips by up to so many seconds", **off)
    add("--gain", type=float, help="louder or softer by up to so many dB", **off)
    add("--spec-augment", action=flag, help="mask stripes of the log-mel; default on", **off)
    add("--dropout", action=flag, help="default on", **off)
    add("--label-smoothing", type=float, help="default 0", **off)
    add("--weight-decay", type=float, help="AdamW's; default 0", **off)
    add("--ema", type=float, help="average the weights, e.g. 0.99; default off", **off)
    add("--precision", choices=CHOICES["precision"], help="default float32", **off)
    add("--seed", type=int, help="the first; default 0", **off)


def _add_running(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where").add_argument
    add("--output", type=Path, metavar="DIR", help="default runs/<data set>-<network>")
    add("--force", action="store_true", help="give up results of other settings in --output")
    add("--cache", type=Path, metavar="DIR", help="of embeddings; default ~/.cache/panns_tf")
    add("--workers", type=int, default=2, metavar="N", help="threads that decode; default 2")
    add(
        "--save-models",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the network of every fold; default on",
    )


def counts_of(text: str) -> tuple[int | None, ...]:
    """Returns the numbers of clips of ``--clips-per-class``; None for all.

    Raises:
        ValueError: for what is no number above 0 and not ``all``.
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    if not words or not all(w == "all" or (w.isdecimal() and int(w) > 0) for w in words):
        raise ValueError(
            f"--clips-per-class must list numbers above 0 and all, such as 1,2,5,all; received "
            f"{text!r}"
        )
    return tuple(dict.fromkeys(None if word == "all" else int(word) for word in words))


def seeds_of(text: str, first: int) -> tuple[int, ...]:
    """Returns the seeds of ``--seeds``: so many from ``first`` on.

    Raises:
        ValueError: for what is no number above 0.
    """
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise ValueError(f"--seeds must be a number of trainings, 1 to 10000; received {text!r}")
    return tuple(range(first, first + int(text)))


def config_of(options: argparse.Namespace, is_own: bool) -> TransferConfig:
    """Returns the settings of a training: the flags over the strategy's over the defaults.

    Raises:
        ValueError: for an impossible setting, or one that the strategy would not notice.
    """
    names = TransferConfig.__dataclass_fields__
    given = {name: value for name, value in vars(options).items() if name in names}
    strategy = given["strategy"]
    known = noticed(strategy)
    idle = [name for name in given if name not in known]
    if idle:
        raise ValueError(
            f"--{idle[0].replace('_', '-')} changes nothing under --strategy {strategy}; leave it "
            "out"
        )
    if is_own and "patience" in known:
        given.setdefault("patience", OWN_PATIENCE)
    if given.get("patience") == 0:
        given["patience"] = None
    return TransferConfig(**{**DEFAULTS[strategy], **given})


def noticed(strategy: str) -> set[str]:
    """Returns the settings that change something under a strategy."""
    every = set(TransferConfig.__dataclass_fields__)
    if strategy == "scratch":
        return every - {"unfreeze_epochs"}
    if strategy == "finetune":
        return every
    if strategy == "linear_probe":
        return {"strategy", "seed"}
    heard = ("mixup", "mixup_alpha", "crop_seconds", "time_shift", "gain", "spec_augment", "ema")
    stages = ("layer_decay", "unfreeze_epochs", "patience", "precision", "dropout")
    return every - {*heard, *stages}
