"""A thousand damaged and strange audio files: each is packed or refused with a reason."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.hostile import mutated
from tfrecords import load_index, pack_clips, verify_directory
from tfrecords.audio import AudioError as DecodeError
from tfrecords.shard import decode_clip
from tfrecords.pool import CRASHED, HUNG

FILES = 1000
RATE = 8000
SOURCES = {
    "16.wav": (RATE, 1, {"subtype": "PCM_16"}),
    "24.wav": (44100, 2, {"subtype": "PCM_24"}),
    "float.wav": (RATE, 1, {"subtype": "FLOAT"}),
    "192k.wav": (192000, 1, {"subtype": "PCM_16"}),
    "8channels.wav": (16000, 8, {"subtype": "PCM_16"}),
    "alaw.wav": (RATE, 1, {"subtype": "ALAW"}),
    "adpcm.wav": (RATE, 1, {"subtype": "IMA_ADPCM"}),
    "x.flac": (32000, 1, {}),
    "x.ogg": (32000, 2, {}),
    "opus.ogg": (48000, 1, {"subtype": "OPUS"}),
    "x.mp3": (32000, 1, {}),
    "x.aiff": (RATE, 1, {}),
}
EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".webm", ".txt", "")


def write_sources(folder: Path) -> list[bytes]:
    """Whole files, of which the others are made."""
    rng = np.random.default_rng(0)
    contents = []
    for name, (rate, channels, options) in SOURCES.items():
        sound = rng.uniform(-0.5, 0.5, (rate // 4, channels))
        soundfile.write(folder / name, sound, rate, **options)
        contents.append((folder / name).read_bytes())
    for number, samples in enumerate(([0.1], [np.nan], [0.1, -np.inf], [5.0, -7.0], [])):
        path = folder / f"samples_{number}.wav"
        soundfile.write(path, np.array(samples), RATE, subtype="DOUBLE")
        contents.append(path.read_bytes())
    return contents


@pytest.fixture(scope="module")
def strange(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("strange")
    audio = folder / "audio"
    audio.mkdir()
    whole = write_sources(audio)
    names = [path.name for path in audio.iterdir()]
    special = (b"", b"\0", bytes(10000), b"no audio\n" * 100, b"RIFF", b"fLaC", b"OggS", b"ID3")
    rng = np.random.default_rng(1)
    for number in range(FILES - len(whole)):
        if number < len(special) * len(EXTENSIONS):
            content = special[number // len(EXTENSIONS)]
            extension = EXTENSIONS[number % len(EXTENSIONS)]
        else:
            content, other = (whole[rng.integers(len(whole))] for _ in range(2))
            content = mutated(rng, content, other)
            extension = EXTENSIONS[rng.integers(len(EXTENSIONS))]
        names.append(f"m{number:04d}{extension}")
        (audio / names[-1]).write_bytes(content)
    rows = "\n".join(f"{name},{'ab'[number % 2]}" for number, name in enumerate(names))
    (folder / "metadata.csv").write_text(f"filename,labels\n{rows}\n")
    return folder


def test_each_is_packed_or_refused_with_a_reason(strange, tmp_path, settings):
    options = settings(strange, tmp_path / "out", clips_per_shard=300, workers=2, clip_timeout=20.0)
    report = pack_clips(options, progress=False)
    with (tmp_path / "out" / "rejected.csv").open(encoding="utf-8", newline="") as table:
        refused = {row["clip_id"]: row["reason"] for row in csv.DictReader(table)}
    packed = {clip_id.decode() for clip_id in load_index(tmp_path / "out").clip_ids}
    assert len(packed) + len(refused) == FILES
    assert packed | set(refused) == {path.name for path in (strange / "audio").iterdir()}
    assert all(0 < len(reason) < 80 and "\n" not in reason for reason in refused.values())
    assert not {CRASHED, HUNG} & set(refused.values())
    assert report.rejected == Counter(refused.values())
    # Both occur, and whole files are not refused.
    assert len(packed) > FILES / 5
    assert len(refused) > FILES / 5
    assert set(SOURCES) <= packed
    assert {"samples_0.wav", "samples_3.wav"} <= packed
    assert refused["samples_1.wav"] == refused["samples_2.wav"] == "not finite"
    assert refused["samples_4.wav"] == "empty"
    assert verify_directory(tmp_path / "out") == []


@pytest.mark.parametrize("file", SOURCES)
def test_whole_files_of_every_kind_decode(strange, file):
    clip = decode_clip(strange / "audio" / file, RATE, 2000)
    level = np.sqrt(np.mean(np.square(clip[100:1900], dtype=float))) / 32767
    rate, channels, _ = SOURCES[file]
    # Of white noise the filter and the mean leave the part in the band, by amplitude.
    expected = np.sqrt(0.25 / 3 * RATE / rate / channels)
    assert level == pytest.approx(expected, rel=0.25)


def test_values_beyond_full_scale_are_cut(strange):
    clip = decode_clip(strange / "audio" / "samples_3.wav", RATE, 4)
    np.testing.assert_array_equal(clip, [32767, -32767, 0, 0])


@pytest.mark.parametrize("file", ["24.wav", "x.flac", "x.ogg"])
def test_every_truncation_is_refused_and_never_another_error(strange, tmp_path, file):
    content = (strange / "audio" / file).read_bytes()
    path = tmp_path / file
    reasons = Counter()
    for size in np.linspace(0, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(DecodeError) as caught:
            decode_clip(path, RATE, 2000)
        reasons[str(caught.value)] += 1
    assert set(reasons) <= {"empty", "truncated", "not audio"}
    assert reasons["truncated"] > 50


def test_what_ffmpeg_decodes(tmp_path):
    av = pytest.importorskip("av")
    rng = np.random.default_rng(2)
    whole = []
    for extension, codec in ((".m4a", "aac"), (".mp4", "aac"), (".webm", "libopus")):
        path = tmp_path / f"x{extension}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=48000)
            noise = rng.uniform(-16000, 16000, (1, 2 * 24000)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="stereo")
            frame.rate = 48000
            resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=48000)
            for part in [*resampler.resample(frame), None]:
                container.mux(stream.encode(part))
        assert np.abs(decode_clip(path, RATE, 4000)[:3000]).mean() > 500
        whole.append((path, path.read_bytes()))
    reasons = Counter()
    for _ in range(300):
        (path, content), (_, other) = (whole[rng.integers(3)] for _ in range(2))
        path.write_bytes(mutated(rng, content, other))
        try:
            assert decode_clip(path, RATE, 4000).shape == (4000,)
        except DecodeError as error:
            reasons[str(error)] += 1
    assert 30 < reasons["not audio"] <= reasons.total() < 290


def test_a_codec_that_ffmpeg_does_not_know(strange, tmp_path):
    pytest.importorskip("av")
    content = bytearray((strange / "audio" / "16.wav").read_bytes())
    content[20] = 0x15  # the format's number
    (tmp_path / "x.webm").write_bytes(content)
    with pytest.raises(DecodeError, match="not audio"):
        decode_clip(tmp_path / "x.webm", RATE, 100)
