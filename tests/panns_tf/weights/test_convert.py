"""Files made from files: PyTorch's to Keras' and back, bit for bit or not at all."""

import functools
import hashlib
import json
import pickletools
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from panns_tf.models import ARCHITECTURES, Network, create_model
from panns_tf.weights import convert as module
from panns_tf.weights import identify, zoo
from panns_tf.weights.convert import convert
from panns_tf.weights.state_dict import COUNTER, to_torch_state
from panns_tf.weights.torch_checkpoint import read_torch_state
from panns_tf.weights.torch_writer import write_torch_state
from tests.small import SMALL, assert_same, filled, use_short_table
from tfrecords.classes import audioset_classes

#: Two and one dimensions, with biases, and with modules that no output depends on.
KINDS = ("Small", "Small_DaiNet", "Thin_VGGish")


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    # Without the one that shares Small's entries and is another graph.
    alike = {name: row for name, row in SMALL.items() if "Decision" not in name}
    use_short_table(monkeypatch, tmp_path, alike)
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
    assert network.row == other.row
    assert_same(network, other)


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def refusal(*arguments, error: type[Exception] = ValueError, **more) -> str:
    """The one line that says why nothing is converted; no file may come, go or change."""
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    with pytest.raises(error) as caught:
        convert(*arguments, **more)
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before
    assert str(caught.value).isprintable()
    return str(caught.value)


# there


@pytest.mark.parametrize("ending", [".pth", ".pt"])
def test_a_checkpoint_becomes_a_keras_file_here(ending):
    Path("runs").mkdir()
    said = convert(put(f"runs/mine{ending}"))
    # normalisations, convolutions, the two dense layers
    parameters = sum(int(np.prod(v.shape)) for v in filled("Small").trainable_variables)
    assert said == f"mine.keras: Small, 3 classes, {parameters:,} parameters"
    assert files() == ["mine.keras", "runs"]
    network = keras.saving.load_model("mine.keras")
    assert_equal(network, filled("Small"))
    assert network.labels is None
    assert network.num_classes == 3


def test_a_checkpoint_becomes_a_weights_file():
    put("x.pth")
    said = convert(Path("x.pth"), Path("y.weights.h5"))
    assert said.startswith("y.weights.h5: Small, 3 classes, ")
    assert files() == ["x.pth", "y.weights.h5"]
    assert_equal(create_model("Small", 3, weights="y.weights.h5"), filled("Small"))


def test_a_bare_state_dict_without_constants_is_enough():
    state = to_torch_state(filled("Small"))
    needed = {k: v for k, v in state.items() if "extractor" not in k and not k.endswith(COUNTER)}
    write_torch_state("x.pth", needed)
    convert("x.pth")
    assert_equal(keras.saving.load_model("x.keras"), filled("Small"))


@pytest.mark.parametrize("num_classes", [3, 526])
def test_other_classes_have_no_labels(num_classes):
    convert(put("x.pth", "Small", num_classes))
    network = keras.saving.load_model("x.keras")
    assert network.num_classes == num_classes
    assert network.labels is None


def test_527_classes_are_audiosets():
    said = convert(put("x.pth", "Small", 527))
    assert ": Small, 527 classes, " in said
    network = keras.saving.load_model("x.keras")
    assert network.labels == list(audioset_classes().names)
    assert network.labels[:2] == ["Speech", "Male speech, man speaking"]


# and back


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_bit_for_bit(kind):
    put("a.keras", kind)
    assert convert("a.keras", "b.pth").startswith(f"b.pth: {kind}, 3 classes, ")
    assert convert("b.pth", "c.keras", arch=kind).startswith(f"c.keras: {kind}, 3 classes, ")
    assert_equal(keras.saving.load_model("c.keras"), filled(kind))
    state, expected = read_torch_state("b.pth"), to_torch_state(filled(kind))
    assert list(state) == list(expected)
    for name, array in expected.items():
        assert state[name].dtype == array.dtype
        np.testing.assert_array_equal(state[name], array)


def test_the_state_is_where_the_reference_looks_for_it():
    """It loads ``checkpoint["model"]``; `read_torch_state` would find it elsewhere too."""
    convert(put("x.keras"), "net.pth")
    with zipfile.ZipFile("net.pth") as archive:
        (pickled,) = (archive.read(name) for name in archive.namelist() if name.endswith(".pkl"))
    strings = [argument for _, argument, _ in pickletools.genops(pickled) if type(argument) is str]
    at = strings.index("model")
    assert strings[at + 1] == next(iter(to_torch_state(filled("Small"))))


def test_equal_networks_make_equal_files():
    """Whoever converts a network, the checkpoint is the one that `write_torch_state` makes."""
    put("a.keras")
    Path("there").mkdir()
    convert("a.keras", "there/net.pth")
    network = filled("Small")
    write_torch_state("net.pth", {**identify.describe(network), "model": to_torch_state(network)})
    with zipfile.ZipFile("there/net.pth") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"archive"}
    assert Path("there/net.pth").read_bytes() == Path("net.pth").read_bytes()


@pytest.mark.parametrize("output", ["y.keras", "y.weights.h5"])
def test_a_keras_file_may_become_another(output):
    network = create_model("Small", 3)
    network.labels = ["a", "b", "c"]
    network.save("x.keras")
    convert("x.keras", output)
    copy = create_model("Small", 3, weights=output)
    assert_equal(copy, network)
    assert copy.labels == (network.labels if output == "y.keras" else None)


# which network


def test_the_network_is_told_by_its_entries():
    assert ": Small_5x5, 3 classes" in convert(put("Cnn14_mAP=0.431.pth", "Small_5x5"))


@pytest.mark.parametrize(
    ("file", "network"),
    [
        ("Small_DecisionLevelMax_mAP=0.385.pth", "Small_DecisionLevelMax"),
        ("SMALL_NO_SPECAUG_mAP=0.4.pth", "Small_no_specaug"),
        ("small_decisionlevelmax.pth", "Small_DecisionLevelMax"),
        ("Small_DecisionLevelMax.pt", "Small_DecisionLevelMax"),
    ],
)
def test_among_several_the_files_name_decides(file, network, monkeypatch):
    monkeypatch.setattr(identify, "ARCHITECTURES", SMALL)
    assert f": {network}, 3 classes" in convert(put(file), "x.weights.h5")


@pytest.mark.parametrize("file", ["Small_5x5_mAP=0.343.pth", "mine.pth"])
def test_networks_that_compute_other_things_are_not_guessed(file, monkeypatch):
    monkeypatch.setattr(identify, "ARCHITECTURES", SMALL)
    message = refusal(put(file), "x.keras")
    assert "has the entries of Small, Small_no_specaug, Small_DecisionLevelMax" in message
    assert ": Small_DecisionLevelMax, 3" in convert(file, "x.keras", "Small_DecisionLevelMax")


@pytest.mark.parametrize("network", ["Small_DecisionLevelMax", "Small_no_specaug"])
def test_a_checkpoint_written_here_says_what_it_is(network, monkeypatch):
    monkeypatch.setattr(identify, "ARCHITECTURES", SMALL)
    settings = {"hop_size": 100, "mel_bins": 32}
    original = create_model(network, 3, **settings)
    original.save("x.keras")
    convert("x.keras", "y.pth")
    convert("y.pth", "z.keras")
    assert_equal(create_model(network, 3, weights="z.keras", **settings), original)
    assert_equal(create_model(network, 3, weights="y.pth", **settings), original)
    with pytest.raises(ValueError, match=r"y.pth holds a Small_.* with Frontend"):
        create_model(network, 3, weights="y.pth", mel_bins=32)
    with pytest.raises(ValueError, match=r"y.pth holds a Small_.* not a "):
        create_model("Small_5x5", 3, weights="y.pth")


@pytest.mark.parametrize("network", zoo.PUBLISHED)
def test_published_names_say_which_network_it_is(network, monkeypatch):
    monkeypatch.setattr(module, "networks_of", lambda state: list(ARCHITECTURES))
    file = zoo.PUBLISHED[network].file
    for name in (file, file.replace("=", "%3D"), file.replace(".pth", " (1).pth")):
        assert module._network_of(Path("folder", name), {}) == network


@pytest.mark.parametrize("arch", ["Small_no_specaug", "small-NO-specaug"])
def test_a_given_network_is_taken(arch):
    path = put("Small_DecisionLevelMax_mAP=0.385.pth")
    assert ": Small_no_specaug, 3" in convert(path, "x.weights.h5", arch=arch)


def test_a_wrong_network_is_refused():
    path = put("x.pth")
    message = refusal(path, arch="Small_5x5")
    assert message.startswith("x.pth holds a Small or Small_no_specaug,")
    assert message.endswith(" not a Small_5x5; create that network to load it")
    assert refusal(path, arch="Cnn15").startswith("unknown network 'Cnn15'; the nearest are: ")


def test_a_file_of_no_network_and_how_it_differs():
    state = to_torch_state(filled("Small"))
    state["fc9.bias"] = state.pop("fc1.bias")
    state["bn0.bias"] = state["bn0.bias"][1:]
    write_torch_state("x.pth", {"model": state})
    message = refusal("x.pth")
    assert message.startswith("x.pth is of no network of the table; name the nearest with --arch")
    message = refusal("x.pth", arch="Small")
    for difference in (
        "x.pth: this is no state of Small: ",
        "missing: fc1.bias",
        "unknown: fc9.bias",
        "misshapen: bn0.bias is (63,), expected (64,)",
    ):
        assert difference in message


def test_a_file_without_a_classifier():
    write_torch_state("x.pth", {"model": {"weight": np.zeros(3, "float32")}})
    assert "is of no network of the table" in refusal("x.pth")
    assert "missing: fc_audioset.weight" in refusal("x.pth", arch="Small")


@pytest.mark.parametrize("source", ["x.keras", "LeeNet11"])
def test_a_network_is_named_for_pytorchs_files_only(source):
    put("x.keras")
    assert refusal(source, "y.weights.h5", arch="Small").startswith("--arch is for .pth files; ")


# refused before anything is read or downloaded


@pytest.mark.parametrize("source", ["x.pth", "x.keras", "leenet11"])
def test_an_existing_output_is_kept(source):
    Path("x.pth").write_bytes(b"not read")
    for output in ("x.keras", "LeeNet11.keras", "out.keras"):
        Path(output).write_bytes(b"before")
    for output in (None, "out.keras"):
        assert refusal(source, output).endswith(
            "keras exists; remove it, or add --force to replace it"
        )


def test_an_existing_output_is_replaced_if_forced():
    put("x.pth")
    Path("x.keras").write_bytes(b"before")
    convert("x.pth", force=True)
    assert_equal(keras.saving.load_model("x.keras"), filled("Small"))
    convert("x.keras", force=True)  # from itself
    assert_equal(keras.saving.load_model("x.keras"), filled("Small"))
    assert files() == ["x.keras", "x.pth"]


@pytest.mark.parametrize("source", ["x.pth", "x.keras", "leenet11"])
@pytest.mark.parametrize("ending", ["", ".h5", ".npz", ".keras.gz", ".onnx"])
def test_an_unknown_ending_of_the_output(source, ending):
    message = refusal(source, f"out{ending}")
    assert message == f"--output must be a .keras, .weights.h5 or .pth file; received out{ending}"


@pytest.mark.parametrize("source", ["x.pth", "x.keras", "leenet11"])
def test_a_missing_folder(source):
    message = refusal(source, "a/b/out.keras")
    assert message == "the folder a/b does not exist; create it first"


@pytest.mark.parametrize(("source", "output"), [("x.pth", "y.pth"), ("x.pt", "y.pth")])
def test_pytorch_to_pytorch(source, output):
    put(source)
    assert refusal(source, output) == "a .pth is made from a .keras file or a published network"


# sources


@pytest.mark.parametrize("source", ["absent.pth", "absent.keras", "no/where.pt"])
def test_a_missing_source(source):
    assert refusal(source) == f"no such file: {source}"


def test_an_unknown_name():
    assert refusal("cnn15").startswith("unknown network 'cnn15'; the nearest are: ")


@pytest.mark.parametrize("source", ["x.weights.h5", "x.onnx"])
def test_another_file_is_no_name(source):
    """Its values alone do not say which network they are of."""
    Path(source).write_bytes(b"something")
    message = refusal(source)
    assert ".pth" in message
    assert ".keras" in message


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("source", ["x.pth", "x.keras"])
def test_a_truncated_source(source, part):
    put("x.pth")
    put("x.keras")
    data = Path(source).read_bytes()
    Path(source).write_bytes(data[: int(part * len(data))])
    assert refusal(source, "y.keras").startswith(f"{source} ")


class Unknown(keras.layers.Layer):
    """Is known to no reader of a saved file."""

    def call(self, x):
        return x


def test_a_keras_file_of_something_else():
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save("x.keras")
    assert refusal("x.keras", "y.pth").startswith("x.keras holds no network of this project but ")
    keras.Sequential([keras.Input((3,)), Unknown(), keras.layers.Dense(2)]).save("x.keras")
    assert refusal("x.keras", "y.pth").startswith("x.keras cannot be loaded: ")


def test_a_keras_file_of_a_network_that_is_not_in_the_table():
    put("whole.keras")
    with zipfile.ZipFile("whole.keras") as old, zipfile.ZipFile("x.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"Small"', b'"Cnn15"'))
    with zipfile.ZipFile("x.keras") as archive:
        assert json.loads(archive.read("config.json"))["config"]["architecture"] == "Cnn15"
    assert refusal("x.keras", "y.pth").startswith(
        "x.keras cannot be loaded: unknown network 'Cnn15'"
    )


@pytest.mark.parametrize("fault", [EOFError(), RuntimeError("two\nlines"), KeyError("x")])
def test_whatever_keras_raises_is_one_line(fault, monkeypatch):
    def load_model(path, **settings):
        raise fault

    Path("x.keras").write_bytes(b"something")
    monkeypatch.setattr(keras.saving, "load_model", load_model)
    assert refusal("x.keras", "y.pth").startswith("x.keras cannot be loaded: ")


# failures while writing


@pytest.mark.parametrize(
    ("output", "there", "fault"),
    [
        ("y.keras", False, OSError(28, "No space left on device")),
        ("y.weights.h5", True, OSError(28, "No space left on device")),
        ("y.pth", False, OSError(28, "No space left on device")),
        ("y.pth", True, KeyboardInterrupt()),
    ],
)
def test_no_part_is_left_and_what_was_there_stays(output, there, fault, monkeypatch):
    put("x.keras")
    if there:
        Path(output).write_bytes(b"before")
    begun = []

    def fail(*arguments, **more):
        path = next(Path(argument) for argument in arguments if isinstance(argument, str | Path))
        begun.append(path.resolve())
        path.write_bytes(b"a part")
        raise fault

    monkeypatch.setattr(Network, "save", fail)
    monkeypatch.setattr(Network, "save_weights", fail)
    monkeypatch.setattr(module, "write_torch_state", fail)
    refusal("x.keras", output, force=there, error=type(fault))
    assert len(begun) == 1
    assert begun[0] != Path(output).resolve()


def test_an_output_that_is_a_folder():
    put("x.keras")
    Path("y.keras").mkdir()
    assert "is a folder" in refusal("x.keras", "y.keras", force=True)


# published networks


@pytest.fixture
def published(monkeypatch):
    """Publishes a small network, and puts its file into the cache."""
    data = content("Small", 527, ".pth")
    facts = {"md5": hashlib.md5(data).hexdigest(), "size": len(data)}
    row = zoo.PublishedFile("Small", "Small_mAP=0.123.pth", **facts)
    monkeypatch.setitem(zoo.PUBLISHED, "Small", row)
    zoo.cache_folder().mkdir()
    path = zoo.cache_folder() / row.file
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("typed", ["Small", "SMALL"])
def test_a_published_network(typed, published):
    said = convert(typed)
    assert said.startswith("Small.keras: Small, 527 classes, ")
    assert files() == ["Small.keras"]
    network = keras.saving.load_model("Small.keras")
    assert_equal(network, filled("Small", 527))
    assert network.labels == list(audioset_classes().names)


def test_a_published_network_as_pytorchs_file(published):
    convert("Small", "x.pth")
    state = read_torch_state("x.pth")
    for name, array in to_torch_state(filled("Small", 527)).items():
        np.testing.assert_array_equal(state[name], array)


def test_another_file_in_the_cache(published):
    published.write_bytes(published.read_bytes()[:-1])
    assert refusal("Small").startswith(f"{published} is not the published file: ")


def test_a_published_network_without_a_network(capsys):
    message = refusal("leenet11", error=OSError)
    for part in (
        "http://127.0.0.1:9/LeeNet11_mAP%3D0.266.pth",
        "put LeeNet11_mAP=0.266.pth into",
        str(zoo.cache_folder()),
    ):
        assert part in message
    assert files() == []


def test_a_network_without_a_published_put():
    message = refusal("VGGish")
    assert message.startswith("VGGish has no published checkpoint; these have one: Cnn6, Cnn10, ")


def test_a_tasks_classifier_goes_to_pytorch_and_back():
    task = {"hidden": (6, 4), "activation": "softmax"}
    network = create_model("Small", 3, **task)
    network.save("task.keras")
    convert("task.keras", "task.pth")
    state = read_torch_state(Path("task.pth"))
    assert {"fc_hidden1.weight", "fc_hidden2.bias"} <= set(state)
    assert "hidden" in convert("task.pth", "back.keras")
    back = keras.saving.load_model("back.keras")
    assert_equal(network, back)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 20000)).astype("float32")
    np.testing.assert_array_equal(back(sound)["clipwise_output"], network(sound)["clipwise_output"])
    loaded = create_model("Small", 3, weights="task.pth", **task)
    assert_equal(network, loaded)
    with pytest.raises(ValueError, match="trained with activation='softmax'; expected 'sigmoid'"):
        create_model("Small", 3, weights="task.pth", hidden=(6, 4))
