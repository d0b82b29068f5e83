"""SpecAugment: random stripes of time and of frequency are blanked."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="panns_tf")
class SpecAugment(keras.layers.Layer):
    """Sets random stripes of every clip to zero; the identity at inference.

    In each direction ``stripes`` stripes, which may overlap, are sampled for every clip. As in the
    reference, a width is uniform over ``0 .. maximum - 1``, where the maximum is ``time_width``
    frames or ``frequency_width`` mel bins, and its start over ``0 .. total - width - 1``. Zero is
    near the mean, since the layer follows bn0. Inputs too short for the widest stripe, where the
    reference fails at random, are masked from their start.

    ``seed`` initialises the layer's random state, an entry of ``variables``: saving that resumes
    the sequence exactly.

    Input and output shape: (batch, frames, mel_bins).
    Source: ``torchlibrosa.augmentation.SpecAugmentation``; Park et al. 2019.
    """

    def __init__(self, time_width=64, frequency_width=8, stripes=2, *, seed=None, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        for name, value in (("time_width", time_width), ("frequency_width", frequency_width)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1; received {value}")
        self.time_width = time_width
        self.frequency_width = frequency_width
        self.stripes = stripes
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def draw(self, clips: int, total: int, width_bound: int):
        """Samples starts and widths, int32 (clips, stripes), on an axis of size ``total``."""
        shape = (clips, self.stripes)
        widths = keras.random.randint(shape, 0, width_bound, "int32", self.seed_generator)
        room = ops.maximum(total - widths, 1)
        # The bound differs from stripe to stripe, so a uniform number is stretched to it.
        uniform = keras.random.uniform(shape, 0, 1, "float32", self.seed_generator)
        starts = ops.cast(uniform * ops.cast(room, "float32"), "int32")
        return ops.minimum(starts, room - 1), widths

    def keep(self, clips: int, total: int, width_bound: int):
        """Samples a mask: bool tensor of shape (clips, total), False within a stripe."""
        starts, widths = self.draw(clips, total, width_bound)
        position = ops.arange(total)[None, None]
        starts, widths = starts[..., None], widths[..., None]  # (clips, stripes, 1)
        masked = ops.logical_and(position >= starts, position < starts + widths)
        return ops.logical_not(ops.any(masked, axis=1))

    def call(self, log_mel, training=False):
        if not training:
            return log_mel
        clips, frames, mel_bins = ops.shape(log_mel)
        in_time = self.keep(clips, frames, self.time_width)[:, :, None]
        in_frequency = self.keep(clips, mel_bins, self.frequency_width)[:, None, :]
        return ops.where(ops.logical_and(in_time, in_frequency), log_mel, 0.0)

    def get_config(self):
        names = ("time_width", "frequency_width", "stripes", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
