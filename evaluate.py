"""Evaluates networks: ``panns-tf evaluate`` from a checkout; see `panns_tf.evaluation.cli`."""

from collections.abc import Sequence

from panns_tf.cli import run, run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return run_command("evaluate", arguments, "evaluate.py")


if __name__ == "__main__":
    run(main)
