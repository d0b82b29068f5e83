"""Augmentation of waveforms, on the device, as a function of a seed."""

import tensorflow as tf

#: Keeps the draws of one step independent of each other.
_SHIFT, _GAIN = 1, 2


def augment(waveform, seed, *, shift: int = 0, gain: float = 0.0):
    """Shifts clips in time and changes how loud they are, each by a draw of its own.

    Args:
        waveform: (clips, samples), float32.
        seed: (2,), int64; the same seed draws the same.
        shift: clips are rotated by up to this many samples, either way; what leaves one end
            enters at the other.
        gain: clips become louder or softer by up to this many dB.

    Returns:
        The same shape. Loud clips may leave [-1, 1]; nothing is clipped.
    """
    clips, samples = tf.unstack(tf.shape(waveform))
    if shift:
        by = tf.random.stateless_uniform(
            (clips,), tf.add(seed, (0, _SHIFT)), -shift, shift + 1, tf.int32
        )
        place = (tf.range(samples)[None] - by[:, None]) % samples  # (clips, samples)
        waveform = tf.gather(waveform, place, axis=1, batch_dims=1)
    if gain:
        db = tf.random.stateless_uniform((clips, 1), tf.add(seed, (0, _GAIN)), -gain, gain)
        waveform *= 10 ** (db / 20)
    return waveform
