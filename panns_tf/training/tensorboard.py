"""TensorBoard besides numbers: settings, pictures of what the network sees, curves, sound."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from panns_tf.inference.plot import draw_spectrogram
from panns_tf.layers.mixup import mix
from panns_tf.layers.spec_augment import SpecAugment
from panns_tf.models.network import Network
from panns_tf.training.data import RecordData, add_mixup, augment, decoded, from_int16
from panns_tf.training.evaluator import Predictions, RecordEvaluator
from panns_tf.training.trainer import Trainer
from tfrecords import load_index
from tfrecords.progress import logger
from tfrecords.records import read_clips
from tfrecords.text import did_you_mean

#: Clips of which there are pictures: training clips, in pairs, and held-out ones.
TRAINING_CLIPS, HELD_OUT_CLIPS = 4, 2
#: Held-out clips to listen to, and seconds of each.
HARD_CLIPS, HARD_SECONDS = 3, 10
#: Classes with curves, from the largest to the smallest.
WATCHED = 6


class TensorBoardImages(keras.callbacks.Callback):
    """Writes into ``tensorboard/`` of a run: settings, pictures, audio, a profile of some steps."""

    def __init__(
        self,
        trainer: Trainer,
        data: RecordData,
        evaluator: RecordEvaluator | None,
        training_clips: np.ndarray,
    ):
        super().__init__()
        self._trainer, self._data, self._evaluator = trainer, data, evaluator
        self._config, self._network = trainer.config, trainer.network
        self._labels, wanted = list(trainer.network.labels), trainer.config.watch_classes
        self._watched = watched_classes(self._labels, training_clips, wanted)
        self._folder = str(trainer.run_dir / "tensorboard")
        self._failed = self._profiling = False
        trainer.stops |= set(self._config.profiled or ())

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(self._folder, filename_suffix=".images")
        self._write(self._at_the_start)
        self._profile()

    def on_train_batch_end(self, batch, logs=None):
        self._profile()

    def on_epoch_end(self, epoch, logs=None):
        if logs and self._config.pictures:
            self._write(self._after_an_evaluation)

    def on_train_end(self, logs=None):
        self._profile(at_end=True)
        self._writer.close()

    def _write(self, what: Callable[[], None]) -> None:
        """Calls what writes; whatever is wrong with a picture, it must not end a run."""
        try:
            with self._writer.as_default(step=self._trainer.step):
                what()
            self._writer.flush()
        except Exception as error:
            if not self._failed:
                text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                logger.warning(f"TensorBoard lacks pictures of step {self._trainer.step}: {text}")
            self._failed = True

    def _at_the_start(self) -> None:
        settings = dataclasses.asdict(self._config).items()
        lines = [f"- {name}: {value}" for name, value in settings if value is not None]
        tf.summary.text("configuration", "\n".join(lines))
        if self._config.pictures and "log_mel" in self._network.arch.inputs:
            rows, seconds = augmented(self._network, self._config, self._data)
            figure = draw_spectrograms(rows, seconds, shared=True)
            image("clips/before and after SpecAugment and mixup", figure)

    def _after_an_evaluation(self) -> None:
        predictions, rate = self._evaluator.predictions, self._network.arch.frontend.sample_rate
        curves = draw_curves(predictions, self._labels, self._watched)
        image("classes/precision and recall", curves)
        index, resample = load_index(self._config.eval_data), self._config.decimation
        clips = np.arange(min(HELD_OUT_CLIPS, index.num_clips))
        waveform = read_clips(index, clips, rate, resample)
        if rows := feature_rows(self._network, waveform, decoded(index.clip_ids[clips])):
            figure = draw_spectrograms(rows, waveform.shape[1] / rate)
            image("clips/what the network sees", figure)
        lines, numbers = [], index.clip_ids.tolist()
        for place, row in enumerate(hardest(predictions, HARD_CLIPS), start=1):
            clip_id = predictions.clip_ids[row]
            waveform = read_clips(index, [numbers.index(clip_id)], rate, resample)
            audio = from_int16(waveform[:, : HARD_SECONDS * rate, None])
            tf.summary.audio(f"hard clips/{place}", audio, rate)
            target, score = predictions.target[row], predictions.score[row]
            true = ", ".join(self._labels[k] for k in np.flatnonzero(target)) or "none"
            best = ", ".join(f"{self._labels[k]} {score[k]:.2f}" for k in np.argsort(-score)[:3])
            name = clip_id.decode(errors="replace")
            lines.append(f"{place}. **{name}** is: {true}. Predicted: {best}.")
        # TensorBoard would show a description of the sound itself at the first step for ever.
        tf.summary.text("hard clips: what they are", "\n".join(lines))

    def _profile(self, at_end: bool = False) -> None:
        """Begins or ends the profile that was asked for, where it is time."""
        start, stop = self._config.profiled or (0, 0)
        step = self._trainer.step
        wanted = start <= step < stop and not at_end
        if wanted and not self._profiling:
            tf.profiler.experimental.start(self._folder)
        elif self._profiling and not wanted:
            tf.profiler.experimental.stop()
            logger.info(
                f"Profile of steps {start} to {step} in {self._folder}; to look at it: pip install "
                "tensorboard-plugin-profile"
            )
        self._profiling = wanted


def watched_classes(labels: Sequence[str], sizes: np.ndarray, wanted: str | None) -> list[int]:
    """The numbers of the classes with curves, of labels or evenly from the largest class on."""
    if wanted is None:
        order = np.argsort(-np.asarray(sizes), kind="stable")
        places = np.linspace(0, len(order) - 1, min(WATCHED, len(order))).round().astype(int)
        return order[places].tolist()
    names = [name for name in map(str.strip, wanted.split(";")) if name]
    for name in names:
        if name not in labels:
            raise ValueError(f"--watch-classes: no class {name!r}; {did_you_mean(name, labels)}")
    return [labels.index(name) for name in names]


def hardest(predictions: Predictions, count: int) -> np.ndarray:
    """The rows of the clips with the highest binary cross-entropy, the hardest first."""
    score = np.clip(predictions.score.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -np.where(predictions.target > 0, np.log(score), np.log1p(-score)).mean(axis=1)
    return np.argsort(-loss, kind="stable")[:count]


def front_end(network: Network) -> keras.Model | None:
    """Layers up to the features: ``log_mel`` (batch, frames, mel_bins) and ``wavegram`` (batch,
    steps, frequencies, channels); None if a network has neither.
    """
    last = {"log_mel": "bn0", "wavegram": "pre_block4.pool"}
    names = [name for name in last if name in network.arch.inputs]
    outputs = {name: network.get_layer(last[name]).output for name in names}
    return keras.Model(network.inputs[0], outputs) if outputs else None


#: Spectrograms in a row, each (frames, bins), and their titles.
Row = list[tuple[np.ndarray, str]]


def augmented(network: Network, config, data: RecordData) -> tuple[list[Row], float]:
    """Rows of log-mels of a run's first clips before and after SpecAugment and mixup, and the
    seconds of a clip; the run's random states stay as they are.
    """
    arch, model = network.arch, front_end(network)
    rate, clips = arch.frontend.sample_rate, TRAINING_CLIPS
    (batch,) = add_mixup(data.records(0, clips), config, clips=clips).take(1)
    weights, waveform = batch.get("mixup_lambda"), from_int16(batch["waveform"])
    before = model(waveform)["log_mel"].numpy()
    rows = [[panel] for panel in zip(before, decoded(batch["clip_id"].numpy()), strict=True)]
    seed, shift = tf.constant((0, config.seed), tf.int64), round(config.time_shift * rate)
    waveform = augment(waveform, seed, shift=shift, gain=config.gain)
    mixed_before = weights is not None and "waveform" in (config.mixup, arch.mixup)
    values = model(mix(waveform, weights) if mixed_before else waveform)["log_mel"]
    if arch.spec_augment:
        layer = network.get_layer("spec_augmenter").get_config()
        values = SpecAugment.from_config({**layer, "seed": config.seed})(values, training=True)
    titles = [""] * clips
    if weights is not None:
        values = values if mixed_before else mix(values, weights)
        rows = [first + second for first, second in zip(rows[0::2], rows[1::2], strict=True)]
        titles = [
            f"{first:.2f} + {second:.2f} " for first, second in weights.numpy().reshape(-1, 2)
        ]
    for row, value, title in zip(rows, values.numpy(), titles, strict=True):
        row.append((value, f"{title}after SpecAugment"))
    return rows, batch["waveform"].shape[1] / rate


def feature_rows(network: Network, waveform: np.ndarray, names: Sequence[str]) -> list[Row]:
    """The log-mel of clips beside their wavegram, the mean over its channels."""
    model, columns = front_end(network), {}
    if model is None:
        return []
    for name, values in model(from_int16(waveform)).items():
        columns[name] = values = np.asarray(values, np.float32)
        if name == "wavegram":  # (clips, steps, frequencies, channels)
            # Each frequency by itself, as bn0 does for the log-mel: else offsets hide the sound.
            values = (values - values.mean(axis=(0, 1))) / (values.std(axis=(0, 1)) + 1e-6)
            columns[name] = values.mean(axis=-1)
    return [
        [(values[clip], f"{name}: {title}") for title, values in columns.items()]
        for clip, name in enumerate(names)
    ]


def image(tag: str, figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    tf.summary.image(tag, np.asarray(canvas.buffer_rgba())[None, ..., :3])


def draw_spectrograms(rows: Sequence[Row], seconds: float, shared: bool = False) -> Figure:
    """Draws a grid of spectrograms, ``shared``: with one range of colours, that of the first."""
    size = 3.2 * len(rows[0]), 2.3 * len(rows) + 0.3
    figure = Figure(size, dpi=100, layout="constrained")
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for axes, (values, title) in zip(grid.flat, itertools.chain(*rows), strict=True):
        low, high = np.percentile(rows[0][0][0] if shared else values, (2, 99.5))
        draw_spectrogram(axes, values, seconds, low, high)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.set(xlabel="seconds", ylabel="bin")
        axes.label_outer()
    return figure


def draw_curves(predictions: Predictions, labels: Sequence[str], classes: Sequence[int]) -> Figure:
    """Precision-recall curves of some classes, and of all decisions together."""
    figure = Figure((7, 5), dpi=100, layout="constrained")
    axes = figure.subplots()
    target, score = predictions.target, predictions.score
    curves = {labels[k]: (target[:, k], score[:, k]) for k in classes if target[:, k].any()}
    curves["all classes"] = (target.reshape(-1), score.reshape(-1))
    for label, curve in curves.items():
        precision, recall, _ = precision_recall_curve(*curve)
        width = 2.5 if label == "all classes" else 1.2
        axes.plot(recall, precision, drawstyle="steps-pre", label=label, linewidth=width)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
