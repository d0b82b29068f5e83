"""Packing on Apache Beam: the same bytes; a message where it is not installed."""

import importlib.util

import pytest

from tests.tfrecords.test_pack import contents, pack_but_for
from tfrecords import pack_clips
from tfrecords.files import TFRecordsError
from tfrecords.pool import beam_runner

INSTALLED = importlib.util.find_spec("apache_beam") is not None


@pytest.mark.skipif(not INSTALLED, reason="needs apache-beam")
def test_the_bytes_are_the_same(source, packed, tmp_path, settings):
    runner = beam_runner("DirectRunner", "--direct_num_workers=2")
    pack_clips(settings(source, tmp_path / "out"), progress=False, runner=runner)
    assert contents(tmp_path / "out") == contents(packed)


@pytest.mark.skipif(not INSTALLED, reason="needs apache-beam")
def test_goes_on_after_an_interruption(source, packed, tmp_path, settings):
    runner = beam_runner("DirectRunner")
    pack_but_for("_finish", settings(source, tmp_path / "out"), runner=runner)
    shards = sorted((tmp_path / "out").glob("*.tfrecord"))
    shards[0].unlink()
    times = {shard: shard.stat().st_mtime_ns for shard in shards[1:]}
    pack_clips(settings(source, tmp_path / "out"), progress=False, runner=runner)
    assert contents(tmp_path / "out") == contents(packed)
    assert times == {shard: shard.stat().st_mtime_ns for shard in shards[1:]}


@pytest.mark.skipif(INSTALLED, reason="apache-beam is installed")
def test_without_beam_it_says_so():
    with pytest.raises(TFRecordsError, match="needs Apache Beam: pip install"):
        beam_runner("DirectRunner")
