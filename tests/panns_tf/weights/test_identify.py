"""Networks told by their entries: names and shapes, as the manifest of the reference has them."""

import functools

import numpy as np
import pytest

from panns_tf.models import ARCHITECTURES, blueprint, create_model
from panns_tf.weights import identify
from panns_tf.weights.identify import classes_of, networks_of, shapes_of
from panns_tf.weights.state_dict import entry_shapes, to_torch_state
from tests.support import THIN, TINY, read_json

#: In one process, as the shapes of all networks take some seconds.

MANIFEST = read_json("manifest")["architectures"]
PAPER = [name for name in ARCHITECTURES if name not in {row.name for row in (*TINY, *THIN)}]
FRONT_END = ("spectrogram_extractor.", "logmel_extractor.")
COUNTER = "num_batches_tracked"

#: The networks that differ in nothing that a checkpoint holds.
ALIKE = [
    *("Cnn14", "Cnn14_no_specaug", "Cnn14_no_dropout", "Cnn14_mixup_time_domain"),
    *("Cnn14_DecisionLevelMax", "Cnn14_DecisionLevelAvg"),
]
#: Those that differ from these in the constants of their front end only.
OTHER_RATES = ["Cnn14_16k", "Cnn14_8k"]
#: The first and the last modules that no output depends on, which a file may lack.
UNUSED = {
    "Wavegram_Cnn14": ("bn0.", "conv_block1."),
    "DaiNet19": ("conv_block1.downsample.", "conv_block1.bn_downsample."),
    "Cnn14_DecisionLevelAtt": ("att_block.bn_att.",),
}


class Shapes(dict):
    """A state dict whose arrays are not to be read."""

    def shape(self, name: str) -> tuple[int, ...]:
        return super().__getitem__(name)

    def __getitem__(self, name: str):
        raise AssertionError(f"{name} was read")

    def without(self, *prefixes: str) -> "Shapes":
        return Shapes({k: v for k, v in self.items() if not k.startswith(prefixes)})


@functools.cache
def shapes_with_527(name: str) -> tuple[dict, dict]:
    return entry_shapes(blueprint(name))


def with_classes(shapes: dict, num_classes: int) -> dict:
    """The shapes with another number of classes; 527 is no other size of any network."""
    return {k: tuple(num_classes if n == 527 else n for n in shape) for k, shape in shapes.items()}


def known_shapes(name: str, num_classes: int) -> tuple[dict, dict]:
    required, optional = shapes_with_527(name)
    return with_classes(required, num_classes), with_classes(optional, num_classes)


@pytest.fixture(autouse=True)
def _paper(monkeypatch):
    """The table without the small networks, each looked at once: else a test takes seconds."""
    monkeypatch.setattr(identify, "ARCHITECTURES", {name: ARCHITECTURES[name] for name in PAPER})
    monkeypatch.setattr(identify, "blueprint", lambda *of: of)
    monkeypatch.setattr(identify, "entry_shapes", lambda of: known_shapes(*of))


def state_of(name: str, num_classes: int = 527) -> Shapes:
    """What a checkpoint of a network holds, from the manifest where that has the network."""
    if name in MANIFEST:
        shapes = {key: tuple(shape) for key, shape, _ in MANIFEST[name]["state"]}
    else:
        required, optional = shapes_with_527(name)
        shapes = {**required, **optional}
    return Shapes(with_classes(shapes, num_classes))


def owners(name: str, *also: str) -> list[str]:
    return [other for other in PAPER if other in (*also, *(ALIKE if name in ALIKE else [name]))]


@pytest.mark.parametrize("num_classes", [527, 12])
@pytest.mark.parametrize("network", PAPER)
def test_every_network_is_told_from_those_with_other_entries(network, num_classes):
    state = state_of(network, num_classes)
    assert networks_of(state) == owners(network)
    assert classes_of(shapes_of(state)) == num_classes


@pytest.mark.parametrize("network", ["Cnn14_DecisionLevelAtt", "LeeNet11"])
def test_the_classes_change_no_other_shapes(network):
    assert entry_shapes(blueprint(network, 12)) == known_shapes(network, 12)


@pytest.mark.parametrize("network", PAPER)
def test_counters_do_not_matter(network):
    state = state_of(network)
    counters = [key for key in state if key.endswith(COUNTER)]
    assert bool(counters) == (network in MANIFEST)
    assert networks_of(state.without(*counters)) == owners(network)


@pytest.mark.parametrize("network", PAPER)
def test_without_constants_the_rates_are_alike(network):
    bare = state_of(network).without(*FRONT_END)
    cnn14 = [*ALIKE, *OTHER_RATES]
    assert networks_of(bare) == owners(network, *(cnn14 if network in cnn14 else []))


@pytest.mark.parametrize("part", ["spectrogram_extractor.", "logmel_extractor."])
def test_either_kind_of_constants_tells_the_rate(part):
    for network in (*OTHER_RATES, "Cnn14"):
        assert networks_of(state_of(network).without(part)) == owners(network)


@pytest.mark.parametrize("network", UNUSED)
def test_unused_modules_may_be_missing_in_part_or_whole(network):
    state = state_of(network)
    for prefixes in (UNUSED[network], UNUSED[network][:1]):
        fewer = state.without(*prefixes)
        assert len(fewer) < len(state)
        assert networks_of(fewer) == [network]


@pytest.mark.parametrize("network", ["Cnn6", "Cnn14_DecisionLevelAtt", "MobileNetV2", "VGGish"])
def test_entries_of_no_network(network):
    state = state_of(network)
    assert networks_of(state) == [network]
    first = "bn0.weight"
    lack = state.without(first)
    assert networks_of(lack) == []
    assert networks_of(Shapes({**state, "fc9.weight": (3,)})) == []
    for shape in ((63,), (64, 1), (), (65,)):
        assert networks_of(Shapes({**state, first: shape})) == []
    renamed = Shapes({**lack, "bn1.weight": state.shape(first)})
    assert networks_of(renamed) == []


def test_the_constants_must_fit_too():
    state = state_of("Cnn6")
    wrong = {"logmel_extractor.melW": (513, 32)}
    assert networks_of(Shapes({**state, **wrong})) == []


@pytest.mark.parametrize("shape", [(), (0,), (0, 512), (527,), (527, 512, 1), (527, 511)])
def test_no_classifier_no_network(shape):
    state = state_of("Cnn6")
    assert networks_of(Shapes({**state, "fc_audioset.weight": shape})) == []
    assert networks_of(state.without("fc_audioset.")) == []


@pytest.mark.parametrize("state", [{}, {"weight": np.zeros(3)}, {"bn0.num_batches_tracked": 3}])
def test_other_dicts(state):
    assert networks_of(state) == []
    assert classes_of(shapes_of(state)) is None


def test_classes():
    assert classes_of({"fc_audioset.weight": (7, 2048), "fc1.weight": (9, 9)}) == 7
    assert classes_of({"att_block.cla.weight": (5, 2048, 1), "att_block.att.weight": (6, 1)}) == 5
    assert classes_of({"fc1.weight": (7, 2048)}) is None
    assert classes_of({"fc_audioset.weight": ()}) is None


def test_parts_that_disagree_on_the_classes_are_of_no_network():
    state = state_of("Cnn14_DecisionLevelAtt")
    assert networks_of(Shapes({**state, "att_block.att.bias": (526,)})) == []
    assert networks_of(Shapes({**state, "att_block.bn_att.weight": (526,)})) == []


def test_shapes_of_arrays():
    state = {"a": np.zeros((2, 3)), "b": np.float32(1), "bn.num_batches_tracked": np.array(1)}
    assert shapes_of(state) == {"a": (2, 3), "b": ()}


def test_a_real_state_dict(monkeypatch):
    monkeypatch.undo()
    table = {name: ARCHITECTURES[name] for name in ("Thin_Cnn6", "Tiny")}
    monkeypatch.setattr(identify, "ARCHITECTURES", table)
    state = to_torch_state(create_model("Tiny", num_classes=3))
    assert networks_of(state) == ["Tiny"]
    assert networks_of({**state, "bn0.weight": np.zeros(63, "float32")}) == []
