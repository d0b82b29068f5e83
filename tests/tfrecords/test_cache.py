"""The hot cache: what was read once comes from there, and what a crash left of it is mended."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfrecords
from tfrecords import cache as cache_module
from tfrecords.cache import Cache
from tfrecords.errors import TFRecordsError
from tfrecords.records import RecordReader
from tfrecords.storage import Files

CONTENT = np.random.default_rng(0).bytes(1000)
PARTS = [(number * 10, 10) for number in range(100)]


class Source(Files):
    """Counts the reads of the source."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def read_into(self, path, offset, buffers):
        self.reads += 1
        return super().read_into(path, offset, buffers)


@pytest.fixture
def path(tmp_path) -> str:
    (tmp_path / "shard").write_bytes(CONTENT)
    return str(tmp_path / "shard")


def read(cache: Cache, files: Files, path: str, parts: list) -> bytes:
    buffers = [bytearray(length) for _, length in parts]
    found = cache.read_into(files, path, parts, buffers)
    return b"".join(buffers)[:found]


@pytest.fixture
def copy(packed, tmp_path) -> Path:
    return shutil.copytree(packed, tmp_path / "copy")


def rows_of(directory: Path, cache: Path, **options) -> list[dict[str, np.ndarray]]:
    data = tfrecords.dataset(directory, batch_size=15, cache=cache, **options)
    return [{key: batch[key].numpy() for key in batch} for batch in data.take(4)]


def assert_same(first: list, second: list) -> None:
    assert len(first) == len(second) > 0
    for one, other in zip(first, second, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def remove_shards(directory: Path) -> None:
    for shard in directory.glob("*.tfrecord"):
        shard.unlink()


def files_of(cache: Path, kind: str) -> list[Path]:
    found = sorted(cache.rglob(f"*.{kind}"))
    assert found
    return found


def test_the_second_reading_is_local(path, tmp_path):
    cache, files = Cache(tmp_path / "cache", "x"), Source()
    for parts in (PARTS[3:7], PARTS[3:7], PARTS[4:5], PARTS[5:7]):
        assert read(cache, files, path, parts) == CONTENT[parts[0][0] : sum(parts[-1])]
    assert files.reads == 1
    read(cache, files, path, PARTS[6:8])  # one of them is new
    assert files.reads == 2
    Path(path).unlink()
    assert read(cache, files, path, PARTS[3:8]) == CONTENT[30:80]
    # Another process, later.
    assert read(Cache(tmp_path / "cache", "x"), files, path, PARTS[3:8]) == CONTENT[30:80]
    assert files.reads == 2


def test_directories_and_shards_do_not_mix(path, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(CONTENT[::-1])
    files = Source()
    cache = Cache(tmp_path / "cache", "x")
    assert read(cache, files, path, PARTS[:2]) == CONTENT[:20]
    assert read(cache, files, str(other), PARTS[:2]) == CONTENT[::-1][:20]
    Path(path).write_bytes(CONTENT[::-1])  # packed anew: another identity
    assert read(Cache(tmp_path / "cache", "y"), files, path, PARTS[:2]) == CONTENT[::-1][:20]
    assert read(cache, files, path, PARTS[:2]) == CONTENT[:20]
    assert files.reads == 3


def test_a_source_that_ends_early_is_not_kept(path, tmp_path):
    cache, files = Cache(tmp_path / "cache", "x"), Source()
    for _ in range(2):
        assert read(cache, files, path, [(990, 10), (1000, 10)]) == CONTENT[990:]
    assert files.reads == 2
    with pytest.raises(FileNotFoundError):
        read(cache, files, f"{path} not there", PARTS[:1])


def test_takes_no_more_than_its_limit(path, tmp_path):
    cache, files = Cache(tmp_path / "cache", "x", limit=45), Source()
    for part in PARTS[:8]:
        read(cache, files, path, [part])
    assert files.reads == 8
    for part in PARTS[:8]:  # the first four are there; the others are read as well as ever
        assert read(cache, files, path, [part]) == CONTENT[part[0] : sum(part)]
    assert files.reads == 12
    # What is there already counts, also after a restart.
    later = Cache(tmp_path / "cache", "x", limit=45)
    read(later, files, path, PARTS[20:21])
    read(later, files, path, PARTS[20:21])
    assert files.reads == 14
    # What is dropped does not count any more.
    later.forget(path)
    for part in PARTS[20:24] * 2:
        read(later, files, path, [part])
    assert files.reads == 18


def test_parts_read_twice_count_once(path, tmp_path):
    cache, files = Cache(tmp_path / "cache", "x", limit=40), Source()
    for end in (1, 2, 3, 4):
        read(cache, files, path, PARTS[:end])
    read(cache, files, path, PARTS[:4])
    assert files.reads == 4


def test_a_full_disk_is_left_alone(path, tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_SPARE", 2**70)
    cache, files = Cache(tmp_path / "cache", "x"), Source()
    for _ in range(2):
        assert read(cache, files, path, PARTS[:1]) == CONTENT[:10]
    assert files.reads == 2


def test_a_list_of_parts_that_was_torn(path, tmp_path):
    cache, files = Cache(tmp_path / "cache", "x"), Source()
    read(cache, files, path, PARTS[:3])
    (parts,) = files_of(tmp_path / "cache", "parts")
    parts.write_bytes(parts.read_bytes()[:-2] + b"\n\xff x\n1 2 3\n-1 5\n")
    later = Cache(tmp_path / "cache", "x")
    assert read(later, files, path, PARTS[:2]) == CONTENT[:20]
    assert files.reads == 1
    assert read(later, files, path, PARTS[:3]) == CONTENT[:30]
    assert files.reads == 2


def test_a_copy_that_is_shorter_than_its_list(path, tmp_path):
    cache, files = Cache(tmp_path / "cache", "x"), Source()
    read(cache, files, path, PARTS[:3])
    (copy,) = files_of(tmp_path / "cache", "bin")
    copy.write_bytes(copy.read_bytes()[:25])
    assert read(Cache(tmp_path / "cache", "x"), files, path, PARTS[:3]) == CONTENT[:30]
    copy.unlink()
    assert read(Cache(tmp_path / "cache", "x"), files, path, PARTS[:3]) == CONTENT[:30]
    assert files.reads == 3


def test_from_many_threads_while_it_is_dropped(path, tmp_path):
    cache, files = Cache(tmp_path / "cache", "x"), Source()

    def one(number: int) -> bool:
        if number % 50 == 0:
            cache.forget(path)
        first = number * 13 % 90
        return read(cache, files, path, PARTS[first : first + 5]) in (
            CONTENT[first * 10 : first * 10 + 50],
        )

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(2000))) >= 1990  # the reader checks, and reads again


@pytest.mark.parametrize("sampling", ["sequential", "shuffled", "streamed"])
def test_the_pipeline_reads_again_without_the_source(packed, copy, tmp_path, sampling):
    first = rows_of(copy, tmp_path / "cache", sampling=sampling)
    remove_shards(copy)
    assert_same(rows_of(copy, tmp_path / "cache", sampling=sampling), first)
    plain = tfrecords.dataset(packed, batch_size=15, sampling=sampling).take(4)
    assert_same(first, [{key: batch[key].numpy() for key in batch} for batch in plain])
    # Control: without what was kept, the shards are missed.
    with pytest.raises(tf.errors.InvalidArgumentError, match="there is no such file"):
        rows_of(copy, tmp_path / "new", sampling=sampling)


def test_flac_is_kept_as_it_is_stored(source, settings, tmp_path):
    tfrecords.pack_clips(settings(source, tmp_path / "flac", codec="flac"), progress=False)
    first = rows_of(tmp_path / "flac", tmp_path / "cache")
    shards = sum(path.stat().st_size for path in (tmp_path / "flac").glob("*.tfrecord"))
    assert sum(path.stat().st_size for path in files_of(tmp_path / "cache", "bin")) == shards
    remove_shards(tmp_path / "flac")
    assert_same(rows_of(tmp_path / "flac", tmp_path / "cache"), first)


@pytest.mark.parametrize("damage", ["flip", "zeros", "short", "gone"])
def test_what_a_crash_left_is_read_from_the_source_again(copy, tmp_path, damage):
    first = rows_of(copy, tmp_path / "cache")
    for path in files_of(tmp_path / "cache", "bin"):
        content = bytearray(path.read_bytes())
        if damage == "flip":
            content[len(content) // 2] ^= 1
        elif damage == "zeros":
            content[1000:9000] = bytes(8000)
        path.write_bytes(content[: len(content) // 2] if damage == "short" else content)
        if damage == "gone":
            path.unlink()
    assert_same(rows_of(copy, tmp_path / "cache"), first)
    # Twice: the first reading dropped what was wrong, the second keeps it again.
    assert_same(rows_of(copy, tmp_path / "cache"), first)
    remove_shards(copy)
    assert_same(rows_of(copy, tmp_path / "cache"), first)


def test_damage_in_the_cache_without_the_source_names_shard_and_clip(copy, tmp_path):
    rows_of(copy, tmp_path / "cache")
    for path in files_of(tmp_path / "cache", "bin"):
        content = bytearray(path.read_bytes())
        content[500] ^= 1
        path.write_bytes(content)
    remove_shards(copy)
    index = tfrecords.load_index(copy)
    reader = RecordReader(index, Cache(tmp_path / "cache", index.info.index_sha256))
    _, damages = reader.waveforms(np.arange(16))
    assert damages[0].clip_id == index.clip_ids[0].decode()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"shard train-0000.*, clip clip_"):
        rows_of(copy, tmp_path / "cache")


def test_damage_in_the_source_is_named_each_time(copy, tmp_path):
    index = tfrecords.load_index(copy)
    clip = 20
    shard = Path(index.shard_path(index.shard[clip]))
    content = bytearray(shard.read_bytes())
    content[index.offset[clip] + 77] ^= 1
    shard.write_bytes(content)
    for _ in range(2):
        with pytest.raises(tf.errors.InvalidArgumentError, match=index.clip_ids[clip].decode()):
            rows_of(copy, tmp_path / "cache")
    # Once the source is restored, nothing of the damage is left.
    content[index.offset[clip] + 77] ^= 1
    shard.write_bytes(content)
    rows_of(copy, tmp_path / "cache")


def test_a_folder_that_cannot_be_written(packed, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere"):
        with pytest.raises(TFRecordsError, match="cannot be written") as caught:
            tfrecords.dataset(packed, batch_size=4, cache=folder)
        assert "\n" not in str(caught.value)
