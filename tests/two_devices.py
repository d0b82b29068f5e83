"""One update on two logical devices, and what each of them made of it, as JSON."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training import optimizer, step
from panns_tf.training.distribution import distribute
from panns_tf.training.step import TrainStep
from panns_tf.weights.loading import create_model
from tests.support import register_tiny


def main() -> None:
    register_tiny()
    distribution = distribute(2)
    keras.utils.set_random_seed(0)
    if "large" in sys.argv:  # the optimizer's update is compiled
        optimizer.COMPILED_FROM = 0
    if "unsalted" in sys.argv:
        step._REPLICA_SALT = 0
    augmented = {"time_shift": 0.1} if "shift" in sys.argv else {}
    config = TrainConfig(arch="Tiny", mixup="none", batch_size=8, ema=0.9, **augmented)
    strategy = distribution.strategy
    with strategy.scope():
        random = "random" in sys.argv
        network = create_model("Tiny", num_classes=3, dropout=random, spec_augment=random)
    update = TrainStep(config, network, distribution)
    rng = np.random.default_rng(0)
    half = rng.integers(-9999, 9999, (4, 4000)).astype("int16")
    target = np.eye(3, dtype="float32")[[0, 1, 2, 0]]

    def batch(context) -> dict:
        return {"waveform": tf.constant(half), "target": tf.constant(target)}

    @tf.function(autograph=False)
    def losses(values):
        def each(values):
            replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, "int64")
            return update.gradients(values, replica, tf.constant(1, tf.int64))[1]

        return strategy.run(each, args=(values,))

    values = strategy.experimental_distribute_values_from_function(batch)
    found = {"losses": [float(x) for x in strategy.experimental_local_results(losses(values))]}
    both = {name: value.values for name, value in values.items()}  # of each device
    data = tf.data.Dataset.from_tensors({k: tf.concat(v, 0) for k, v in both.items()})
    data = data.unbatch().batch(8, drop_remainder=True).repeat()
    batches = iter(strategy.experimental_distribute_dataset(data))
    update.run(batches, 3)
    held = [*network.variables, *update.optimizer.variables, *update.average.variables]
    values = [v.value if isinstance(v, keras.Variable) else v for v in held]
    found["equal"] = all(
        np.array_equal(*(x.numpy() for x in strategy.experimental_local_results(value)))
        for value in values
    )
    found["compared"] = len(values)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
