"""One update, compiled: what happens on the devices between two looks of the host."""

import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.layers import mix
from panns_tf.models import Network, training_model
from panns_tf.training.augment import augment
from panns_tf.training.average import WeightAverage
from panns_tf.training.distill import Teacher
from panns_tf.training.distribution import Distribution
from panns_tf.training.evaluation import to_float
from panns_tf.training.loss_scale import LossScale
from panns_tf.training.losses import binary_cross_entropy
from panns_tf.training.optimizer import Adam
from panns_tf.training.schedule import learning_rate

#: Between the seeds of two replicas; any odd number that is no small difference of others.
_REPLICA_SALT = 7_368_787


class UpdateStep:
    """The updates of a run: gradients on every device, their mean, Adam, the weights' average.

    Nothing here waits for the host: the loss is summed on the device until `flush` takes it.

    Args:
        config: of the run.
        network: whose weights are updated; made under the distribution's strategy.
        distribution: the devices.
        teacher: whose word becomes part of the targets, or None.
        loss: of targets and a head's outputs; see `panns_tf.training.losses.loss_of`.
        factors: of the learning rate, one for each trainable variable, or None.

    Attributes:
        optimizer: Adam, with its moments.
        average: of the weights, or None.
        variables: all that a checkpoint must hold besides the network's.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        distribution: Distribution,
        teacher: Teacher | None = None,
        loss: Callable = binary_cross_entropy,
        factors: Sequence[float] | None = None,
    ):
        self.config = config
        self._network = network
        self._loss = loss
        self._model = training_model(network)
        self._distribution = distribution
        self._teacher = teacher
        self._seeds = [v.value for v in network.variables if "seed" in v.name and not v.trainable]
        self._statistics = [
            v.value for v in network.non_trainable_variables if v.dtype.startswith("float")
        ]
        with distribution.strategy.scope():
            decay = config.weight_decay or None
            self.optimizer = Adam(learning_rate(config), weight_decay=decay)
            self.optimizer.build(network.trainable_variables)
            self.optimizer.factors = factors
            self.average = WeightAverage(network, config.ema) if config.ema else None
            outputs = config.batch_size * network.num_classes
            self._scaling = LossScale(outputs) if config.policy == "mixed_float16" else None
            self._steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps")
            self._loss_sum = tf.Variable(0.0, trainable=False, name="loss_sum")
            self._first_bad = tf.Variable(0, dtype=tf.int64, trainable=False, name="first_bad")
            self._gradient_norm = tf.Variable(-1.0, trainable=False, name="gradient_norm")
        self._waits: list[tf.Tensor] = []
        self.variables = {
            "optimizer": self.optimizer.variables,
            "average": self.average.variables if self.average else [],
            "loss_scale": self._scaling.variables if self._scaling else [],
        }
        jit = compiles(config, distribution)
        # Without XLA no function of its own: devices could not share statistics within one.
        self._gradients_of = (
            tf.function(self._gradients, jit_compile=True, autograph=False)
            if jit
            else self._gradients
        )
        self._of_part_alone = tf.function(self._of_part, jit_compile=jit, autograph=False)
        self._run = tf.function(self._take, autograph=False)
        self._run_once = tf.function(self._everywhere, autograph=False)

    @property
    def replicas(self) -> int:
        """Devices that share a batch."""
        return self._distribution.replicas

    def run(self, batches, count: int) -> None:
        """Takes ``count`` updates with the next batches of an iterator."""
        self._waits.append(self._run(batches, tf.constant(count, tf.int32)))

    def run_once(self, batch: dict):
        """Takes one update with one batch; returns its loss, a float32 scalar.

        Args:
            batch: ``waveform`` int16 (clips, samples), ``target`` (clips, classes) and, under
                mixup, ``mixup_lambda`` (clips,).
        """
        losses = self._run_once(batch)
        return self._distribution.strategy.experimental_local_results(losses)[0]

    def flush(self) -> dict[str, tf.Tensor]:
        """Returns what the devices know, and starts another sum of losses.

        Returns:
            ``loss``, the sum since the last flush; ``bad``, the first update whose loss was not
            finite, or 0; ``learning_rate``; ``gradient_norm``, L2 over all weights, of the last
            update that is a multiple of ``log_steps``, or -1 if there was none; ``weight_norm``;
            ``waited``, the seconds that batches were waited for. They lie on the device; reading
            waits for it.
        """
        weights = [tf.identity(v.value) for v in self._network.trainable_variables]
        found = {
            "loss": tf.identity(self._loss_sum),
            "bad": self.first_bad(),
            "learning_rate": tf.identity(tf.convert_to_tensor(self.optimizer.learning_rate)),
            "gradient_norm": tf.identity(self._gradient_norm),
            "weight_norm": tf.linalg.global_norm(weights),
            "waited": sum(self._waits, tf.zeros((), tf.float64)),
        }
        self._loss_sum.assign(0.0)
        self._gradient_norm.assign(-1.0)
        self._waits = []
        return found

    def first_bad(self) -> tf.Tensor:
        """Returns the first update whose loss was not finite, or 0."""
        return tf.identity(self._first_bad)

    def fits(self, clips: int, samples: int) -> bool:
        """Says whether a device has memory for the gradients of so many clips.

        Args:
            clips: after mixing.
            samples: of a clip.
        """
        drawn = clips * self.config.clips_per_step // self.config.batch_size
        batch = {
            "waveform": tf.zeros((drawn, samples), tf.int16),
            "target": tf.zeros((drawn, self._network.num_classes)),
        }
        if self.config.mixup != "none":
            batch["mixup_lambda"] = tf.fill((drawn,), 0.5)
        try:
            self._of_part_alone(batch, tf.zeros((2,), tf.int64))
        except tf.errors.OpError:
            return False
        return True

    def restart_at(self, step: int) -> None:
        """Counts from ``step`` updates done."""
        self._steps.assign(step)

    def _take(self, batches, count):
        """Takes updates; returns for how many seconds their batches were waited for, float64."""

        def body(taken, waited):
            asked = _clock()
            with tf.control_dependencies([asked]):
                batch = next(batches)
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                waited += _clock() - asked
            self._everywhere(batch)
            return taken + 1, waited

        start = [0, tf.zeros((), tf.float64)]
        return tf.while_loop(lambda n, _: n < count, body, start, parallel_iterations=1)[1]

    def _everywhere(self, batch: dict):
        return self._distribution.strategy.run(self._update, args=(batch,))

    def _update(self, batch: dict):
        """One update, as one replica sees it."""
        context = tf.distribute.get_replica_context()
        replica = tf.cast(context.replica_id_in_sync_group, tf.int64)
        replicas = self._distribution.replicas
        step = self._steps.assign_add(1) + 0  # a value of its own, not a look at the variable
        gradients, loss = self._gradients_of(batch, replica, step)
        # Adam adds the gradients of all replicas up; each is of the mean over its own clips.
        gradients = [gradient / replicas for gradient in gradients] if replicas > 1 else gradients
        finite = None
        if self._scaling:
            gradients = self._scaling.unscale(gradients)
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
            finite = tf.cast(finite, tf.float32)
        if replicas > 1:
            loss, finite = self._agree(context, loss, finite)
        variables = self._network.trainable_variables
        if finite is None:
            self.optimizer.apply(gradients, variables)
        else:
            self.optimizer.apply_if(finite, gradients, variables)
            self._scaling.update(finite)
        if self.average:
            self.average.update(step)
        self._look_at(self.optimizer.summed, step)
        self._loss_sum.assign_add(loss)
        fine = tf.math.is_finite(loss)
        if not self._scaling:
            # A rectifier may turn NaN into 0 on the way to the loss, but not on the way back, where
            # the gradients of vectors, which every block has, see it at next to no cost.
            vectors = [tf.reduce_sum(g) for g in gradients if g.shape.rank <= 1]
            fine = tf.logical_and(fine, tf.math.is_finite(tf.add_n(vectors)))
        bad = tf.logical_and(self._first_bad == 0, tf.logical_not(fine))
        self._first_bad.assign(tf.where(bad, step, self._first_bad))
        return loss

    def _look_at(self, gradients: list, step) -> None:
        """Keeps the gradients' norm, for the updates after which there is a log."""
        config = self.config
        looked_at = tf.logical_or(step % config.log_steps == 0, step == config.steps)
        norm = tf.cond(
            looked_at, lambda: tf.linalg.global_norm(gradients), lambda: self._gradient_norm + 0
        )
        self._gradient_norm.assign(norm)

    def _agree(self, context, loss, finite):
        """Makes loss and running statistics the means over all replicas, ``finite`` the least."""
        replicas = self._distribution.replicas
        flag = tf.zeros(()) if finite is None else finite
        summed = context.all_reduce(
            tf.distribute.ReduceOp.SUM, [loss, flag, *(tf.identity(s) for s in self._statistics)]
        )
        for variable, total in zip(self._statistics, summed[2:], strict=True):
            variable.assign(total / replicas)
        everywhere = tf.cast(summed[1] > replicas - 0.5, tf.float32)
        return summed[0] / replicas, None if finite is None else everywhere

    def _gradients(self, batch: dict, replica, step):
        """Gradients of the (scaled) mean loss over a replica's batch, and the loss."""
        # Layers draw dropout and stripes by seeds that are the same on every replica.
        salt = tf.stack([replica * _REPLICA_SALT, 0])
        for seed in self._seeds:
            seed.assign_add(tf.cast(salt, seed.dtype))
        gradients, loss = self._in_parts(batch, tf.stack([replica, step]))
        for seed in self._seeds:
            seed.assign_sub(tf.cast(salt, seed.dtype))
        return gradients, loss

    def _in_parts(self, batch: dict, place):
        parts = self.config.accumulate
        place = place * parts
        if parts == 1:
            return self._of_part(batch, place)

        def part(number):
            # Each part is a run of neighbours, so that pairs stay together.
            return {name: x[number] for name, x in cut.items()}

        cut = {
            name: tf.reshape(x, (parts, x.shape[0] // parts, *x.shape[1:]))
            for name, x in batch.items()
        }
        zeros = [tf.zeros(v.shape, v.dtype) for v in self._network.trainable_variables]

        def body(number, sums, total):
            gradients, loss = self._of_part(part(number), place + tf.cast(number, tf.int64))
            sums = [a + b / parts for a, b in zip(sums, gradients, strict=True)]
            return number + 1, sums, total + loss / parts

        _, gradients, loss = tf.while_loop(
            lambda number, *_: number < parts, body, [0, zeros, 0.0], parallel_iterations=1
        )
        return gradients, loss

    def _of_part(self, batch: dict, place):
        """Gradients and loss of clips that pass the network together."""
        inputs, target = self._inputs(batch, place)
        variables = [v.value for v in self._network.trainable_variables]
        with tf.GradientTape() as tape:
            loss = self._loss(target, self._model.outputs_of(inputs, training=True))
            scaled = self._scaling.scale(loss) if self._scaling else loss
        return tape.gradient(scaled, variables), loss

    def _inputs(self, batch: dict, place) -> tuple[dict, tf.Tensor]:
        """Augmented, mixed inputs of the model, and its targets."""
        config = self.config
        waveform, target = to_float(batch["waveform"]), batch["target"]
        weight = batch.get("mixup_lambda")
        shift = round(config.time_shift * self._network.row.frontend.sample_rate)
        seed = tf.add(place, (config.seed, 0))
        waveform = augment(waveform, seed, shift=shift, gain=config.gain)
        rest = 0.5 if self._network.row.activation == "sigmoid" else 1 / self._network.num_classes
        target = smooth(target, config.label_smoothing, rest)
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
    return tf.ensure_shape(tf.numpy_function(_monotonic, [], tf.float64), ())


def _monotonic() -> np.float64:
    return np.float64(time.monotonic())


def smooth(target, amount: float, rest: float = 0.5):
    """Moves targets by ``amount`` of the way to ``rest``, what is said of a class at random.

    Source: Szegedy et al. 2016, as ``keras.losses.BinaryCrossentropy`` (rest 1 / 2) and
    ``CategoricalCrossentropy`` (rest 1 / classes) have it.
    """
    return target * (1 - amount) + amount * rest if amount else target


def compiles(config: TrainConfig, distribution: Distribution) -> bool:
    """Says whether XLA compiles the gradients: on a GPU, where it is faster, unless told.

    On a CPU it is several times slower, for want of fast convolutions backward. Statistics that
    are shared by devices cannot be compiled.

    Raises:
        ValueError: if it was asked for and cannot be.
    """
    shared = config.sync_batchnorm and distribution.replicas > 1
    for flag, given in (("--xla on", config.xla == "on"), ("--accumulate", config.accumulate > 1)):
        if shared and given:
            raise ValueError(
                f"{flag} and --sync-batchnorm do not go together on several devices; leave one out"
            )
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    return config.xla == "on" or (config.xla == "auto" and on_gpu and not shared)


def share_statistics(network: keras.Model) -> None:
    """Has every BatchNorm of a network normalise by the statistics of all devices together."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
