"""The flags of train.py, and the configuration that they make."""

import argparse
import dataclasses
import json
import time
from pathlib import Path

from panns_tf.config import BESIDES, CHOICES, TrainConfig
from panns_tf.models import Architecture, find
from panns_tf.training import demo
from panns_tf.training.recipes import read_recipe, recipe_names

#: What a resumed run may change: how long it goes on, and what changes nothing of it.
RESUMABLE = ("steps", "damaged", *(name for name in BESIDES if name != "recipe"))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line; only flags that were given become attributes."""
    default = TrainConfig()
    parser = argparse.ArgumentParser(
        description="Train a network of the paper. Without --data: a demo on synthetic sounds.",
        argument_default=argparse.SUPPRESS,
    )
    flag = argparse.BooleanOptionalAction

    group = parser.add_argument_group("the run").add_argument
    group("--arch", help=f"the network, e.g. wavegram_logmel or cnn14; default {default.arch}")
    group("--data", help="directory of packed training records (python -m tfrecords pack)")
    group("--eval-data", help="directory of packed held-out records")
    group("--run-dir", help="where to write; default runs/<network>-<time>")
    group(
        "--recipe",
        help=f"settings from a file: {', '.join(recipe_names())}, or a path; flags go before it",
    )
    group(
        "--resume",
        nargs="?",
        const="always",
        choices=("always", "auto"),
        help="continue the run in --run-dir; auto: start it if there is none",
    )
    group("--steps", type=int, help=f"updates; default {default.steps}, demo fewer")
    group("--seed", type=int, help=f"default {default.seed}, the reference's")

    group = parser.add_argument_group("the network, where it is to differ").add_argument
    group("--sample-rate", type=int, help="of the sound that it sees, in Hz")
    group("--window-size", type=int, help="samples in a Fourier window")
    group("--hop-size", type=int, help="samples from one frame to the next")
    group("--mel-bins", type=int, help="mel filters")
    group("--fmin", type=float, help="lower edge of the lowest mel filter, in Hz")
    group("--fmax", type=float, help="upper edge of the highest, in Hz")
    group("--embedding-size", type=int, help="width of the layer before the classifier")

    group = parser.add_argument_group("learning").add_argument
    group("--batch-size", type=int, help="clips per update, after mixing; default 32, demo fewer")
    group("--accumulate", type=int, help="parts of a batch, one after the other; default 1")
    group("--learning-rate", type=float, help=f"the highest; default {default.learning_rate}")
    group("--schedule", choices=CHOICES["schedule"], help=f"default {default.schedule}")
    group("--warmup-steps", type=int, help="updates in which the rate rises; default 0")
    group("--weight-decay", type=float, help="AdamW's; default 0, which is Adam")
    group("--ema", type=float, help="evaluate and save averaged weights, e.g. 0.999; default off")
    group("--label-smoothing", type=float, help="default 0")
    group("--dropout", action=flag, help="default on")
    group("--distill", help="a trained model whose probabilities become part of the targets")
    group("--distill-weight", type=float, help=f"their part; default {default.distill_weight}")

    group = parser.add_argument_group("clips").add_argument
    group("--sampling", choices=CHOICES["sampling"], help=f"default {default.sampling}")
    group("--mixup", choices=CHOICES["mixup"], help=f"where to mix; default {default.mixup}")
    group("--mixup-alpha", type=float, help="weights from Beta(alpha, alpha); default 1, uniform")
    group("--spec-augment", action=flag, help="mask stripes of the log-mel; default on")
    group("--time-shift", type=float, help="rotate clips by up to so many seconds; default 0")
    group("--gain", type=float, help="louder or softer by up to so many dB; default 0")
    group("--exclude", help="file that lists clips never to be drawn, e.g. a black list")
    group("--fraction", type=float, help="train on this part of the clips; default 1")
    group(
        "--decimation",
        choices=CHOICES["decimation"],
        help="records of a higher sample rate than the network's: low-passed (default), or every "
        "k-th sample as in the reference",
    )
    group("--damaged", choices=CHOICES["damaged"], help="at a damaged record; default raise")
    group("--cache", help="folder on a local disk that keeps what is read of records far away")

    group = parser.add_argument_group("devices").add_argument
    group("--precision", choices=CHOICES["precision"], help=f"default {default.precision}")
    group("--xla", choices=CHOICES["xla"], help="compile the step; default auto: on a GPU")
    group("--devices", type=int, help="GPUs to use; default all")
    group("--sync-batchnorm", action=flag, help="batch statistics over all devices; default off")
    group("--steps-per-call", type=int, help="updates between looks of the host; default by device")

    group = parser.add_argument_group("looking and saving").add_argument
    group("--eval-steps", type=int, help="updates between evaluations; default: 3 %% of the work")
    group(
        "--eval-training-clips",
        type=int,
        help="training clips to evaluate too, up to as many as held-out ones; default 1000",
    )
    group("--pictures", action=flag, help="TensorBoard: pictures, sound, curves; default on")
    group("--watch-classes", help="'Dog;Rain': TensorBoard: precision and recall of these")
    group("--profile", metavar="START:STOP", help="TensorBoard: a profile of these steps")
    group("--log-steps", type=int, help=f"updates between log lines; default {default.log_steps}")
    group("--checkpoint-minutes", type=float, help=f"default {default.checkpoint_minutes}")
    group("--checkpoint-steps", type=int, help="updates between checkpoints, besides by minutes")
    group("--keep-checkpoints", type=int, help=f"default {default.keep_checkpoints}")
    group("--full-disk", choices=CHOICES["full_disk"], help=f"default {default.full_disk}")
    return parser.parse_args(arguments)


def architecture(config: TrainConfig) -> Architecture:
    """Returns the registry's row of a run's network, with what the run changes of it.

    Raises:
        ValueError: for a setting that the network cannot have or would not notice.
    """
    return find(config.arch).override(**config.overrides)


def configure(given: dict, resume: str | None, is_chief: bool = True) -> TrainConfig:
    """Returns the configuration of a new run, or of the one to resume.

    Args:
        given: settings by name, as flags gave them.
        resume: None, ``"always"``, or ``"auto"``: if there is a run.
        is_chief: whether this process is the one that writes.

    Raises:
        ValueError: a run is there and not to be resumed, or the other way round; a resumed run
            with other settings; an unknown network or recipe.
    """
    if resume and "run_dir" not in given:
        raise ValueError("--resume needs --run-dir, the directory of the run to continue")
    if resume == "always" or (resume and (Path(given["run_dir"]) / "config.json").is_file()):
        return _resumed(given)
    given = {**(read_recipe(given["recipe"]) if "recipe" in given else {}), **given}
    given["arch"] = find(given.get("arch", TrainConfig.arch)).name
    if "run_dir" not in given:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        given["run_dir"] = str(Path("runs") / f"{given['arch'].lower()}-{stamp}")
    run_dir = Path(given["run_dir"])
    taken = (run_dir / "config.json").exists() or (run_dir / "checkpoints").exists()
    if taken and is_chief:  # the others may come when the chief has begun
        raise ValueError(
            f"{run_dir} already holds a run; add --resume to continue it, or choose another"
        )
    if "data" not in given:
        if "eval_data" in given:
            raise ValueError("--eval-data needs --data; without both the demo makes its own")
        if given.get("recipe", "demo") != "demo":
            raise ValueError(
                f"--recipe {given['recipe']} needs --data; without it the demo follows its own"
            )
        made = demo.data_paths(run_dir)
        return TrainConfig(**{**read_recipe("demo"), **made, "demo": True, **given})
    return TrainConfig(**given)


def _resumed(given: dict) -> TrainConfig:
    """The configuration that a run was started with, and what may change of it."""
    path = Path(given["run_dir"]) / "config.json"
    if not path.is_file():
        raise ValueError(f"--resume: no run in {given['run_dir']}: it has no config.json")
    try:
        saved = TrainConfig(**json.loads(path.read_text())["config"])
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"--resume: {path} is damaged: {error!r}") from error
    if "recipe" in given:
        given = {**read_recipe(given["recipe"]), **given}
    if "arch" in given:
        given["arch"] = find(given["arch"]).name
    changed = [
        f"{name} was {getattr(saved, name)!r}, now {value!r}"
        for name, value in given.items()
        if name not in RESUMABLE and value != getattr(saved, name)
    ]
    if changed:
        raise ValueError(f"--resume with other settings: {'; '.join(changed)}; leave them out")
    if saved.demo:  # its data lies within the run, which may have moved
        given |= demo.data_paths(Path(given["run_dir"]))
    return dataclasses.replace(saved, **given)
