"""Audio files found in folders and by patterns."""

import os
from pathlib import Path

import pytest

from tfrecords.audio import AudioError, read_audio
from tfrecords.search import find_audio


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Files of several kinds; the working directory."""
    for name in ("b.wav", "a/2.FLAC", "a/1.wav", "a/x.txt", "a/.hidden.wav", ".git/y.wav", "c.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "d.wav").mkdir()
    (tmp_path / "d.wav" / "in.ogg").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*paths) -> list[str]:
    return [str(path) for path in find_audio(paths)]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["."], ["a/1.wav", "a/2.FLAC", "b.wav", "d.wav/in.ogg"]),
        (["c.dat", "a/x.txt"], ["c.dat", "a/x.txt"]),
        (["b.wav", "./b.wav", "a/2.FLAC", "a"], ["b.wav", "a/2.FLAC", "a/1.wav"]),
        (["a", "a", "."], ["a/1.wav", "a/2.FLAC", "b.wav", "d.wav/in.ogg"]),
        (["a/.hidden.wav"], ["a/.hidden.wav"]),
        (["gone.wav", "a", "gone.wav"], ["gone.wav", "a/1.wav", "a/2.FLAC"]),
        (["n" * 300, "zero\0", "b.wav/x"], ["n" * 300, "zero\0", "b.wav/x"]),
        (["n" * 300 + "*", "b.wav/*"], ["n" * 300 + "*", "b.wav/*"]),
        (["**/*.wav"], ["a/1.wav", "b.wav", "d.wav/in.ogg"]),
        (["**"], ["a/1.wav", "a/2.FLAC", "b.wav", "d.wav/in.ogg"]),
        (["a/*"], ["a/1.wav", "a/2.FLAC"]),
        (["*.dat"], ["c.dat"]),
        (["[ab].wav"], ["b.wav"]),
        (["z*.wav", "a**b"], ["z*.wav", "a**b"]),
        (["a/.h*"], ["a/.hidden.wav"]),
    ],
)
def test_what_paths_mean(tree, paths, expected):
    assert found(*paths) == expected


def test_a_name_that_looks_like_a_pattern(tree):
    Path("[b].wav").touch()
    assert found("[b].wav") == ["[b].wav"]


def test_links(tree):
    Path("a/up").symlink_to("..")
    Path("a/self.wav").symlink_to("self.wav")
    Path("a/gone.wav").symlink_to("nowhere")
    Path("a/other.wav").symlink_to("1.wav")
    own = ["a/1.wav", "a/gone.wav", "a/other.wav", "a/self.wav"]
    # The folder above is walked once, and this one not again within it.
    above = ["a/up/b.wav", "a/up/d.wav/in.ogg"]
    assert found("a") == sorted(["a/2.FLAC", *own, *above])
    assert found("**/*.wav") == [*own, "b.wav", "d.wav/in.ogg"]


def test_an_unreadable_folder_comes_out(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(".") == ["a", "b.wav", "d.wav/in.ogg"]
    with pytest.raises(AudioError, match="a: a folder"):
        read_audio("a", 8000)


def test_nothing_found(tree):
    Path("empty").mkdir()
    for paths in (["empty"], [".git/../empty", "empty"]):
        with pytest.raises(ValueError, match=r"no audio files in .*empty \(looked for \.wav, "):
            found(*paths)
    assert found("empty", "b.wav") == ["b.wav"]
    with pytest.raises(ValueError, match="no audio files in no paths"):
        found()
    assert [str(path) for path in find_audio(".", [".dat"])] == ["c.dat"]


def test_folders_are_walked_as_they_are_used(tree, monkeypatch):
    walked = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (walked.append(str(path)), scandir(path))[1])
    paths = find_audio(["."])
    assert str(next(paths)) == "a/1.wav"
    assert walked == [".", "./a"]
