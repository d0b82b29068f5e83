"""Five training steps by the real compiled step, against the reference's own."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import panns_tf
from panns_tf.config import TrainConfig
from panns_tf.models import Network
from panns_tf.training.trainer import Trainer
from panns_tf.weights.state_dict import torch_entries
from tests.fixtures import recipe
from tests.support import case_waveform, read_json, read_npz, reference_state

#: Below this rate the fixtures hold outputs after every step.
GENTLE = 1e-5


@dataclasses.dataclass(frozen=True)
class Distances:
    """How far a trajectory is from the reference's.

    Attributes:
        losses: relative, step by step.
        gradient_norms: of the first step; the largest, relative to the norm and 1e-4 of the
            largest norm, since some gradients are zero but for rounding.
        running_statistics: norms of running means and variances after the first step, relative.
        outputs: root mean square of the probabilities' difference after each step, at the gentle
            rate.
    """

    losses: tuple[float, ...]
    gradient_norms: float
    running_statistics: float
    outputs: tuple[float, ...]


def distances(name: str, learning_rate: float, run_dir: Path, steps: int = 5) -> Distances:
    """Trains a network for ``steps`` steps on the batch of the fixtures.

    Dropout and SpecAugment are off, four clips are mixed to two.
    """
    case = read_json("training")["networks"][name]
    expected = read_npz("training")
    rate = "gentle" if learning_rate <= GENTLE else "recipe"
    keras.backend.clear_session()  # the last network's memory
    model = Network(name, zeros=True, dropout=False, spec_augment=False)
    panns_tf.load_torch_state(model, reference_state(name, case["state_seed"]))
    config = TrainConfig(
        arch=name, run_dir=str(run_dir), learning_rate=learning_rate, batch_size=case["batch"] // 2
    )
    trainer = Trainer(config, model)
    waveform = case_waveform(case)
    # The step takes int16, as which the fixtures survive.
    stored = np.rint(waveform * 32767).astype("int16")
    target = recipe.reference_target(case["batch"], 527, case["target_seed"])
    weight = np.float32(read_json("training")["mixup_lambda"])
    losses, outputs, first = [], [], ()
    for step in range(1, steps + 1):
        batch = {"waveform": stored, "target": target, "mixup_lambda": weight}
        loss = float(trainer.update.run_once(batch))
        losses.append(abs(loss / expected[f"{name}/{rate}/losses"][step - 1] - 1))
        first = first or (_gradient_norms(trainer, case), _running_statistics(model, case))
        if rate == "gentle":
            found = model(waveform, training=False)["clipwise_output"]
            error = found - expected[f"{name}/gentle/clipwise_output"][step - 1]
            outputs.append(float(np.sqrt(np.mean(np.square(error)))))
    # A traced step outlives its trainer, and would keep a gigabyte of weights and moments.
    for variable in (*trainer.update.optimizer.variables, *model.variables):
        tf.raw_ops.AssignVariableOp(
            resource=variable.value.handle, value=tf.zeros((0,), variable.dtype)
        )
    return Distances(tuple(losses), *first, tuple(outputs))


def _gradient_norms(trainer: Trainer, case: dict) -> float:
    name = trainer.network.name
    norms = dict(
        zip(case["parameters"], read_npz("training")[f"{name}/gradient_norms"], strict=True)
    )
    entries = torch_entries(trainer.network)
    trained = {key for key, (variable, _) in entries.items() if variable.trainable}
    if trained != set(norms) - set(case["without_gradient"]):
        raise AssertionError(f"{name} trains other parameters than the reference")
    index, moments = (
        trainer.update.optimizer._get_variable_index,
        trainer.update.optimizer._momentums,
    )
    small = 1e-4 * max(norms.values())
    worst = 0.0
    for key in trained:
        # After one step Adam's first moment is a tenth of the gradient.
        found = 10 * np.linalg.norm(moments[index(entries[key][0])])
        worst = max(worst, abs(found - norms[key]) / (norms[key] + small))
    return float(worst)


def _running_statistics(model, case: dict) -> float:
    entries = torch_entries(model)
    unused = dict(model.row.unused)
    worst = 0.0
    for leaf, kept in (
        ("running_mean", "running_mean_norms"),
        ("running_var", "running_var_norms"),
    ):
        values = read_npz("training")[f"{model.name}/{kept}"]
        for layer, expected in zip(case["batch_norms"], values, strict=True):
            if layer not in unused:
                found = np.linalg.norm(entries[f"{layer}.{leaf}"][0])
                worst = max(worst, abs(found / expected - 1))
    return float(worst)
