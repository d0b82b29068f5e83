"""The table of published checkpoints, and how one is found, verified or fetched."""

import dataclasses
import functools
import hashlib
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from panns_tf.models import ARCHITECTURES
from panns_tf.weights import download, zoo

DATA = bytes(range(256)) * 40
MD5, SHA256 = hashlib.md5(DATA).hexdigest(), hashlib.sha256(DATA).hexdigest()
UNPUBLISHED = {
    *("Cnn14_no_specaug", "Cnn14_no_dropout", "Cnn14_mixup_time_domain", "Cnn14_mel32"),
    *("Cnn14_mel128", "Cnn14_DecisionLevelAvg", "Wavegram_Logmel128_Cnn14"),
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, and no way to the real record."""
    monkeypatch.setenv("PANNS_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PANNS_TF_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def published(monkeypatch):
    """Replaces the facts about a network's file by those of `DATA`."""

    def replace(network, **facts):
        row = dataclasses.replace(
            zoo.PUBLISHED[network], **{"md5": None, "sha256": None, "size": None} | facts
        )
        monkeypatch.setitem(zoo.PUBLISHED, network, row)
        return row

    return replace


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A folder served over HTTP in place of the record."""
    folder = tmp_path / "mirror" / "files"
    folder.mkdir(parents=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=folder.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("PANNS_TF_MIRROR", f"http://127.0.0.1:{server.server_port}/files/")
        yield folder
        server.shutdown()


def test_table():
    rows = zoo.PUBLISHED
    assert len(rows) == 22
    assert all(row.network == network for network, row in rows.items())
    assert len({row.file for row in rows.values()}) == 22
    for row in rows.values():
        stem, precision = re.fullmatch(r"(\w+)_mAP=(0\.\d{3})\.pth", row.file).groups()
        assert stem.lower() == row.network.lower()
        assert 0.2 < float(precision) < 0.45
        expected = row.file.replace("=", "%3D")
        assert row.url == f"https://zenodo.org/records/3987831/files/{expected}?download=1"
        assert row.md5 is None or re.fullmatch("[0-9a-f]{32}", row.md5)
        assert row.sha256 is None or re.fullmatch("[0-9a-f]{64}", row.sha256)
        assert row.size is None or 20e6 < row.size < 400e6
    with_md5 = [row for row in rows.values() if row.md5]
    assert len(with_md5) == len({row.md5 for row in with_md5}) == 12
    assert sum(row.size is not None for row in rows.values()) == 7
    assert sum(row.sha256 is not None for row in rows.values()) == 3
    assert rows["Cnn14_emb128"].file == "CNN14_emb128_mAP=0.412.pth"
    assert rows["Cnn14"].size == 327428481
    assert rows["Wavegram_Logmel_Cnn14"].md5 == "17fa9ab65af3c0eb5ffbc5f65552c4e1"
    with pytest.raises(dataclasses.FrozenInstanceError):
        rows["Cnn14"].size = 1


def test_the_table_names_the_networks_of_the_package():
    assert set(zoo.PUBLISHED) <= set(ARCHITECTURES)
    assert not UNPUBLISHED & set(zoo.PUBLISHED)


@pytest.mark.parametrize("network", ["Cnn14_mel32", "cnn14", ""])
def test_a_network_without_checkpoint_is_refused_in_one_line(network):
    with pytest.raises(ValueError, match="no published checkpoint") as error:
        zoo.fetch(network)
    message = str(error.value)
    assert "\n" not in message
    assert all(other in message for other in zoo.PUBLISHED)


def test_cache_folder(monkeypatch, tmp_path):
    assert zoo.cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PANNS_TF_CACHE", "~/mine")
    assert zoo.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("PANNS_TF_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert zoo.cache_folder() == tmp_path / "xdg" / "panns_tf"
    for relative in ("", "xdg"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert zoo.cache_folder() == tmp_path / ".cache" / "panns_tf"
    monkeypatch.setenv("PANNS_TF_CACHE", "~nobody-of-that-name/x")
    with pytest.raises(OSError, match=r"PANNS_TF_CACHE$"):
        zoo.cache_folder()


@pytest.mark.parametrize(
    "facts", [{"md5": MD5}, {"sha256": SHA256}, {"md5": MD5, "sha256": SHA256, "size": len(DATA)}]
)
def test_a_file_put_there_by_hand_is_verified(cache, published, facts):
    path = cache / published("Cnn6", **facts).file
    cache.mkdir()
    path.write_bytes(DATA)
    said = []
    assert zoo.fetch("Cnn6", said.append) == path
    assert not said
    assert [entry.name for entry in cache.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("facts", "found", "expected"),
    [
        ({"md5": "0" * 32}, MD5, "0" * 32),
        ({"md5": MD5, "sha256": "0" * 64}, SHA256, "0" * 64),
        ({"md5": MD5, "size": 7}, f"{len(DATA)} bytes", "expected 7"),
    ],
)
def test_another_file_put_there_by_hand_is_refused_and_kept(
    cache, published, facts, found, expected
):
    path = cache / published("Cnn6", **facts).file
    cache.mkdir()
    path.write_bytes(DATA)
    with pytest.raises(ValueError, match="remove it and try again") as error:
        zoo.fetch("Cnn6")
    assert all(part in str(error.value) for part in (str(path), found, expected))
    assert "\n" not in str(error.value)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_file_without_checksum_is_said_to_be_unverified(cache, mirror, capsys, by_hand):
    row = zoo.published_file("LeeNet11")
    assert not row.has_checksum
    folder = cache if by_hand else mirror
    folder.mkdir(exist_ok=True)
    (folder / row.file).write_bytes(DATA)
    assert zoo.fetch("LeeNet11").read_bytes() == DATA
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "LeeNet11_mAP=0.266.pth is unverified: no checksum of it is known"
    assert len(said) == (1 if by_hand else 2)


def test_fetches_from_a_mirror_once(cache, mirror, published, capsys):
    row = published("Cnn14_emb128", md5=MD5, size=len(DATA))
    (mirror / row.file).write_bytes(DATA)
    path = zoo.fetch("Cnn14_emb128")
    assert path == cache / "CNN14_emb128_mAP=0.412.pth"
    assert path.read_bytes() == DATA
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    address = r"http://127\.0\.0\.1:\d+/files/CNN14_emb128_mAP%3D0\.412\.pth\?download=1"
    assert re.match(rf"downloading {row.file} from {address} to ", said[0])
    assert {entry.name for entry in cache.iterdir()} == {path.name, path.name + ".lock"}
    (mirror / row.file).unlink()
    said = []
    assert zoo.fetch("Cnn14_emb128", said.append) == path
    assert not said


def test_a_mirror_is_verified_too(cache, mirror, published):
    row = published("Cnn6", sha256="0" * 64)
    (mirror / row.file).write_bytes(DATA)
    with pytest.raises(ValueError, match=f"{SHA256}, expected {'0' * 64}"):
        zoo.fetch("Cnn6", print)
    assert [entry.name for entry in cache.iterdir()] == [row.file + ".lock"]


@pytest.mark.parametrize("address", ["file:///etc", "ftp://host/x", "zenodo.org/records", "http:"])
def test_a_mirror_is_http(monkeypatch, cache, address):
    monkeypatch.setenv("PANNS_TF_MIRROR", address)
    with pytest.raises(ValueError, match="PANNS_TF_MIRROR"):
        zoo.fetch("Cnn6")
    assert not cache.exists()


def test_without_a_network_one_line_tells_what_to_do(monkeypatch, cache):
    calls = []

    def unreachable(url, *args, **kwargs):
        calls.append(url)
        raise download._FailedError(f"cannot reach {url} (no network)", answered=False)

    monkeypatch.setattr(download, "_attempt", unreachable)
    monkeypatch.delenv("PANNS_TF_MIRROR")
    with pytest.raises(zoo.DownloadError) as error:
        zoo.fetch("Cnn14", print)
    assert isinstance(error.value, OSError)
    address = "https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth?download=1"
    assert str(error.value) == (
        f"cannot reach {address} (no network); "
        f"download it elsewhere and put Cnn14_mAP=0.431.pth into {cache}"
    )
    assert calls == [address]


def test_needs_neither_keras_nor_a_network_to_be_imported():
    folder = Path(zoo.__file__).parents[1]
    code = f"""
import socket, sys, types
for name in ("panns_tf", "panns_tf.weights"):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [{str(folder)!r} + name.removeprefix("panns_tf").replace(".", "/")]
socket.socket.connect = None
import panns_tf.weights.zoo
print(sorted({{"keras", "tensorflow", "numpy", "torch"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr
