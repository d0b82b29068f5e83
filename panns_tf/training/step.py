"""One update, compiled: gradients on every device, their mean, Adam, averaged weights."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers.cpu import traced_for
from panns_tf.layers.mixup import mix
from panns_tf.models.network import Network, training_model
from panns_tf.training.data import augment, from_int16
from panns_tf.training.distribution import Distribution
from panns_tf.training.losses import Teacher, loss_for, smooth
from panns_tf.training.optimizer import Adam, LossScale, WeightAverage, learning_rate

#: Between the seeds of two replicas; any odd number that is no small difference of others.
_REPLICA_SALT = 7_368_787


class TrainStep:
    """The updates of a training; arguments as `Trainer` has them, ``factors`` as `Adam`.

    Nothing here waits for the host: losses are summed on the device until `flush` reads the sum.
    No layer may be frozen yet. ``variables``, by group, are what a checkpoint holds besides the
    network's; ``steps`` counts updates; ``first_bad`` is the first without a finite loss, or 0.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        distribution: Distribution,
        teacher: Teacher | None = None,
        loss: Callable | None = None,
        factors: Sequence[float] | None = None,
    ):
        self.config, self._network, self._distribution = config, network, distribution
        self._model, self._teacher = training_model(network), teacher
        self._loss = loss or loss_for(network.arch.activation)
        self._seeds = [v.value for v in network.variables if "seed" in v.name and not v.trainable]
        self._statistics = [
            v.value for v in network.non_trainable_variables if v.dtype.startswith("float")
        ]
        with distribution.strategy.scope():
            rate = learning_rate(config, config.steps)
            self.optimizer = Adam(rate, weight_decay=config.weight_decay or None)
            self.optimizer.build(network.trainable_variables)
            self.optimizer.factors = factors
            self.average = WeightAverage(network, config.ema) if config.ema else None
            outputs = config.batch_size * network.num_classes
            self._scaling = LossScale(outputs) if config.policy == "mixed_float16" else None
            starts = (np.int64(0), np.int64(0), 0.0, -1.0)
            made = [tf.Variable(value, trainable=False) for value in starts]
            self.steps, self.first_bad, self._loss_sum, self._gradient_norm = made
        self._waits: list[tf.Tensor] = []
        self.variables = {
            "optimizer": self.optimizer.variables,
            "average": self.average.variables if self.average else [],
            "loss_scale": self._scaling.variables if self._scaling else [],
        }
        self.trace()

    def trace(self) -> None:
        """Compiles anew; for after layers were frozen or unfrozen."""
        self._gradients_of = self.gradients
        if compiles(self.config, self._distribution):
            gradients = traced_for("xla")(self.gradients)
            self._gradients_of = tf.function(gradients, jit_compile=True, autograph=False)
        self._run = tf.function(self._take, autograph=False)

    def run(self, batches: Iterator, count: int) -> None:
        """Takes ``count`` updates with batches of ``waveform`` int16 (clips, samples), ``target``
        (clips, classes) and, under mixup, ``mixup_lambda`` (clips,).
        """
        self._waits.append(self._run(batches, tf.constant(count, tf.int32)))

    def flush(self) -> dict[str, tf.Tensor]:
        """Sums since the last call, on the device; ``gradient_norm`` is of the last multiple of
        ``log_steps``, or -1; ``waited`` are the seconds that batches were waited for.
        """
        weights = [tf.identity(v.value) for v in self._network.trainable_variables]
        values = {
            "loss": tf.identity(self._loss_sum),
            "bad": tf.identity(self.first_bad),
            "learning_rate": tf.identity(tf.convert_to_tensor(self.optimizer.learning_rate)),
            "gradient_norm": tf.identity(self._gradient_norm),
            "weight_norm": tf.linalg.global_norm(weights),
            "waited": sum(self._waits, tf.zeros((), tf.float64)),
        }
        self._loss_sum.assign(0.0)
        self._gradient_norm.assign(-1.0)
        self._waits = []
        return values

    def _take(self, batches, count):
        """Takes updates; returns for how many seconds their batches were waited for, float64."""

        def body(taken, waited):
            asked = _clock()
            with tf.control_dependencies([asked]):
                batch = next(batches)
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                waited += _clock() - asked
            self._distribution.strategy.run(self._update, args=(batch,))
            return taken + 1, waited

        start = [0, tf.zeros((), tf.float64)]
        return tf.while_loop(lambda n, _: n < count, body, start, parallel_iterations=1)[1]

    def _update(self, batch: dict) -> None:
        """One update, on one replica."""
        config, replicas = self.config, self._distribution.replicas
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        step = self.steps.assign_add(1) + 0  # a value of its own, which later steps do not change
        gradients, loss = self._gradients_of(batch, replica, step)
        if self._scaling:
            gradients = [gradient / self._scaling.value for gradient in gradients]
        if replicas > 1:
            # Not for one: TensorFlow keeps the graph of a sum over replicas until the process ends.
            statistics = [tf.identity(variable) for variable in self._statistics]
            values = [x / replicas for x in (*gradients, loss, *statistics)]
            values = context.all_reduce(tf.distribute.ReduceOp.SUM, values)
            count = len(gradients)
            gradients, (loss, *statistics) = values[:count], values[count:]
            for variable, mean in zip(self._statistics, statistics, strict=True):
                variable.assign(mean)
        finite = None
        if self._scaling:  # a sum over replicas is finite where all of its parts are
            finite = [tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients]
            finite = tf.cast(tf.reduce_all(finite), tf.float32)
        self.optimizer.apply(gradients, self._network.trainable_variables, finite)
        if self._scaling:
            self._scaling.update(finite)
        if self.average:
            self.average.update(step)
        # The norm passes over all gradients, so only where there is a log.
        logged = tf.logical_or(step % config.log_steps == 0, step == config.steps)
        kept = self._gradient_norm
        kept.assign(tf.cond(logged, lambda: tf.linalg.global_norm(gradients), lambda: kept + 0))
        self._loss_sum.assign_add(loss)
        fine = tf.math.is_finite(loss)
        if not self._scaling:
            # A rectifier may turn NaN into 0 on the way to the loss, but not on the way back, where
            # the gradients of vectors, which every block has, show it at next to no cost.
            vectors = [tf.reduce_sum(g) for g in gradients if g.shape.rank <= 1]
            fine = tf.logical_and(fine, tf.math.is_finite(tf.add_n(vectors)))
        bad = tf.logical_and(self.first_bad == 0, tf.logical_not(fine))
        self.first_bad.assign(tf.where(bad, step, self.first_bad))

    def gradients(self, batch: dict, replica, step) -> tuple[list, tf.Tensor]:
        """Gradients of a replica's (scaled) mean loss, and the loss; int64 ``step``, from 1."""
        parts = self.config.accumulate
        variables = [v.value for v in self._network.trainable_variables]

        def of_part(part: dict, number):
            inputs, target = self._inputs(part, tf.stack([replica, step]) * parts + number)
            with tf.GradientTape() as tape:
                loss = self._loss(target, self._model.outputs_of(inputs, training=True))
                scaled = loss * self._scaling.value if self._scaling else loss
            return tape.gradient(scaled, variables), loss

        def body(number, sums, total):
            # A part is a run of neighbours, so that pairs of mixup stay together.
            part = {name: x[number] for name, x in cut.items()}
            gradients, loss = of_part(part, tf.cast(number, tf.int64))
            sums = [a + b / parts for a, b in zip(sums, gradients, strict=True)]
            return number + 1, sums, total + loss / parts

        with self._salted_seeds(replica):
            if parts == 1:
                return of_part(batch, 0)
            cut = {
                name: tf.reshape(x, (parts, x.shape[0] // parts, *x.shape[1:]))
                for name, x in batch.items()
            }
            start = [0, [tf.zeros(v.shape, v.dtype) for v in variables], 0.0]
            return tf.while_loop(lambda n, *_: n < parts, body, start, parallel_iterations=1)[1:]

    @contextlib.contextmanager
    def _salted_seeds(self, replica) -> Iterator[None]:
        """Has layers draw other dropout and stripes on each replica, from one random state."""
        seeds = self._seeds if self._distribution.replicas > 1 else ()
        salt = tf.stack([replica * _REPLICA_SALT, 0])
        for seed in seeds:
            seed.assign_add(tf.cast(salt, seed.dtype))
        yield
        for seed in seeds:
            seed.assign_sub(tf.cast(salt, seed.dtype))

    def _inputs(self, batch: dict, seed) -> tuple[dict, tf.Tensor]:
        """Augmented, mixed inputs of the model, and its targets."""
        config, arch = self.config, self._network.arch
        waveform, target = from_int16(batch["waveform"]), batch["target"]
        weight = batch.get("mixup_lambda")
        shift = round(config.time_shift * arch.frontend.sample_rate)
        seed = tf.add(seed, (config.seed, 0))
        waveform = augment(waveform, seed, shift=shift, gain=config.gain)
        uniform = 0.5 if arch.activation == "sigmoid" else 1 / self._network.num_classes
        target = smooth(target, config.label_smoothing, uniform)
        if self._teacher:
            target = self._teacher.targets(target, waveform)
        if weight is None:
            return {"waveform": waveform}, target
        target = mix(target, weight)
        if config.mixup == "waveform":
            return {"waveform": mix(waveform, weight)}, target
        return {"waveform": waveform, "mixup_lambda": weight}, target


def _clock():
    """Seconds, float64, when the graph comes here; TensorFlow's own clock refuses determinism."""
    return tf.ensure_shape(tf.numpy_function(time.monotonic, [], tf.float64), ())


def compiles(config: TrainConfig, distribution: Distribution) -> bool:
    """Whether XLA compiles the gradients: unless set, on a GPU alone (it makes CPUs several times
    slower), and not where devices share statistics, which it cannot compile.
    """
    shared = config.sync_batchnorm and distribution.replicas > 1
    if shared and (config.xla == "on" or config.accumulate > 1):
        raise ValueError(
            "--sync-batchnorm on several devices goes with neither --xla on nor --accumulate; "
            "leave one out"
        )
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return config.xla == "on" or (config.xla == "auto" and on_gpu and not shared)


def share_statistics(network: keras.Model) -> None:
    """Has every BatchNorm of a network normalise by the statistics of all devices together."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
