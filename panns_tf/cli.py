"""The commands: `panns-tf COMMAND`, `python -m panns_tf COMMAND`, `train.py`, `evaluate.py`."""

from collections.abc import Callable, Sequence

from panns_tf import __version__
from panns_tf.run import RunError
from tfrecords import commands
from tfrecords.commands import Command

# fmt: off
COMMANDS = {
    "tag": Command("panns_tf.inference.cli", "labels of recordings"),
    "detect": Command("panns_tf.inference.cli", "events in recordings, with their times"),
    "embed": Command("panns_tf.inference.cli", "embeddings of recordings"),
    "train": Command("panns_tf.training.cli", "train a network on packed records"),
    "evaluate": Command("panns_tf.evaluation.cli", "evaluate trained networks, and compare them"),
    "finetune": Command("panns_tf.transfer.cli", "train on a data set of your own, or a published task"),  # noqa: E501
    "predict": Command("panns_tf.transfer.predict", "labels of recordings by a fine-tuned network"),
    "export": Command("panns_tf.export.cli", "SavedModel, ONNX and LiteRT files"),
    "convert": Command("panns_tf.weights.cli", "PyTorch checkpoints to Keras, and back"),
    "demo": Command("panns_tf.demo", "a Gradio page to drop or record audio on"),
    "models": Command("panns_tf.catalogue", "the table of networks"),
    "plot": Command("panns_tf.figures.cli", "the paper's figures from run directories"),
    "ablate": Command("panns_tf.sweep.cli", "grids of trainings, and their table"),
    **commands.COMMANDS,
}
# fmt: on


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status; see `tfrecords.commands.main`."""
    description = "PANNs for TensorFlow and Keras 3."
    return commands.main(
        arguments, COMMANDS, "panns-tf", description, version=f"panns_tf {__version__}"
    )


def run_command(name: str, arguments: Sequence[str] | None, program: str) -> int:
    """Runs a command by its name; ``program`` is what ``--help`` calls it."""
    return commands.run_command(COMMANDS[name], name, arguments, program)


def run(command: Callable[[], int | None]) -> None:
    commands.run(command, (RunError,))


def panns_tf() -> None:
    run(main)
