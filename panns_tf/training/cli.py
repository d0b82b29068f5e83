"""The command ``train``: its flags, and the configuration that they make."""

import argparse
import dataclasses
import time
from pathlib import Path

from panns_tf.config import BESIDES, TrainConfig, train_config
from panns_tf.models.registry import find
from panns_tf.run import CHECKPOINTS, CONFIG
from panns_tf.training.recipes import read_recipe, recipe_names
from tfrecords.files import read_json
from tfrecords.flags import RemovedFlag, add_flags, given_settings

#: What a resumed run may change: how long it goes on, and what changes nothing of it.
RESUMABLE = ("steps", "damaged", *(name for name in BESIDES if name != "recipe"))

DESCRIPTION = """\
Train a network on packed records.

    train --arch wavegram_logmel                       # a demo on synthetic sounds
    train --arch cnn14 --data packed/train --eval-data packed/eval

With --data the defaults are the paper's recipe: batches of 32 mixed pairs, class-balanced
sampling, Adam (amsgrad) at 1e-3, binary cross-entropy. All GPUs of the machine are used, and
those of the others that TF_CONFIG names."""


def add_train_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``train``; only those that are given become attributes."""
    parser.description = DESCRIPTION
    parser.epilog = f"recipes: {', '.join(recipe_names())}"
    groups = add_flags(parser, TrainConfig)
    groups["the run"].add_argument(
        "--resume",
        nargs="?",
        const="always",
        choices=("always", "auto"),
        help="continue the run in --run-dir; auto: start it if there is none",
    )
    groups["devices"].add_argument("--devices", type=int, help="GPUs to use; default: all")
    parser.add_argument(
        "--cache",
        action=RemovedFlag,
        nargs="?",
        help="mount the bucket by a tool that caches what is read, such as gcsfuse",
    )


def run_train(args: argparse.Namespace) -> int | None:
    """Trains; returns the exit status, None for 0."""
    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()

    from panns_tf.training.command import train

    given = given_settings(args, TrainConfig)
    return train(given, args.resume, args.devices, quiet=getattr(args, "quiet", False))


def demo_paths(run_dir: Path) -> dict[str, str]:
    """Where a demo run keeps its data, as settings of the run."""
    return {"data": str(run_dir / "data/train"), "eval_data": str(run_dir / "data/eval")}


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
    if resume == "always" or (resume and (Path(given["run_dir"]) / CONFIG).is_file()):
        return _resumed(given)
    given = {**(read_recipe(given["recipe"]) if "recipe" in given else {}), **given}
    given["arch"] = find(given.get("arch", TrainConfig.arch)).name
    if "run_dir" not in given:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        given["run_dir"] = str(Path("runs") / f"{given['arch'].lower()}-{stamp}")
    run_dir = Path(given["run_dir"])
    taken = (run_dir / CONFIG).exists() or (run_dir / CHECKPOINTS).exists()
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
        given = {**read_recipe("demo"), **demo_paths(run_dir), "demo": True, **given}
    return TrainConfig(**given)


def _resumed(given: dict) -> TrainConfig:
    """The configuration that a run was started with, and what may change of it."""
    path = Path(given["run_dir"]) / CONFIG
    if not path.is_file():
        raise ValueError(f"--resume: no run in {given['run_dir']}: it has no {CONFIG}")
    try:
        saved = train_config(read_json(path)["config"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
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
        given |= demo_paths(Path(given["run_dir"]))
    return dataclasses.replace(saved, **given)
