"""What watches a run: ordinary Keras callbacks, and the model that they are given."""

from collections.abc import Callable

import keras
import tensorflow as tf
from tqdm import tqdm

from panns_tf.training.run_log import RunLog

_COUNTS = ("num_clips", "num_classes", "classes_left_out", "damaged_clips")


class Watched:
    """What callbacks see as ``self.model``: the network, with an optimiser and a stop.

    A network of its own would save the optimiser's moments in every ``.keras`` file.

    Args:
        network: whose attributes these are, too.
        optimizer: for callbacks that set the learning rate.

    Attributes:
        stop_training: True ends the run after the updates under way.
    """

    def __init__(self, network: keras.Model, optimizer: keras.optimizers.Optimizer):
        self._network = network
        self.optimizer = optimizer
        self.stop_training = False

    def __getattr__(self, name: str):
        return getattr(self._network, name)


class LogRun(keras.callbacks.Callback):
    """Writes ``metrics.jsonl`` and TensorBoard's file; says so, once, where that fails."""

    def __init__(self, log: RunLog, say: Callable[[str], None]):
        super().__init__()
        self._log = log
        self._say = say
        self._failed = False

    def on_train_batch_end(self, batch, logs=None):
        self._write("train", logs)

    def on_epoch_end(self, epoch, logs=None):
        self._write("eval", logs)

    def _write(self, group: str, logs: dict | None) -> None:
        if not logs:
            return
        try:
            self._log.write(int(logs["step"]), group, as_logged(logs))
        except (OSError, tf.errors.OpError) as error:
            if not self._failed:
                why = (
                    error if isinstance(error, OSError) else "TensorBoard's file: no room, perhaps"
                )
                self._say(f"the log of step {int(logs['step'])} was not written: {why}")
            self._failed = True

    def on_train_end(self, logs=None):
        self._log.close()


class ShowProgress(keras.callbacks.Callback):
    """A bar with loss and speed, and a line for each evaluation."""

    def __init__(self, step: int, steps: int, describe: Callable[[int, dict], str]):
        super().__init__()
        self._bar = tqdm(total=steps, initial=step, unit="step", desc="train", mininterval=0.5)
        self._describe = describe

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(batch + 1 - self._bar.n)
        if logs:
            rate = f"{logs['clips_per_second']:.1f}"
            self._bar.set_postfix({"loss": f"{logs['loss']:.4f}", "clips/s": rate})

    def on_epoch_end(self, epoch, logs=None):
        if logs:
            self._bar.write(self._describe(int(logs["step"]), as_logged(logs)))

    def on_train_end(self, logs=None):
        self._bar.close()


def as_logged(logs: dict) -> dict:
    """Returns the numbers as they were, but for ``step``: Keras makes fractions of all."""
    return {
        name: int(value) if name in _COUNTS else value
        for name, value in logs.items()
        if name != "step"
    }
