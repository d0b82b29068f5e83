"""Trains the classifier of a frozen network on embeddings: the paper's Freeze_L1 and Freeze_L3."""

import time

import keras
import numpy as np
import tensorflow as tf

from panns_tf.models import Architecture
from panns_tf.models.blocks import LayerBook
from panns_tf.models.heads import decide
from panns_tf.training.losses import loss_for, smooth
from panns_tf.training.optimizer import Adam, learning_rate
from panns_tf.transfer.feed import draws
from panns_tf.transfer.fitting import Fitted, class_weights
from panns_tf.transfer.settings import TransferConfig


def new_classifier(row: Architecture, shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """Returns the classifier of a network alone, as a model of what it reads.

    Args:
        row: the network, overrides applied.
        shape: of one window's embedding, (width,) or (segments, width).
        num_classes: K.

    Returns:
        A model from (batch, *shape) to ``clipwise_output`` and, where there are such, ``logits``.
        Its layers are called as in the network.
    """
    read = keras.Input(shape, name="embedding", dtype="float32")
    return keras.Model(read, decide(row, LayerBook(), read, num_classes))


def fit_classifier(
    model: keras.Model,
    row: Architecture,
    config: TransferConfig,
    embedded: np.ndarray,
    target: np.ndarray,
) -> Fitted:
    """Trains a classifier in place, on all windows of the training clips.

    Args:
        model: of `new_classifier`.
        row: the network.
        config: of the training.
        embedded: (windows, width) or (windows, segments, width), of `embeddings`.
        target: (windows, classes).
    """
    began = time.monotonic()
    windows = len(embedded)
    batch = config.batch_size
    steps = max(config.min_steps, config.epochs * max(1, round(windows / batch)))
    weights = class_weights(target) if config.class_weights else None
    loss = loss_for(row.activation, weights)
    decay = config.weight_decay or None
    optimizer = Adam(learning_rate(config.train_config(steps), steps), weight_decay=decay)
    variables = model.trainable_variables
    optimizer.build(variables)
    rest = 0.5 if row.activation == "sigmoid" else 1 / target.shape[1]
    given = tf.constant(embedded)
    truth = tf.constant(smooth(target, config.label_smoothing, rest).astype(np.float32))
    order = draws(range(windows), target, steps * batch, config.sampling, config.seed)

    @tf.function
    def run(rows):
        total = 0.0
        for numbers in rows:
            with tf.GradientTape() as tape:
                outputs = model(tf.gather(given, numbers), training=True)
                value = loss(tf.gather(truth, numbers), outputs)
            optimizer.apply(tape.gradient(value, [v.value for v in variables]), variables)
            total += value
        return total / tf.cast(tf.shape(rows)[0], tf.float32)

    mean = float(run(tf.constant(order.reshape(steps, batch))))
    return Fitted(steps, time.monotonic() - began, steps, ({"step": steps, "loss": mean},))


def classify(model: keras.Model, embedded: np.ndarray, batch_size: int = 512) -> np.ndarray:
    """Returns the probabilities of windows from their embeddings, (windows, classes)."""
    parts = [
        model(embedded[first : first + batch_size], training=False)["clipwise_output"]
        for first in range(0, len(embedded), batch_size)
    ]
    return np.concatenate([np.asarray(part) for part in parts])
