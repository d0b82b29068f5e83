"""What a run evaluates while it goes: its held-out clips, and some that it learns from."""

from collections.abc import Callable

from panns_tf import metrics
from panns_tf.config import TrainConfig
from panns_tf.models import Network
from panns_tf.training.distribution import Distribution
from panns_tf.training.evaluation import Predictions, compiled_predictor, predict
from tfrecords import load_index, read_black_list

#: The part of the work that passes over evaluated clips may take where their cadence is left to us;
#: with the metrics, which the host computes meanwhile, evaluations stay below 3 %.
EVALUATION_SHARE = 0.018
#: An update is a pass forward and about two backward.
PASSES = 3
FEWEST_EVAL_STEPS = 2000  # the reference's cadence


class Looks:
    """Evaluates the network of a run as it is.

    Args:
        config: of the run.
        network: to evaluate.
        distribution: its devices; each worker must ask for the same.
        reading: how records are read, as ``tfrecords.dataset`` takes it.
        say: takes lines for the person watching.
    """

    def __init__(
        self,
        config: TrainConfig,
        network: Network,
        distribution: Distribution,
        reading: dict,
        say: Callable[[str], None],
    ):
        self._config = config
        self._distribution = distribution
        self._reading = reading
        self._say = say
        self._said = False
        self._predictor = compiled_predictor(network, distribution)

    @property
    def steps(self) -> int | None:
        """Updates between two evaluations; None where there is nothing to evaluate."""
        config = self._config
        if config.eval_steps or not config.eval_data:
            return config.eval_steps
        clips = load_index(config.eval_data).num_clips + self._training_clips
        return default_eval_steps(clips, config.batch_size)

    @property
    def _training_clips(self) -> int:
        """How many: no more than held-out ones, or they would take most of the time."""
        config = self._config
        return min(config.eval_training_clips, load_index(config.eval_data).num_clips)

    def at_held_out_clips(self) -> Predictions:
        """Returns what the network says of them."""
        return self._predict(self._config.eval_data)

    def at_training_clips(self) -> dict[str, float]:
        """Returns ``training_mAP`` and so on, always of the same clips: what is learned by heart.

        Empty if none are asked for, or if nothing can be measured on so few, which is said once.
        """
        config = self._config
        if not self._training_clips:
            return {}
        exclude = read_black_list(config.exclude) if config.exclude else ()
        left = len(load_index(config.data).select(exclude, config.fraction))
        # Clips of a smaller fraction lie within those of a larger one.
        fraction = config.fraction * min(1.0, self._training_clips / left)
        try:
            found = self._predict(config.data, exclude=exclude, fraction=fraction)
            values = metrics.summarise(found.target, found.score).as_dict()
        except ValueError as error:
            if not self._said:
                self._say(f"No metrics on training clips: {error}")
            self._said = True
            return {}
        return {f"training_{name}": values[name] for name in ("mAP", "mAUC", "d_prime")}

    def _predict(self, data: str, **selection) -> Predictions:
        return predict(
            self._predictor,
            data,
            max(1, self._config.batch_size // self._distribution.replicas),
            distribution=self._distribution,
            quiet=not self._distribution.is_chief,
            **selection,
            **self._reading,
        )


def default_eval_steps(clips: int, batch_size: int) -> int:
    """Returns the updates between two evaluations that keep these below 3 % of the work.

    Args:
        clips: to evaluate, each one pass forward.
        batch_size: clips per update.
    """
    fewest = clips / (PASSES * batch_size * EVALUATION_SHARE)
    return max(FEWEST_EVAL_STEPS, -(-int(fewest) // 1000) * 1000)
