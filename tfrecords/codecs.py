"""Codecs of records (``pcm16``: little-endian, or ``flac``), and resampling to lower rates.

``lowpass`` resamples band-limited, as every audio library does. ``stride`` takes every second,
fourth ... sample unfiltered, so that what lies above the new band folds into it, as the reference
does to train its 16 and 8 kHz networks; version 0.1.0 called it "skip", which is accepted too.
"""

import io

import numpy as np
import soundfile
import soxr

from tfrecords.decoders import RECORD_FULL_SCALE
from tfrecords.files import TFRecordsError

CODECS = ("pcm16", "flac")
RESAMPLINGS = ("lowpass", "stride")

# FLAC has room for no more in its header.
FLAC_MAX_RATE = 655350
_STRIDE = ("stride", "skip")


def encode_audio(waveform: np.ndarray, codec: str, sample_rate: int) -> memoryview:
    """(samples,) int16 to bytes."""
    if codec == "pcm16":
        return memoryview(np.ascontiguousarray(waveform, "<i2")).cast("B")
    stream = io.BytesIO()
    soundfile.write(stream, waveform, sample_rate, format="FLAC", subtype="PCM_16")
    return stream.getbuffer()


def decode_audio(audio: bytes | memoryview, codec: str, out: np.ndarray) -> None:
    """Writes the samples to ``out``, (samples,) int16; ValueError for another number of them."""
    if codec == "pcm16":
        samples = np.frombuffer(audio, "<i2")
    else:
        try:
            samples, _ = soundfile.read(io.BytesIO(audio), dtype="int16")
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise ValueError(f"not {codec}: {error}") from None
    if samples.shape != out.shape:
        raise ValueError(f"{len(samples)} samples, expected {len(out)}")
    out[:] = samples


def check_resample(stored: int, wanted: int, resample: str) -> None:
    """Raises TFRecordsError where clips stored at one rate (Hz) cannot be read at another."""
    if resample not in (*RESAMPLINGS, *_STRIDE):
        raise TFRecordsError(
            f"resample must be one of {', '.join(RESAMPLINGS)}, received {resample!r}"
        )
    if not 1 <= wanted <= stored:
        raise TFRecordsError(
            f"clips stored at {stored} Hz can be read at that rate or a lower one, not at "
            f"{wanted} Hz; pack them again with --sample-rate {wanted}"
        )
    if resample in _STRIDE and stored % wanted:
        raise TFRecordsError(
            f"{resample!r} takes every k-th sample, and {stored} Hz is no multiple of {wanted} Hz; "
            "use 'lowpass'"
        )


def resampled_length(samples: int, stored: int, wanted: int) -> int:
    return -(-samples * wanted // stored)


def resample_clips(clips: np.ndarray, stored: int, wanted: int, resample: str) -> np.ndarray:
    """(n, samples) int16 at ``stored`` Hz to (n, fewer samples) int16 at ``wanted`` Hz."""
    if stored == wanted:
        return clips
    out = np.zeros((len(clips), resampled_length(clips.shape[1], stored, wanted)), np.int16)
    if resample in _STRIDE:
        out[:] = clips[:, :: stored // wanted]
        return out
    for row, clip in zip(out, clips, strict=True):
        samples = soxr.resample(clip.astype(np.float32), stored, wanted, quality="HQ")[: len(row)]
        row[: len(samples)] = np.rint(np.clip(samples, -RECORD_FULL_SCALE, RECORD_FULL_SCALE))
    return out
