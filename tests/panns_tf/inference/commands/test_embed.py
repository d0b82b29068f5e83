import csv
import gc
import json
from pathlib import Path

import numpy as np
import pytest

from panns_tf import AudioTagger
from panns_tf.__main__ import main
from tests.panns_tf.inference.support import kept

NAMES = ["0.wav", "1.wav", "2.wav", "3.wav", "more/4.wav", "more/5.wav"]


@pytest.fixture(scope="module")
def expected(sounds):
    tagger = AudioTagger(kept("Tiny"))
    return np.stack([tagger.embed(sounds / name).vector for name in NAMES])


def read(path):
    """The vectors, files and starts of a result."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file["embedding"], file["file"].tolist(), file["start"].tolist()
    if path.suffix == ".npy":
        with path.with_suffix(".csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return np.load(path), [row["file"] for row in rows], [float(row["start"]) for row in rows]
    table = pytest.importorskip("pyarrow.parquet").read_table(path)
    rows = table.to_pylist()
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    return vectors, [row["file"] for row in rows], [row["start"] for row in rows]


@pytest.mark.parametrize("ending", ["npy", "npz", "parquet"])
def test_every_format(model, sounds, expected, ending, tmp_path, capsys):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"vectors.{ending}"
    assert main(["embed", str(sounds), "--model", str(model), "--output", str(output)]) == 1
    vectors, files, starts = read(output)
    assert files == [str(sounds / name) for name in NAMES]
    assert starts == [0.0] * 6
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-5 * np.abs(expected).max())
    assert "broken.wav: not audio" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {output.name, "vectors.csv"}


def test_windows(model, sounds, tmp_path, capsys):
    output = tmp_path / "vectors.npz"
    arguments = ["embed", str(sounds / "2.wav"), "--model", str(model), "--window", "0.5"]
    assert main([*arguments, "--output", str(output)]) == 0
    vectors, files, starts = read(output)
    assert vectors.shape == (3, 8)
    assert starts == [0.0, 0.5, 0.75]
    assert files == [str(sounds / "2.wav")] * 3
    assert main([*arguments, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(row["embedding"], vectors, atol=1e-5)
    assert row["starts"] == starts


@pytest.mark.parametrize("ending", ["npy", "npz", "parquet"])
def test_nothing_to_embed(model, sounds, ending, tmp_path, capsys):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"vectors.{ending}"
    broken = str(sounds / "broken.wav")
    assert main(["embed", broken, "--model", str(model), "--output", str(output)]) == 1
    vectors, files, _ = read(output)
    assert files == []
    assert len(vectors) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "embed needs --output FILE"),
        (["--output", "x.txt"], "--output must end in .npy, .npz, .parquet"),
        (["--output", "x.npz", "--hop", "1"], "--hop 1 needs a --window"),
        (["--output", "no/x.npz"], "the folder no does not exist"),
    ],
)
def test_mistakes_are_named(model, sounds, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        main(["embed", str(sounds / "0.wav"), "--model", str(model), *arguments])


def test_a_missing_package_is_named(model, sounds, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="Parquet needs pyarrow: pip install"):
        main(["embed", "x.wav", "--model", str(model), "--output", str(tmp_path / "x.parquet")])


def test_the_table_beside_an_npy_is_not_replaced(model, sounds, tmp_path):
    (tmp_path / "x.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"x.csv exists; remove it"):
        main(["embed", str(sounds), "--model", str(model), "--output", str(tmp_path / "x.npy")])


def test_a_kill_between_the_two_files_of_an_npy_is_survived(
    model, sounds, expected, tmp_path, monkeypatch, capsys
):
    output = tmp_path / "x.npy"
    arguments = ["embed", str(sounds), "--model", str(model), "--output", str(output)]
    replace = Path.replace

    def dies(path, target):
        if Path(target) == output:
            raise SystemExit
        return replace(path, target)

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", dies)
        with pytest.raises(SystemExit):
            main(arguments)
    gc.collect()  # the lock of the process that died
    assert output.with_suffix(".csv").exists()
    assert main(arguments) == 1  # a file is broken
    vectors, files, _ = read(output)
    assert files == [str(sounds / name) for name in NAMES]
    np.testing.assert_allclose(vectors, expected, atol=1e-5 * np.abs(expected).max())
    assert not list(tmp_path.glob("*.partial"))
    capsys.readouterr()
