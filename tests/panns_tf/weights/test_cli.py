"""The command `convert`: PyTorch's files to Keras and back, bit for bit or not at all."""

import functools
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors

from panns_tf.cli import main
from panns_tf.models.network import Network
from panns_tf.weights import zoo
from panns_tf.weights.cli import convert
from panns_tf.weights.loading import create_model
from panns_tf.weights.state_dict import COUNTER, to_torch_state
from panns_tf.weights.torch_file import read_torch_state, write_torch_state
from tests.panns_tf.weights.support import assert_same, filled, use_small_networks
from tfrecords.classes import audioset_classes


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    use_small_networks(monkeypatch, tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@functools.cache
def content(name: str, num_classes: int, ending: str) -> bytes:
    """The bytes of a file of a network: of a ``.pth`` as the published ones are."""
    network, path = filled(name, num_classes), Path(f"content{ending}")
    if ending == ".keras":
        network.save(path)
    else:
        write_torch_state(path, {"iteration": 600_000, "model": to_torch_state(network)})
    data = path.read_bytes()
    path.unlink()
    return data


def put(path: str, name: str = "Small", num_classes: int = 3) -> str:
    """Puts a file of a network there."""
    ending = ".keras" if path.endswith(".keras") else ".pth"
    Path(path).write_bytes(content(name, num_classes, ending))
    return path


def assert_equal(network: Network, other: Network):
    assert network.arch == other.arch
    assert_same(network, other)


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def refusal(*arguments, error: type[BaseException] = ValueError, **more) -> str:
    """The one line that says why nothing is converted; no file may come, go or change."""
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    with pytest.raises(error) as caught:
        convert(*arguments, **more)
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before
    assert str(caught.value).isprintable()
    return str(caught.value)


# there


def test_a_checkpoint_becomes_a_keras_file_here(capsys):
    Path("runs").mkdir()
    assert main(["convert", put("runs/mine.pth"), "--arch", "small"]) == 0
    parameters = sum(int(np.prod(v.shape)) for v in filled("Small").trainable_variables)
    assert capsys.readouterr().out == f"mine.keras: Small, 3 classes, {parameters:,} parameters\n"
    assert files() == ["mine.keras", "runs"]
    network = keras.saving.load_model("mine.keras")
    assert_equal(network, filled("Small"))
    assert network.labels is None


def test_a_bare_state_dict_becomes_a_weights_file():
    state = to_torch_state(filled("Small"))
    needed = {k: v for k, v in state.items() if "extractor" not in k and not k.endswith(COUNTER)}
    write_torch_state("Small.pt", needed)
    assert convert(Path("Small.pt"), Path("y.weights.h5")).startswith("y.weights.h5: Small, 3 cl")
    assert files() == ["Small.pt", "y.weights.h5"]
    assert_equal(create_model("Small", 3, weights="y.weights.h5"), filled("Small"))


def test_527_classes_are_audiosets():
    for num_classes, labels in ((527, list(audioset_classes().names)), (526, None)):
        convert(put("Small.pth", "Small", num_classes), force=True)
        network = keras.saving.load_model("Small.keras")
        assert network.num_classes == num_classes
        assert network.labels == labels


# and back


@pytest.mark.parametrize("kind", ["Small", "Small_DaiNet", "Thin_VGGish"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_there_and_back_bit_for_bit(kind, ending):
    put("a.keras", kind)
    assert convert("a.keras", f"b{ending}").startswith(f"b{ending}: {kind}, 3 classes, ")
    assert convert(f"b{ending}", "c.keras").startswith(f"c.keras: {kind}, 3 classes, ")
    assert_equal(keras.saving.load_model("c.keras"), filled(kind))
    if ending == ".pth":
        state = dict(read_torch_state("b.pth"))
    else:
        with safetensors.safe_open("b.safetensors", "np") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = to_torch_state(filled(kind))
    assert set(state) == set(expected)
    for name, array in expected.items():
        assert state[name].dtype == array.dtype
        np.testing.assert_array_equal(state[name], array)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_written_here_says_what_it_is(ending):
    settings = {"hop_size": 100, "mel_bins": 32}
    original = create_model("Small_DecisionLevelMax", 3, **settings)
    original.labels = ["a", "b", "c"]
    original.save("x.keras")
    convert("x.keras", f"y{ending}")
    convert(f"y{ending}", "z.keras")
    convert("x.keras", "w.keras")
    assert create_model("Small_DecisionLevelMax", 3, weights="w.keras", **settings).labels == [
        *"abc"
    ]
    for file in ("z.keras", f"y{ending}"):
        assert_equal(create_model(original.arch.name, 3, weights=file, **settings), original)
    for other, overrides in ((original.arch.name, {"mel_bins": 32}), ("Small", settings)):
        with pytest.raises(ValueError, match=rf"y{ending} holds a Small_.* with \w+=.*, not a"):
            create_model(other, 3, weights=f"y{ending}", **overrides)


def test_a_tasks_classifier_goes_to_pytorch_and_back():
    task = {"hidden": (6, 4), "activation": "softmax"}
    network = create_model("Small", 3, **task)
    network.save("task.keras")
    convert("task.keras", "task.pth")
    assert {"fc_hidden1.weight", "fc_hidden2.bias"} <= set(read_torch_state("task.pth"))
    assert "hidden" in convert("task.pth", "back.keras")
    assert_equal(network, keras.saving.load_model("back.keras"))
    assert_equal(network, create_model("Small", 3, weights="task.pth", **task))
    with pytest.raises(ValueError, match="with activation='softmax', not a Small with"):
        create_model("Small", 3, weights="task.pth", hidden=(6, 4))


# published networks


def test_a_published_network(monkeypatch):
    data = content("Small", 527, ".pth")
    monkeypatch.setitem(zoo.PUBLISHED, "Small", zoo.PublishedFile("Small", "Small_mAP=0.123.pth"))
    zoo.cache_folder().mkdir()
    (zoo.cache_folder() / "Small_mAP=0.123.pth").write_bytes(data)
    assert convert("SMALL", "Small.keras").startswith("Small.keras: Small, 527 classes, ")
    assert files() == ["Small.keras"]
    network = keras.saving.load_model("Small.keras")
    assert_equal(network, filled("Small", 527))
    assert network.labels == list(audioset_classes().names)
    assert "put LeeNet11_mAP=0.266.pth into" in refusal("leenet11", error=OSError)
    assert refusal("VGGish").startswith("VGGish has no published checkpoint; these have one: ")


# refused before anything is read or downloaded


@pytest.mark.parametrize("source", ["x.pth", "x.keras", "leenet11"])
def test_an_impossible_output(source):
    for name in ("x.pth", "x.keras", "before.keras"):
        Path(name).write_bytes(b"not read")
    assert "before.keras exists; remove it, or add --force" in refusal(source, "before.keras")
    for ending in ("", ".h5", ".onnx"):
        assert refusal(source, f"out{ending}").startswith("--output must end in .keras, .weights")
    assert "the folder a/b does not exist" in refusal(source, "a/b/out.keras")
    Path("y.keras").mkdir()
    assert "is a folder" in refusal(source, "y.keras", force=True)


def test_an_existing_output_is_replaced_if_forced():
    convert(put("Small.pth"))
    for source in ("Small.pth", "Small.keras"):  # from itself, at last
        convert(source, force=True)
        assert_equal(keras.saving.load_model("Small.keras"), filled("Small"))
    assert files() == ["Small.keras", "Small.pth"]


def test_an_impossible_source():
    for source in ("absent.pth", "absent.keras", "no/where.safetensors"):
        assert refusal(source) == f"no such file: {source}"
    assert refusal("cnn15").startswith("unknown network 'cnn15'; did you mean Cnn14")
    for source in ("x.weights.h5", "x.onnx"):  # values alone do not say which network they are of
        Path(source).write_bytes(b"something")
        assert refusal(source).startswith("expected a network's name, a .pth, a .safetensors or")
    put("x.keras")
    put("mine.pth")
    for source in ("x.keras", "LeeNet11"):
        assert "--arch is for " in refusal(source, "y.weights.h5", arch="Small")
    assert "mine.pth does not tell which network it holds" in refusal("mine.pth")
    assert "mine.pth: this is no state of Small_5x5: missh" in refusal("mine.pth", arch="Small_5x5")
    Path("folder.pth").mkdir()
    assert "expected a network's name" in refusal("folder.pth")


def test_a_damaged_source():
    for source in (put("Small.pth"), put("x.keras")):
        data = Path(source).read_bytes()
        for part in (0.0, 0.5, 0.999):
            Path(source).write_bytes(data[: int(part * len(data))])
            assert refusal(source, "y.keras").startswith(f"{source} ")
    put("whole.keras")
    with zipfile.ZipFile("whole.keras") as old, zipfile.ZipFile("x.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"Small"', b'"Cnn15"'))
    with zipfile.ZipFile("x.keras") as archive:
        assert json.loads(archive.read("config.json"))["config"]["architecture"] == "Cnn15"
    assert "cannot be loaded: unknown network 'Cnn15'" in refusal("x.keras", "y.pth")
