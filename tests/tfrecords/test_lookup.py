import numpy as np
import pytest

from tfrecords import TFRecordsError, dataset, load_index, synthesize_clips
from tfrecords.records import read_clips


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lookup")
    synthesize_clips(folder, clips=9, clip_seconds=0.25, sample_rate=8000, progress=False)
    return load_index(folder)


@pytest.mark.parametrize(
    ("rate", "decimation"), [(None, "lowpass"), (8000, "skip"), (4000, "skip")]
)
def test_clips_are_those_of_the_dataset(index, rate, decimation):
    (batch,) = dataset(index.directory, batch_size=9, sample_rate=rate, decimation=decimation)
    found = read_clips(index, [7, 0, 7], rate, decimation)
    np.testing.assert_array_equal(found, batch["waveform"].numpy()[[7, 0, 7]])


def test_a_rate_there_is_not(index):
    with pytest.raises(TFRecordsError, match="16000 Hz"):
        read_clips(index, [0], 16000)


def test_a_damaged_record_is_named(index, tmp_path):
    folder = tmp_path / "damaged"
    synthesize_clips(folder, clips=3, clip_seconds=0.25, sample_rate=8000, progress=False)
    damaged = load_index(folder)
    with open(damaged.shard_path(int(damaged.shard[1])), "r+b") as shard:  # noqa: PTH123
        shard.seek(int(damaged.offset[1]) + 100)
        shard.write(b"\xff\x00\xff")
    with pytest.raises(ValueError, match=damaged.clip_ids[1].decode()):
        read_clips(damaged, [1])
