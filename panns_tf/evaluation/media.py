"""Clips as a page can show and play them: data URIs of pictures and sounds."""

import base64
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.config import Frontend
from panns_tf.layers.log_mel import SMALLEST_POWER, analysis_window, mel_matrix
from tfrecords import load_index
from tfrecords.decimate import decimate
from tfrecords.records import RecordReader

#: Hz of sounds on a page, at most.
PLAYED_RATE = 16_000
#: A page plays and shows so many seconds of a clip, at most.
SECONDS = 20.0
_COLUMNS = 320
_MEL_BINS = 64
#: dB below the loudest that are told apart, and in how many colours: few make small pictures.
_RANGE = 70.0
_COLOURS = 48
#: Marks of the frequency axis, Hz.
_MARKS = (125, 500, 1000, 2000, 4000, 8000, 16000)
# libsndfile's Vorbis encoder overflows its stack on long blocks.
_BLOCK = 4096


@dataclasses.dataclass(frozen=True)
class Media:
    """A clip on a page.

    Attributes:
        seconds: of the clip that are shown.
        whole: whether that is all of it.
        picture: data URI of a log-mel spectrogram, time to the right, low frequencies below.
        marks: of the frequency axis: Hz, and the height as a share of the picture's.
        sound: data URI, or None.
    """

    seconds: float
    whole: bool
    picture: str
    marks: list[tuple[int, float]]
    sound: str | None


def read_media(
    data: Path, clip_ids: Sequence[bytes], sample_rate: int, decimation: str, audio: bool = True
) -> dict[bytes, Media]:
    """Reads clips of packed records and draws them.

    Args:
        data: directory of the records.
        clip_ids: of the clips.
        sample_rate: Hz, what the model hears.
        decimation: how it is brought to that rate.
        audio: whether to keep the sound.

    Returns:
        By clip id; clips that are not there or damaged are left out.
    """
    index = load_index(data)
    places = {clip_id: number for number, clip_id in enumerate(index.clip_ids.tolist())}
    known = [clip_id for clip_id in dict.fromkeys(clip_ids) if clip_id in places]
    if not known:
        return {}
    reader = RecordReader(index)
    waveforms, damages = reader.waveforms(np.array([places[clip_id] for clip_id in known]))
    heard = decimate(
        np.array(waveforms),
        stored=index.info.sample_rate,
        wanted=sample_rate,
        decimation=decimation,
    )
    return {
        clip_id: media_of(heard[row], sample_rate, audio)
        for row, clip_id in enumerate(known)
        if row not in damages
    }


def media_of(waveform: np.ndarray, sample_rate: int, audio: bool = True) -> Media:
    """Draws a clip.

    Args:
        waveform: (samples,) int16.
        sample_rate: Hz.
        audio: whether to keep the sound.
    """
    shown = waveform[: round(SECONDS * sample_rate)]
    frontend = frontend_of(sample_rate)
    return Media(
        seconds=len(shown) / sample_rate,
        whole=len(shown) == len(waveform),
        picture=_uri("image/png", picture(log_mel(shown, frontend))),
        marks=frequency_marks(frontend),
        sound=_uri("audio/ogg", vorbis(shown, sample_rate)) if audio else None,
    )


def frontend_of(sample_rate: int) -> Frontend:
    """Windows of 32 ms every 10 ms and 64 mel bins, as the published networks hear any rate."""
    return Frontend(
        sample_rate,
        window_size=2 * max(1, round(sample_rate * 0.016)),
        hop_size=max(1, sample_rate // 100),
        mel_bins=_MEL_BINS,
        fmin=min(50.0, sample_rate / 100),
        fmax=sample_rate * 0.4375,
    )


def log_mel(waveform: np.ndarray, frontend: Frontend) -> np.ndarray:
    """Returns the log-mel spectrogram, (frames, mel bins) in dB, of (samples,) int16.

    The definition is that of `panns_tf.layers.LogMel`.
    """
    half = frontend.window_size // 2
    signal = np.asarray(waveform, np.float64) / 32767
    signal = np.pad(signal, (0, max(0, half + 1 - len(signal))))
    signal = np.pad(signal, half, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(signal, frontend.window_size)
    frames = frames[:: frontend.hop_size][: len(waveform) // frontend.hop_size + 1]
    power = np.abs(np.fft.rfft(frames * analysis_window(frontend))) ** 2
    return 10 * np.log10(np.maximum(power @ mel_matrix(frontend), SMALLEST_POWER))


def picture(spectrogram: np.ndarray) -> bytes:
    """Returns a PNG of (frames, mel bins) dB, at most so wide that a page needs it."""
    from matplotlib import colormaps
    from matplotlib.image import imsave

    parts = np.array_split(spectrogram, min(_COLUMNS, len(spectrogram)))
    columns = np.stack([part.max(axis=0) for part in parts])
    top = max(columns.max(), -60.0)  # silence stays dark
    level = np.clip((columns - top + _RANGE) / _RANGE, 0, 1)
    level = np.rint(level * (_COLOURS - 1)) / (_COLOURS - 1)
    colours = colormaps["magma"](level.T[::-1], bytes=True)[..., :3]
    buffer = io.BytesIO()
    imsave(buffer, np.ascontiguousarray(colours), format="png")
    return buffer.getvalue()


def frequency_marks(frontend: Frontend) -> list[tuple[int, float]]:
    """Round frequencies and their heights in the picture, from 0 below to 1."""
    centres = mel_matrix(frontend).argmax(axis=0) * frontend.sample_rate / frontend.window_size
    heights = (np.arange(len(centres)) + 0.5) / len(centres)
    inside = [mark for mark in _MARKS if centres[0] < mark < centres[-1]]
    return [(mark, float(np.interp(mark, centres, heights))) for mark in inside]


def vorbis(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Returns Ogg Vorbis of (samples,) int16, at 16 kHz or less."""
    import soundfile
    import soxr

    sound = np.asarray(waveform, np.float32) / 32767
    rate = min(sample_rate, PLAYED_RATE)
    if rate < sample_rate:
        sound = soxr.resample(sound, sample_rate, rate)
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", samplerate=rate, channels=1, format="OGG", subtype="VORBIS"
    ) as file:
        for start in range(0, len(sound), _BLOCK):
            file.write(np.clip(sound[start : start + _BLOCK], -1, 1))
    return buffer.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
