"""The callback that draws: pictures, sound, curves, settings and profiles for TensorBoard."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from panns_tf.training.board import classes, hard_clips, pictures, settings
from panns_tf.training.board.front import front_end, seen_in_training
from panns_tf.training.evaluation import to_float
from tfrecords import load_index
from tfrecords.lookup import read_clips

if TYPE_CHECKING:
    from panns_tf.training.trainer import Trainer

#: Pairs of training clips, and held-out clips, of which there are pictures.
PAIRS, HELD_OUT = 2, 2


class Board(keras.callbacks.Callback):
    """Writes into ``tensorboard/`` of a run, at its start and after every evaluation.

    At the start: the settings as a text and as hyperparameters, and what the network sees of its
    first clips before and after SpecAugment and mixup. After an evaluation: precision-recall
    curves, average precision against training clips, the log-mel beside the learned wavegram,
    the first layer's filters, and the held-out clips with the highest loss, to listen to.

    Args:
        trainer: of the run.
        training_clips: int (classes,), of each class.
        say: takes lines for the person watching.
    """

    def __init__(
        self, trainer: Trainer, training_clips: np.ndarray, say: Callable[[str], None] = print
    ):
        super().__init__()
        self._trainer = trainer
        self._training_clips = np.asarray(training_clips)
        self._say = say
        self._failed = False
        self._profiling = False
        config = trainer.config
        self._profiled = config.profiled
        if self._profiled:
            trainer.stops += self._profiled
        labels = list(trainer.network.labels)
        self._chosen = classes.chosen(labels, self._training_clips, config.watch_classes)
        self._folder = trainer.run_dir / "tensorboard"
        self._writer: tf.summary.SummaryWriter | None = None

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(str(self._folder), filename_suffix=".board")
        self._write(self._at_the_start)
        self._profile()

    def on_train_batch_end(self, batch, logs=None):
        self._profile()

    def on_epoch_end(self, epoch, logs=None):
        if logs:
            self._write(self._after_an_evaluation)

    def on_train_end(self, logs=None):
        if self._profiling:
            self._end_profile()
        self._write(self._at_the_end)
        self._writer.close()

    def _write(self, what: Callable[[], None]) -> None:
        """Calls what writes; whatever is wrong with a picture, it must not end a run."""
        try:
            with self._writer.as_default(step=self._trainer.step):
                what()
            self._writer.flush()
        except Exception as error:
            if not self._failed:
                line = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                self._say(f"TensorBoard lacks pictures of step {self._trainer.step}: {line}")
            self._failed = True

    def _at_the_start(self) -> None:
        config = self._trainer.config
        tf.summary.text("configuration", settings.as_markdown(dataclasses.asdict(config)))
        # Runs of a sweep often differ in the folder above that of their seed.
        name = "/".join(self._trainer.run_dir.absolute().parts[-2:])
        settings.write_hparams(config, name, time.time())
        seen = seen_in_training(self._trainer, PAIRS) if config.pictures else None
        if seen is not None:
            picture("clips/before and after SpecAugment and mixup", pictures.augmented(seen))

    def _at_the_end(self) -> None:
        trainer = self._trainer
        settings.write_end(finished=trainer.step >= trainer.config.steps)

    def _after_an_evaluation(self) -> None:
        trainer = self._trainer
        if not trainer.config.pictures:
            return
        found, labels = trainer.predictions, list(trainer.network.labels)
        classes.write_curves(found.target, found.score, labels, self._chosen)
        precision = trainer.summary.average_precision
        sizes = pictures.precision_by_size(precision, self._training_clips, labels)
        picture("classes/average precision by training clips", sizes)
        self._write_front(found.clip_ids)
        config, row = trainer.config, trainer.network.row
        hard_clips.write(
            found,
            load_index(config.eval_data),
            labels,
            row.frontend.sample_rate,
            config.decimation,
        )

    def _write_front(self, clip_ids: np.ndarray) -> None:
        """The features of some held-out clips, and the filters that make them."""
        trainer = self._trainer
        network = trainer.network
        rate = network.row.frontend.sample_rate
        kernel = pictures.first_kernel(network)
        if kernel is not None:
            picture("network/first layer", pictures.filters(kernel, rate))
        model = front_end(network)
        if model is None:
            return
        index = load_index(trainer.config.eval_data)
        waveform = read_clips(
            index, np.arange(min(HELD_OUT, index.num_clips)), rate, trainer.config.decimation
        )
        found = {
            name: tf.cast(value, tf.float32).numpy()
            for name, value in model(to_float(waveform)).items()
        }
        names = [clip_id.decode(errors="replace") for clip_id in index.clip_ids[: len(waveform)]]
        seconds = waveform.shape[1] / rate
        picture("clips/what the network sees", pictures.features(found, names, seconds))

    def _profile(self) -> None:
        """Begins and ends the profile that was asked for."""
        if not self._profiled:
            return
        start, stop = self._profiled
        step = self._trainer.step
        if not self._profiling and start <= step < stop and step == start:
            tf.profiler.experimental.start(str(self._folder))
            self._profiling = True
        elif self._profiling and step >= stop:
            self._end_profile()

    def _end_profile(self) -> None:
        self._profiling = False
        tf.profiler.experimental.stop()
        self._say(
            f"Profile of steps {self._profiled[0]} to {self._trainer.step} in {self._folder}; to "
            "look at it: pip install tensorboard-plugin-profile"
        )


def picture(tag: str, pixels: np.ndarray) -> None:
    """Writes (height, width, 3) uint8 pixels as a picture."""
    tf.summary.image(tag, pixels[None])
