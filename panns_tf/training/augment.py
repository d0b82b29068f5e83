"""Augmentation of waveforms, on the device, as a function of a seed."""

import tensorflow as tf

#: Keeps the draws of one step independent of each other.
_SHIFT, _GAIN = 0, 1
#: Draws the same numbers under XLA and without it.
_PHILOX = "philox"


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
        own = _own(seed, _SHIFT)
        by = tf.random.stateless_uniform((clips,), own, -shift, shift + 1, tf.int32, alg=_PHILOX)
        place = (tf.range(samples)[None] - by[:, None]) % samples  # (clips, samples)
        waveform = tf.gather(waveform, place, axis=1, batch_dims=1)
    if gain:
        own = _own(seed, _GAIN)
        db = tf.random.stateless_uniform((clips, 1), own, -gain, gain, alg=_PHILOX)
        waveform *= 10 ** (db / 20)
    return waveform


def _own(seed, purpose: int):
    return seed * tf.constant((1, 2), tf.int64) + tf.constant((0, purpose), tf.int64)
