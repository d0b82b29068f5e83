"""Records: their bytes, their audio, files they are read from, and lower sample rates."""

import io
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import crc32c
import numpy as np
import pytest
import soundfile
import tensorflow as tf

import tfrecords
from tfrecords import schema, storage
from tfrecords.codecs import (
    CODECS,
    check_resample,
    decode_audio,
    encode_audio,
    resample_clips,
    resampled_length,
)
from tfrecords.files import TFRecordsError
from tfrecords.storage import MOST_BUFFERS, Files, is_remote, join

AUDIO = np.array([0, 1, -1, 32767, -32768], np.int16).tobytes()
NOISE = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
CONTENT = np.random.default_rng(0).bytes(20000)
RATE = 32000


def by_tensorflow(clip_id: bytes, audio: bytes, labels: list[int]) -> bytes:
    feature = {
        "clip_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[clip_id])),
        "waveform": tf.train.Feature(bytes_list=tf.train.BytesList(value=[audio])),
        "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=labels)),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def test_the_bytes_of_a_record_are_tensorflows(tmp_path):
    for labels in ((), (3,), (5, 0), (127, 128, 300), tuple(range(70000, 0, -999))):
        for audio in (AUDIO, b"", bytes(300), bytes(70000)):
            record = schema.front(b"-id", len(audio), labels) + audio
            assert record == by_tensorflow(b"-id", audio, sorted(labels))
            clip_id, found, numbers = schema.decode(record)
            assert (clip_id, found, numbers) == (b"-id", audio, tuple(sorted(labels)))
    with tf.io.TFRecordWriter(str(tmp_path / "one")) as writer:
        writer.write(record)
    framed = schema.header(len(record)) + record + schema.footer(crc32c.crc32c(record))
    assert (tmp_path / "one").read_bytes() == framed
    assert len(framed) == len(record) + schema.RECORD_OVERHEAD
    for other in (
        b"nonsense",
        b"",
        tf.train.Example().SerializeToString(),
        record[:-1],
        record[:20],
    ):
        with pytest.raises(ValueError, match="not a clip record"):
            schema.decode(other)


def test_audio_comes_back_without_loss():
    extremes = np.tile(np.array([32767, -32768], np.int16), 2500)
    for waveform in (NOISE, np.zeros(5000, np.int16), extremes, NOISE[:1], NOISE[:17]):
        for codec in CODECS:
            for rate in (8000, 44100):
                out = np.full(len(waveform), 99, np.int16)
                decode_audio(encode_audio(waveform, codec, rate), codec, out)
                np.testing.assert_array_equal(out, waveform)
    for kind in ("<i2", ">i2"):
        encoded = encode_audio(np.array([1, 32767, -32768], kind), "pcm16", 8000)
        assert encoded == b"\x01\x00\xff\x7f\x00\x80"


def test_bytes_that_are_other_audio():
    def flac(waveform: np.ndarray) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, waveform, 8000, format="FLAC")
        return file.getvalue()

    whole = flac(NOISE)
    for codec, audio, part in (
        ("pcm16", bytes(9999), "buffer size"),  # half a sample
        ("pcm16", bytes(9998), "4999 samples, expected 5000"),
        ("pcm16", b"", "0 samples"),
        ("flac", b"", "not flac"),
        ("flac", b"fLaC" + bytes(100), "not flac"),
        ("flac", NOISE.tobytes(), "not flac"),
        ("flac", flac(NOISE[:4999]), "4999 samples, expected 5000"),
        ("flac", flac(np.stack([NOISE, NOISE], axis=1)), "samples"),
        ("flac", whole[: len(whole) // 3], "flac|samples"),
        ("flac", whole[: 9 * len(whole) // 10], "flac|samples"),
    ):
        with pytest.raises(ValueError, match=part):
            decode_audio(audio, codec, np.empty(5000, np.int16))


def tone(frequency: float, samples: int = RATE) -> np.ndarray:
    """(1, samples) int16."""
    return np.int16(16000 * np.sin(2 * np.pi * frequency * np.arange(samples) / RATE))[None]


def level_db(clips: np.ndarray) -> float:
    inner = clips[0, 200:-200].astype(float)
    return 20 * np.log10(np.sqrt(2 * np.mean(inner**2)) / 16000 + 1e-9)


def test_lowpass_keeps_the_band_and_nothing_above():
    for wanted in (16000, 8000, 24000):
        below = resample_clips(tone(0.35 * wanted), RATE, wanted, "lowpass")
        assert level_db(below) == pytest.approx(0, abs=0.1)
        assert np.argmax(np.abs(np.fft.rfft(below[0]))) == 0.35 * wanted
        assert level_db(resample_clips(tone(0.6 * wanted), RATE, wanted, "lowpass")) < -60
    square = np.where(tone(50) > 0, 32767, -32767).astype(np.int16)
    out = resample_clips(square, RATE, 16000, "lowpass").astype(int)
    # The filter exceeds full scale, where it must stay.
    assert (out.max(), out.min()) == (32767, -32767)
    assert (np.abs(np.diff(out[0, 100:150])) < 40000).all()
    for samples in (1, 2, 3, 1001, 44100):
        for stored, wanted in ((32000, 16000), (44100, 32000)):
            out = resample_clips(np.full((2, samples), 1000, np.int16), stored, wanted, "lowpass")
            assert out.shape == (2, resampled_length(samples, stored, wanted))
            assert (np.abs(out[:, 100:-100].astype(int) - 1000) <= 1).all()


def test_stride_takes_every_kth_sample_and_aliases():
    clips = np.random.default_rng(0).integers(-32768, 32768, (3, 1003)).astype(np.int16)
    for name in ("stride", "skip"):  # as version 0.1.0 called it
        out = resample_clips(clips, RATE, 8000, name)
        np.testing.assert_array_equal(out, clips[:, ::4])
        np.testing.assert_array_equal(resample_clips(clips, RATE, RATE, name), clips)
    folded = resample_clips(tone(10000), RATE, 16000, "stride")
    assert np.argmax(np.abs(np.fft.rfft(folded[0]))) == 6000
    for wanted, resample, part in (
        (48000, "lowpass", "pack them again with --sample-rate 48000"),
        (0, "lowpass", "not at 0 Hz"),
        (12000, "stride", "32000 Hz is no multiple of 12000 Hz; use 'lowpass'"),
        (16000, "linear", "must be one of lowpass, stride, received 'linear'"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            check_resample(RATE, wanted, resample)


def test_lower_rates_through_the_pipeline(packed):
    (whole,) = tfrecords.dataset(packed, batch_size=60)
    index = tfrecords.load_index(packed)
    for name, value in (("resample", "stride"), ("decimation", "skip"), ("resample", "lowpass")):
        (low,) = tfrecords.dataset(packed, batch_size=60, sample_rate=2000, **{name: value})
        expected = resample_clips(whole["waveform"].numpy(), 8000, 2000, value)
        np.testing.assert_array_equal(low["waveform"], expected)
        clips = tfrecords.records.read_clips(index, np.array([5, 2]), 2000, value)
        np.testing.assert_array_equal(clips, expected[[5, 2]])


def copy_remote(folder: Path, address: str) -> str:
    """Copies a folder into TensorFlow's file system in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            target = f"{address}/{path.relative_to(folder).as_posix()}"
            tf.io.gfile.makedirs(target.rsplit("/", 1)[0])
            with tf.io.gfile.GFile(target, "wb") as file:
                file.write(path.read_bytes())
    return address


@pytest.mark.parametrize("where", ["local", "remote"])
def test_reading_by_position(tmp_path, monkeypatch, where):
    (tmp_path / "x").write_bytes(CONTENT)
    path = str(tmp_path / "x")
    if where == "remote":
        path = copy_remote(tmp_path, "ram://position") + "/x"
    files = Files()

    def check() -> None:
        for number in (1, 3, MOST_BUFFERS, 3 * MOST_BUFFERS + 5):
            lengths = np.random.default_rng(number).integers(0, 7, number).tolist()
            buffers = [bytearray(length) for length in lengths]
            assert files.read_into(path, 11, buffers) == sum(lengths)
            assert b"".join(buffers) == CONTENT[11 : 11 + sum(lengths)]

    check()
    rows = np.zeros((2, 5), np.int16)
    assert files.read_into(path, 6, [rows[1]]) == 10
    np.testing.assert_array_equal(rows[1], np.frombuffer(CONTENT[6:16], np.int16))
    for offset, found in ((19990, 10), (20000, 0), (30000, 0)):
        buffers = [bytearray(7) for _ in range(3)]
        assert files.read_into(path, offset, buffers) == found
        assert b"".join(buffers) == CONTENT[offset : offset + 21].ljust(21, b"\0")
    with pytest.raises(OSError, match="not there"):
        files.read_into(f"{path} not there", 0, [bytearray(1)])
    # Reads that come in pieces, as after a signal or beyond the 2 GiB of one call, go on.
    preadv = storage.os.preadv
    monkeypatch.setattr(
        storage.os, "preadv", lambda file, parts, place: preadv(file, [parts[0][:3]], place)
    )
    check()


def test_more_files_than_are_kept_open_from_many_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_OPEN_FILES", 8)
    for number in range(40):
        (tmp_path / str(number)).write_bytes(CONTENT[number : number + 1000])
    kept = [Files()]

    def read(sample: int) -> bool:
        number, offset = sample * 7 % 40, sample % 500
        buffer = bytearray(100)
        kept[0].read_into(str(tmp_path / str(number)), offset, [buffer])
        return buffer == CONTENT[number + offset : number + offset + 100]

    def opened() -> int:
        links = (link for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
        return sum(str(link.readlink()).startswith(str(tmp_path)) for link in links)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(read, range(4000)))
    assert opened() == 8
    kept.clear()
    assert opened() == 0


def test_remote_directories(packed, tmp_path, monkeypatch):
    for directory, file, expected in (
        ("/a/b", "c.x", "/a/b/c.x"),
        ("gs://a/b/", "c.x", "gs://a/b/c.x"),
        (Path("a"), "../c.x", "a/../c.x"),
    ):
        assert join(directory, file) == expected
        assert is_remote(directory) == expected.startswith("gs://")
    address = copy_remote(packed, "ram://bucket/packed/train")
    calls, read = [], storage._read_remote
    monkeypatch.setattr(storage, "_read_remote", lambda *args: calls.append(args) or read(*args))
    for sampling in ("sequential", "balanced", "streamed"):
        options = {"batch_size": 20, "sampling": sampling}
        here = list(tfrecords.dataset(packed, **options).take(3))
        calls.clear()
        there = list(tfrecords.dataset(address, **options).take(3))
        if sampling == "sequential":  # neighbours are read at once: 3 batches over 4 shards
            assert len(calls) <= 6
        for first, second in zip(here, there, strict=True):
            for key in first:
                np.testing.assert_array_equal(first[key], second[key])
    assert tfrecords.verify_directory(address) == []
    shutil.copytree(packed, tmp_path / "train")
    index = tfrecords.make_view(tmp_path / "views" / "half", [tmp_path / "train"], fraction=0.5)
    address = copy_remote(tmp_path, "ram://bucket/views")
    (batch,) = tfrecords.dataset(f"{address}/views/half", batch_size=60)
    assert batch["clip_id"].numpy().tolist() == index.clip_ids.tolist()
    shard = join(address, f"train/{tfrecords.load_index(packed).info.shards[2].name}")
    tf.io.gfile.remove(shard)
    assert any("16 clips" in line for line in tfrecords.verify_directory(f"{address}/train"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="missing, truncated or damaged"):
        list(tfrecords.dataset(f"{address}/train", batch_size=16))
    with pytest.raises(TFRecordsError, match="not a packed directory"):
        tfrecords.load_index("ram://nowhere")
    for unread in ("s3://bucket/train", "nonsense://x/train"):
        with pytest.raises(TFRecordsError, match=f"{unread}.*tensorflow-io"):
            tfrecords.load_index(unread)
