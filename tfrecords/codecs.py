"""How a clip's samples become the bytes of its record, and back, without loss.

pcm16  little-endian int16 samples
flac   a FLAC stream of 16 bits a sample, encoded and decoded by libsndfile
"""

import io

import numpy as np
import soundfile

CODECS = ("pcm16", "flac")

# FLAC has room for no more in its header.
FLAC_MAX_RATE = 655350


def encode_audio(waveform: np.ndarray, codec: str, sample_rate: int) -> memoryview:
    """(samples,) int16 to bytes."""
    if codec == "pcm16":
        return memoryview(np.ascontiguousarray(waveform, "<i2")).cast("B")
    stream = io.BytesIO()
    soundfile.write(stream, waveform, sample_rate, format="FLAC", subtype="PCM_16")
    return stream.getbuffer()


def decode_audio(audio: bytes | memoryview, codec: str, out: np.ndarray) -> None:
    """Bytes into `out`, (samples,) int16.

    Raises:
        ValueError: the bytes hold another number of samples, or are not in this codec.
    """
    if codec == "pcm16":
        samples = np.frombuffer(audio, "<i2")
    else:
        try:
            samples, _ = soundfile.read(io.BytesIO(audio), dtype="int16")
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise ValueError(f"not {codec}: {error}") from None
    if samples.shape != out.shape:
        raise ValueError(f"found {len(samples)} samples, expected {len(out)}")
    out[:] = samples
