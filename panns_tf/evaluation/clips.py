"""The clips of which a model is most confidently wrong, to look at and to listen to."""

import base64
import dataclasses
import io
from collections import Counter
from pathlib import Path

import numpy as np

from panns_tf.evaluation.report import NONE, Chart, Clip, Clips, number
from panns_tf.evaluation.scores import Scores
from panns_tf.inference.plot import Spectrogram, draw_log_mel, reduced
from tfrecords import load_index
from tfrecords.codecs import resample_clips
from tfrecords.records import RecordReader

#: Mistakes of one clip, and of one class, at most: else one odd clip would fill the page.
_PER_CLIP, _PER_CLASS = 1, 2
#: A page plays and shows so many seconds of a clip, at most, at so many Hz.
SECONDS, _PLAYED_RATE = 20.0, 16_000
_COLUMNS, _TOP = 320, 4
# libsndfile's Vorbis encoder overflows its stack on long blocks.
_BLOCK = 4096


def find_mistakes(
    scores: Scores, count: int
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Returns the most confident false alarms and misses, at most so many of each.

    A false alarm is a clip without the label that outscores a clip with it, or any clip of a
    class that no clip has; a miss is a clip with the label that one without it outscores. In a
    perfect ranking there is neither.

    Args:
        scores: finite ones.
        count: of each kind.

    Returns:
        Clip and class of each, the most confident first.
    """
    target, score = scores.target, scores.score
    lowest_hit = np.where(target, score, np.inf).min(axis=0)
    highest_other = np.where(target, -np.inf, score).max(axis=0)
    alarms = ~target & ((score > lowest_hit) | ~target.any(axis=0))
    misses = target & (score < highest_other)
    return (
        _most_confident(np.where(alarms, score, -np.inf), count),
        _most_confident(np.where(misses, -score, -np.inf), count),
    )


def _most_confident(confidence: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The highest of (clips, classes), few of a clip and of a class; -inf is no mistake."""
    flat = confidence.ravel()
    order = np.argsort(-flat, kind="stable")
    clips, labels, chosen = Counter(), Counter(), []
    for index in order[flat[order] > -np.inf]:
        clip, label = (int(x) for x in divmod(index, confidence.shape[1]))
        if len(chosen) < count and clips[clip] < _PER_CLIP and labels[label] < _PER_CLASS:
            clips[clip] += 1
            labels[label] += 1
            chosen.append((clip, label))
    return chosen


def mistake_blocks(
    scores: Scores, count: int, data: Path, decimation: str, audio: bool = True
) -> list[Clips]:
    """Blocks of a page: so many false alarms and misses, with clips of packed records."""
    alarms, misses = find_mistakes(scores, count)
    rate, clip_ids = scores.meta["sample_rate"], scores.clip_ids
    wanted = [clip_ids[clip] for clip, _ in alarms + misses]
    waveforms = read_clips(data, wanted, rate, decimation)

    def clips(mistakes: list[tuple[int, int]], what: str) -> list[Clip]:
        cards = []
        for clip, label in mistakes:
            card, waveform = _clip(scores, clip, label, what), waveforms.get(clip_ids[clip])
            readable = waveform is not None
            cards.append(with_media(card, waveform, rate, audio) if readable else card)
        return cards

    empty = "None: every clip with a label outscores those without."
    note = (
        "The highest scores for labels that the clips do not have. Where labels are incomplete, "
        "as AudioSet's are, some of these are right."
    )
    return [
        Clips(clips(alarms, "false alarm"), "False alarms", note, empty),
        Clips(
            clips(misses, "missed"),
            "Misses",
            "The lowest scores for labels that the clips have.",
            empty,
        ),
    ]


def _clip(scores: Scores, clip: int, label: int, what: str) -> Clip:
    score, target, labels = scores.score[clip], scores.target[clip], scores.labels
    return Clip(
        title=labels[label],
        subtitle=f"{what}, score {number(score[label])}",
        name=scores.clip_ids[clip].decode(errors="replace"),
        labels=", ".join(labels[n] for n in np.flatnonzero(target)) or NONE,
        scores=[
            (labels[n], float(score[n]), bool(target[n]))
            for n in np.argsort(-score, kind="stable")[:_TOP]
        ],
    )


def read_clips(
    data: Path, clip_ids: list[bytes], sample_rate: int, decimation: str
) -> dict[bytes, np.ndarray]:
    """Reads clips of packed records, except missing and damaged ones: float32 (samples,) by id."""
    index = load_index(data)
    rows = {clip_id: row for row, clip_id in enumerate(index.clip_ids.tolist())}
    wanted = [clip_id for clip_id in dict.fromkeys(clip_ids) if clip_id in rows]
    if not wanted:
        return {}
    stored, damages = RecordReader(index).waveforms(np.array([rows[clip_id] for clip_id in wanted]))
    waveforms = resample_clips(
        np.array(stored),
        stored=index.info.sample_rate,
        wanted=sample_rate,
        resample=decimation,
    )
    return {
        clip_id: waveforms[row].astype(np.float32) / 32767
        for row, clip_id in enumerate(wanted)
        if row not in damages
    }


def with_media(clip: Clip, waveform: np.ndarray, sample_rate: int, audio: bool = True) -> Clip:
    """Returns a clip with the picture, and if wanted the sound, of its (samples,) float32."""
    shown = waveform[: round(SECONDS * sample_rate)]
    spectrogram = Spectrogram(sample_rate)
    spectrogram.feed(shown)

    def draw(axes) -> None:
        decibels, seconds = spectrogram.columns()
        decibels, factor = reduced(decibels, _COLUMNS)
        axes.grid(False)
        draw_log_mel(axes, decibels, factor * seconds, spectrogram.frontend)

    alt = f"Log-mel spectrogram of {clip.name}, {len(shown) / sample_rate:g} s"
    return dataclasses.replace(
        clip,
        picture=Chart("", draw, alt=alt, size=(3.6, 1.7)),
        audio=_vorbis(shown, sample_rate) if audio else None,
        note="" if len(shown) == len(waveform) else f"The first {SECONDS:g} s of it.",
    )


def _vorbis(waveform: np.ndarray, sample_rate: int) -> str:
    """Ogg Vorbis of (samples,) at 16 kHz or less, as a data URI."""
    import soundfile
    import soxr

    rate = min(sample_rate, _PLAYED_RATE)
    if rate < sample_rate:
        waveform = soxr.resample(waveform, sample_rate, rate)
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, 1, format="OGG", subtype="VORBIS") as file:
        for start in range(0, len(waveform), _BLOCK):
            file.write(np.clip(waveform[start : start + _BLOCK], -1, 1))
    return f"data:audio/ogg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
