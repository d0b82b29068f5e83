"""Trains a network: ``panns-tf train`` from a checkout; see `panns_tf.training.cli`."""

from collections.abc import Sequence

from panns_tf.cli import run, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("train", arguments, "train.py")


if __name__ == "__main__":
    run(main)
