"""The table of published checkpoints, and how one is found, verified or downloaded."""

import dataclasses
import functools
import hashlib
import http.server
import re
import threading

import pytest

from panns_tf.models.registry import ARCHITECTURES
from panns_tf.weights import zoo

DATA = b"PK" + bytes(range(256)) * 40
MD5 = hashlib.md5(DATA).hexdigest()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, and no way to the real record."""
    monkeypatch.setenv("PANNS_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PANNS_TF_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def published(monkeypatch):
    """Replaces the entry of a network's file by that of `DATA`."""

    def replace(network, **fields):
        row = dataclasses.replace(zoo.PUBLISHED[network], **{"md5": MD5, "size": None} | fields)
        monkeypatch.setitem(zoo.PUBLISHED, network, row)
        return row

    return replace


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A folder served over HTTP in place of the record."""
    folder = tmp_path / "mirror" / "files"
    folder.mkdir(parents=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("PANNS_TF_MIRROR", f"http://127.0.0.1:{server.server_port}/files/")
        yield folder
        server.shutdown()


def test_table(monkeypatch):
    monkeypatch.delenv("PANNS_TF_MIRROR")
    rows = zoo.PUBLISHED
    assert len(rows) == len({row.file for row in rows.values()}) == 22
    assert set(rows) <= set(ARCHITECTURES)
    for network, row in rows.items():
        stem, precision = re.fullmatch(r"(\w+)_mAP=(0\.\d{3})\.pth", row.file).groups()
        assert stem.lower() == row.network.lower() == network.lower()
        assert 0.2 < float(precision) < 0.45
        expected = row.file.replace("=", "%3D")
        assert row.url == f"https://zenodo.org/records/3987831/files/{expected}?download=1"
        assert row.md5 is None or re.fullmatch("[0-9a-f]{32}", row.md5)
        assert row.size is None or 20e6 < row.size < 400e6
    assert len({row.md5 for row in rows.values() if row.md5}) == 12
    with pytest.raises(ValueError, match=r"Cnn14_mel32 has no published .* Cnn6, Cnn10, Cnn14, "):
        zoo.fetch("Cnn14_mel32")


def test_cache_folder(monkeypatch, tmp_path):
    assert zoo.cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PANNS_TF_CACHE", "~/mine")
    assert zoo.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("PANNS_TF_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert zoo.cache_folder() == tmp_path / "xdg" / "panns_tf"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert zoo.cache_folder() == tmp_path / ".cache" / "panns_tf"
    monkeypatch.setenv("PANNS_TF_CACHE", "~nobody-of-that-name/x")
    with pytest.raises(OSError, match=r"PANNS_TF_CACHE$"):
        zoo.cache_folder()


def test_a_file_put_there_by_hand_is_verified_and_kept(cache, published):
    path = cache / published("Cnn6").file
    cache.mkdir()
    path.write_bytes(DATA)
    assert zoo.fetch("Cnn6") == path
    published("Cnn6", md5="0" * 32)
    with pytest.raises(ValueError, match="remove it and try again") as error:
        zoo.fetch("Cnn6")
    assert str(error.value).startswith(f"{path} is not the published file: its md5 is {MD5}")
    assert path.read_bytes() == DATA


def test_a_file_is_downloaded_once_and_verified(cache, mirror, published, caplog):
    row = published("Cnn14_emb128")
    (mirror / row.file).write_bytes(DATA)
    with caplog.at_level("INFO", "panns_tf"):
        path = zoo.fetch("Cnn14_emb128")
    assert path == cache / "CNN14_emb128_mAP=0.412.pth"
    assert path.read_bytes() == DATA
    (mirror / row.file).unlink()
    assert zoo.fetch("Cnn14_emb128") == path
    other = published("Cnn6", md5="0" * 32)
    (mirror / other.file).write_bytes(DATA)
    with pytest.raises(ValueError, match="is not the published file"):
        zoo.fetch("Cnn6")
    assert list(cache.iterdir()) == [path]


def test_a_file_without_checksum_is_reported_and_a_web_page_refused(cache, mirror, caplog):
    row = zoo.published_file("LeeNet11")
    assert row.md5 is None
    (mirror / row.file).write_bytes(b"<!DOCTYPE html>")
    with pytest.raises(OSError, match=r"expected a checkpoint, received b'<!'"):
        zoo.fetch("LeeNet11")
    assert not list(cache.iterdir())
    (mirror / row.file).write_bytes(DATA)
    assert zoo.fetch("LeeNet11").read_bytes() == DATA
    assert caplog.messages[-1].startswith("LeeNet11_mAP=0.266.pth is unverified: no checksum")


def test_without_a_network_one_line_says_what_to_do(cache, monkeypatch):
    with pytest.raises(OSError, match=r"cannot download http://127\.0\.0\.1:9/Cnn14_mAP") as error:
        zoo.fetch("Cnn14")
    assert str(error.value).endswith(
        f"download it elsewhere and put Cnn14_mAP=0.431.pth into {cache}"
    )
    assert not cache.exists() or not list(cache.iterdir())
    for address in ("file:///etc", "zenodo.org/records", "http:"):
        monkeypatch.setenv("PANNS_TF_MIRROR", address)
        with pytest.raises(OSError, match="cannot download "):
            zoo.fetch("Cnn6")
