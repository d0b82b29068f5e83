"""Knowledge distillation: a trained model's predictions become part of the targets."""

from collections.abc import Sequence

import tensorflow as tf

from panns_tf.inference.loading import load_any


class Teacher:
    """A trained model, of the same classes and sample rate, whose predictions become targets.

    ``path`` is a ``.keras`` file, a run directory or a SavedModel; ``weight`` the part of the
    target that is the teacher's. Cross-entropy is linear in its target, so the loss against a
    blend of labels and probabilities is the blend of the losses against each.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network".
    """

    def __init__(self, path: str, weight: float, labels: Sequence[str], sample_rate: int):
        model, described = load_any(path)
        if described["sample_rate"] != sample_rate:
            raise ValueError(
                f"the teacher {path} expects {described['sample_rate']} Hz, but the network "
                f"{sample_rate} Hz; choose a teacher of the same sample rate"
            )
        of_teacher = described["labels"]
        if (of_teacher and list(of_teacher) != list(labels)) or (
            described["num_classes"] != len(labels)
        ):
            raise ValueError(
                f"the teacher {path} has {described['num_classes']} classes that are not the "
                f"{len(labels)} of the data"
            )
        self._model, self._weight = model, weight

    def targets(self, target, waveform):
        """Blends labels (clips, classes) with the predictions for (clips, samples)."""
        predicted = tf.stop_gradient(self._model(waveform)["clipwise_output"])
        return (1 - self._weight) * target + self._weight * tf.cast(predicted, target.dtype)
