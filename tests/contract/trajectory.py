"""A network's first gradients and training steps, against the reference's own."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import panns_tf
from tests.fixtures import recipe
from tests.support import case_waveform, read_json, read_npz, reference_state
from tests.training_step import training_step

#: Below this rate the fixtures hold outputs after every step.
GENTLE = 1e-5
#: Values that are stored as int16 are divided by this.
FULL_SCALE = 32767


def loaded(name: str) -> keras.Model:
    """Returns a network with the fixtures' weights, in which nothing is random."""
    keras.backend.clear_session()  # the last network's memory
    model = panns_tf.create_model(name, dropout=False, spec_augment=False)
    seed = read_json("training")["networks"][name]["state_seed"]
    panns_tf.load_torch_state(model, reference_state(name, seed))
    return model


def batch_of(name: str) -> dict[str, np.ndarray]:
    """Returns the batch of the fixtures: four clips that are mixed to two."""
    case = read_json("training")["networks"][name]
    return {
        "waveform": np.rint(case_waveform(case) * FULL_SCALE).astype("int16"),
        "target": recipe.reference_target(case["batch"], 527, case["target_seed"]),
        "mixup_lambda": np.float32(read_json("training")["mixup_lambda"]),
    }


@dataclasses.dataclass(frozen=True)
class FirstStep:
    """How far the gradients and statistics of the first batch are from the reference's.

    Attributes:
        gradient_norms: the largest, relative to the norm and 1e-4 of the largest norm, since some
            gradients are zero but for rounding.
        running_statistics: norms of running means and variances after the batch, relative.
    """

    gradient_norms: float
    running_statistics: float


def first_step(model: keras.Model) -> FirstStep:
    """Compares the gradients and running statistics of the fixtures' batch."""
    batch = batch_of(model.name)
    weight = batch["mixup_lambda"]
    target = weight[0::2, None] * batch["target"][0::2] + weight[1::2, None] * batch["target"][1::2]
    waveform = batch["waveform"].astype("float32") / FULL_SCALE
    with tf.GradientTape() as tape:
        inputs = {"waveform": waveform, "mixup_lambda": weight}
        predicted = panns_tf.training_model(model)(inputs, training=True)
        log_likelihood = target * tf.math.log(predicted) + (1 - target) * tf.math.log1p(-predicted)
        loss = -tf.reduce_mean(log_likelihood)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    found = {}
    for variable, gradient in zip(variables, gradients, strict=True):
        layer, kind = variable.path.rsplit("/", 1)
        leaf = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}[kind]
        found[f"{layer}.{leaf}"] = float(tf.norm(gradient))
    return FirstStep(_gradient_norms(model.name, found), _running_statistics(model))


def _gradient_norms(name: str, found: dict[str, float]) -> float:
    case = read_json("training")["networks"][name]
    norms = dict(
        zip(case["parameters"], read_npz("training")[f"{name}/gradient_norms"], strict=True)
    )
    if set(found) != set(norms) - set(case["without_gradient"]):
        raise AssertionError(f"{name} trains other parameters than the reference")
    small = 1e-4 * max(norms.values())
    return max(abs(found[key] - norms[key]) / (norms[key] + small) for key in found)


def _running_statistics(model: keras.Model) -> float:
    layers = {layer.name: layer for layer in model.layers}
    worst = 0.0
    for attribute, kept in (
        ("moving_mean", "running_mean_norms"),
        ("moving_variance", "running_var_norms"),
    ):
        names = read_json("training")["networks"][model.name]["batch_norms"]
        values = read_npz("training")[f"{model.name}/{kept}"]
        for name, expected in zip(names, values, strict=True):
            if name in layers:  # the reference has a few that no output depends on
                norm = np.linalg.norm(getattr(layers[name], attribute))
                worst = max(worst, abs(norm / expected - 1))
    return float(worst)


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """How far five training steps are from the reference's.

    Attributes:
        losses: relative, step by step.
        outputs: root mean square of the probabilities' difference after each step, at the gentle
            rate.
    """

    losses: tuple[float, ...]
    outputs: tuple[float, ...]


def trajectory(name: str, learning_rate: float, run_dir: Path, steps: int = 5) -> Trajectory:
    """Trains a network by ``train.py``'s own step on the fixtures' batch."""
    expected, batch = read_npz("training"), batch_of(name)
    gentle = learning_rate <= GENTLE
    key = f"{name}/{'gentle' if gentle else 'recipe'}"
    waveform = case_waveform(read_json("training")["networks"][name])
    model = loaded(name)
    losses, outputs = [], []
    with training_step(model, learning_rate, len(batch["target"]) // 2, run_dir) as step:
        for number in range(steps):
            losses.append(abs(step(batch) / expected[f"{key}/losses"][number] - 1))
            if gentle:
                found = model(waveform, training=False)["clipwise_output"]
                error = found - expected[f"{key}/clipwise_output"][number]
                outputs.append(float(np.sqrt(np.mean(np.square(error)))))
    return Trajectory(tuple(losses), tuple(outputs))
