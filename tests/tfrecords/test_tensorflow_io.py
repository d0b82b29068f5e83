"""tensorflow-io: FLAC decoded in the graph, records from s3://. Runs where requirements-io.txt is
installed; what happens without it is tested in test_reader.py and test_storage.py."""

import os
import pickle
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfrecords
from tfrecords import pack_clips

pytestmark = pytest.mark.tensorflow_io


@pytest.fixture(scope="module", autouse=True)
def tensorflow_io():
    # Only where it was installed for this: on later versions its import is a warning and no more.
    return pytest.importorskip("tensorflow_io", reason="needs requirements-io.txt")


@pytest.fixture(scope="module")
def flac(source, tmp_path_factory, settings) -> Path:
    output = tmp_path_factory.mktemp("flac") / "train"
    pack_clips(settings(source, output, codec="flac"), progress=False)
    return output


def batches(path, **options) -> list[dict[str, np.ndarray]]:
    data = tfrecords.dataset(path, batch_size=7, **options).take(12)
    return [{name: value.numpy() for name, value in batch.items()} for batch in data]


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        for name in other:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("sampling", ["sequential", "balanced", "streamed"])
def test_flac_in_the_graph_gives_the_same_samples(packed, flac, sampling):
    in_graph = batches(flac, sampling=sampling, flac_decoder="tensorflow-io")
    assert_same(in_graph, batches(flac, sampling=sampling))
    assert_same(in_graph, batches(packed, sampling=sampling))


@pytest.mark.parametrize("decimation", ["lowpass", "skip"])
def test_flac_in_the_graph_at_a_lower_rate(packed, flac, decimation):
    options = {"sample_rate": 4000, "decimation": decimation, "sampling": "shuffled"}
    assert_same(batches(flac, flac_decoder="tensorflow-io", **options), batches(packed, **options))


def test_damage_is_named_before_it_is_decoded(flac, tmp_path):
    copy = shutil.copytree(flac, tmp_path / "copy")
    index = tfrecords.load_index(copy)
    shard = Path(index.shard_path(0))
    content = bytearray(shard.read_bytes())
    content[int(index.offset[2]) + 300] ^= 1
    shard.write_bytes(content)
    name = index.clip_ids[2].decode()
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"clip {name}: the record is missing"):
        batches(copy, flac_decoder="tensorflow-io")
    options = {"flac_decoder": "tensorflow-io", "damaged": "skip"}
    assert sum(len(batch["clip_id"]) for batch in batches(copy, **options)) == 59


class Bucket(BaseHTTPRequestHandler):
    """As much of S3 as reading needs: sizes, ranges, and lists of what begins with a prefix."""

    def __init__(self, folder: Path, *arguments):
        self._folder = folder
        super().__init__(*arguments)

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path, _, query = self.path.partition("?")
        file = self._folder / path.strip("/").partition("/")[2]
        if "prefix=" in query:
            listing = (
                b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>'
                b"<KeyCount>0</KeyCount></ListBucketResult>"
            )
            self._send(200, listing, body)
        elif not file.is_file():
            self._send(404, b"", body)
        else:
            content = file.read_bytes()
            wanted = self.headers.get("Range")
            if wanted:
                first, last = wanted.removeprefix("bytes=").split("-")
                if int(first) >= len(content):
                    self._send(416, b"", body)
                    return
                content = content[int(first) : int(last) + 1]
            self._send(206 if wanted else 200, content, body)

    def _send(self, status: int, content: bytes, body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


# In a process of its own, ended at once: tensorflow-io's S3 client aborts when Python ends.
READ_FROM_S3 = """
import os, pickle, sys
import tfrecords
found = {}
for sampling in ("balanced", "streamed"):
    data = tfrecords.dataset("s3://bucket", batch_size=7, sampling=sampling).take(3)
    found[sampling] = [{name: value.numpy() for name, value in batch.items()} for batch in data]
with open(sys.argv[1], "wb") as file:
    pickle.dump(found, file)
os._exit(0)
"""


def test_records_from_s3(packed, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Bucket, packed))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(tfrecords.__file__).parents[1]),
        "S3_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "S3_USE_HTTPS": "0",
        "S3_VERIFY_SSL": "0",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    words = [sys.executable, "-c", READ_FROM_S3, str(tmp_path / "found")]
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr
    found = pickle.loads((tmp_path / "found").read_bytes())
    for sampling in found:
        assert_same(found[sampling], batches(packed, sampling=sampling)[:3])
