import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training.distribution import Distribution
from panns_tf.training.memory import is_out_of_memory, too_large
from panns_tf.training.step import UpdateStep
from panns_tf.weights.loading import create_model


@dataclasses.dataclass
class Small:
    """An update on devices that take so many clips and no more."""

    config: TrainConfig
    room: int
    replicas: int = 1

    def fits(self, clips: int, samples: int) -> bool:
        return samples == 4000 and clips <= self.room


def said(room: int, replicas: int = 1, **settings) -> str:
    return str(too_large(Small(TrainConfig(**settings), room, replicas), 4000))


def test_says_which_batch_fits():
    assert said(10, batch_size=32) == (
        "a batch of 32 clips (4000 samples each) does not fit into the device's memory; 8 clips "
        "at a time fit: add --accumulate 4, or choose --batch-size 8"
    )


def test_takes_the_fewest_equal_parts():
    # Four at a time would be five parts, into which 18 clips cannot be cut.
    assert "3 clips at a time fit: add --accumulate 6, or" in said(4, batch_size=18)


def test_counts_the_parts_and_devices_there_are():
    text = said(5, replicas=2, batch_size=32, accumulate=2)
    assert "32 clips (8 on a device at a time, 4000 samples each) does not fit" in text
    assert "4 clips at a time fit: add --accumulate 4, or choose --batch-size 16" in text


def test_says_so_if_nothing_fits():
    assert said(0, batch_size=32).endswith("device's memory, nor does a single clip")
    assert said(0, batch_size=1).endswith("device's memory, nor does a single clip")


@pytest.mark.parametrize("size", [2, 6, 7, 14, 30, 32, 36])
@pytest.mark.parametrize(("replicas", "accumulate"), [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_its_advice_can_be_followed(size, replicas, accumulate):
    batch_size = size * replicas * accumulate
    for room in (1, 2, 3, 5):
        text = said(room, replicas, batch_size=batch_size, accumulate=accumulate)
        parts, smaller = map(int, re.search(r"accumulate (\d+), .*size (\d+)$", text).groups())
        clips, rest = divmod(batch_size, parts * replicas)
        assert rest == 0
        assert clips <= room
        clips, rest = divmod(smaller, accumulate * replicas)
        assert rest == 0
        assert clips <= room


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), True),
        (tf.errors.InternalError(None, None, "Out of memory while trying to allocate"), True),
        (tf.errors.InternalError(None, None, "something else"), False),
        (tf.errors.InvalidArgumentError(None, None, "shapes"), False),
    ],
)
def test_tells_a_lack_of_memory_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize("mixup", ["features", "none"])
def test_an_update_tries_a_batch_and_changes_nothing_that_is_trained(mixup, plain):
    config = TrainConfig(arch="Tiny", mixup=mixup, batch_size=8)
    network = create_model("Tiny", num_classes=3)
    update = UpdateStep(config, network, Distribution(tf.distribute.get_strategy()))
    before = [v.numpy() for v in network.trainable_variables]
    asked = []
    alone = update._of_part_alone

    def limited(batch, place):
        asked.append({name: tuple(x.shape) for name, x in batch.items()})
        if len(batch["target"]) > 4:
            raise tf.errors.ResourceExhaustedError(None, None, "no room")
        return alone(batch, place)

    update._of_part_alone = limited
    drawn = 1 if mixup == "none" else 2
    assert update.fits(4 // drawn, 4000)
    assert not update.fits(8, 4000)
    shapes = {"waveform": (8 * drawn, 4000), "target": (8 * drawn, 3)}
    weights = {} if mixup == "none" else {"mixup_lambda": (8 * drawn,)}
    assert asked[-1] == shapes | weights
    for variable, value in zip(network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
