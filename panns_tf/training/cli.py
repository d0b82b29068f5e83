"""The command ``train``."""

import argparse

from panns_tf.config import TrainConfig
from panns_tf.training.recipes import recipe_names
from tfrecords.flags import add_flags, flag_settings

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
    parser.add_argument("--cache", nargs="?", const="", help=argparse.SUPPRESS)  # of 0.1.0


def run_train(args: argparse.Namespace) -> int | None:
    if args.cache is not None:
        raise ValueError("--cache is gone: mount the bucket by a tool that caches, such as gcsfuse")
    from tfrecords.commands import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.training.command import train

    given = flag_settings(args, TrainConfig)
    return train(given, args.resume, args.devices, quiet=getattr(args, "quiet", False))
