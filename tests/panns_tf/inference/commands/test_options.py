from pathlib import Path

import pytest

from panns_tf.inference.commands.options import place_of, sources_of


@pytest.mark.parametrize(
    ("source", "paths", "expected"),
    [
        ("a/b/x.wav", ["a"], "b/x.wav.png"),
        ("a/b/x.wav", ["a/b/x.wav"], "x.wav.png"),
        ("a/b/x.wav", ["a/b/x.wav", "a/c"], "b/x.wav.png"),
        ("a/b/x.wav", ["a/**/*.wav"], "b/x.wav.png"),
        ("a/../a/b/x.wav", ["a/../a/b"], "x.wav.png"),
    ],
)
def test_results_lie_as_the_recordings(source, paths, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a/b", "a/c"):
        Path(folder).mkdir(parents=True)
    Path("a/b/x.wav").touch()
    assert place_of(source, paths, Path("out"), ".png") == Path("out") / expected
    assert (Path("out") / expected).parent.is_dir()


def test_what_has_no_path_has_a_name(tmp_path):
    assert place_of(object(), ["-"], tmp_path, ".txt") == tmp_path / "stdin.txt"


def test_standard_input_may_stand_beside_files(tmp_path, monkeypatch):
    (tmp_path / "x.wav").touch()
    monkeypatch.setattr("sys.stdin", type("", (), {"buffer": "pipe"}))
    assert list(sources_of(["-", str(tmp_path)])) == ["pipe", tmp_path / "x.wav"]
    assert list(sources_of(["-"])) == ["pipe"]
