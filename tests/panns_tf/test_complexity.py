"""Parameters and operations: the reference's, the paper's, and by hand."""

import pytest

from panns_tf.complexity import Complexity, complexity, count
from panns_tf.models.registry import find
from tests.support import read_json

MANIFEST = read_json("manifest")["architectures"]

#: Multiply-adds on a 10 s clip, counted in the reference: those of all convolutions, the two of
#: its Fourier transform included, and of the fully connected layers.
MULTIPLY_ADDS = {
    "Cnn6": 10_985_108_992,
    "Cnn10": 14_067_594_752,
    "Cnn14": 21_093_601_280,
    "Cnn14_no_specaug": 21_093_601_280,
    "Cnn14_no_dropout": 21_093_601_280,
    "Cnn14_mixup_time_domain": 21_093_601_280,
    "Cnn14_DecisionLevelMax": 21_093_601_280,
    "Cnn14_DecisionLevelAvg": 21_093_601_280,
    "Cnn14_DecisionLevelAtt": 21_159_438_336,
    "Cnn14_emb512": 21_089_646_080,
    "Cnn14_emb128": 21_088_657_280,
    "Cnn14_emb32": 21_088_410_080,
    "Cnn14_16k": 20_305_357_824,
    "Cnn14_8k": 20_108_040_704,
    "Cnn14_mel32": 11_075_274_752,
    "Cnn14_mel128": 41_130_254_336,
    "ResNet22": 15_015_006_208,
    "ResNet38": 24_442_753_024,
    "ResNet54": 27_177_439_232,
    "MobileNetV1": 1_791_247_360,
    "MobileNetV2": 1_393_653_248,
    "DaiNet19": 15_149_474_304,
    "LeeNet11": 2_352_344_640,
    "LeeNet24": 13_134_841_920,
    "Res1dNet31": 16_267_606_016,
    "Res1dNet51": 30_813_452_288,
    "Wavegram_Cnn14": 22_087_530_496,
    "Wavegram_Logmel_Cnn14": 26_717_409_280,
    "Wavegram_Logmel128_Cnn14": 49_973_518_336,
}


SHORT = ("Cnn6", "MobileNetV1", "MobileNetV2", "LeeNet11", "DaiNet19")


def test_the_table_equals_the_reference_and_the_paper():
    for network, reference in MANIFEST.items():
        stated = complexity(network)
        expected = reference["parameters"], reference["multi_adds_10s"], MULTIPLY_ADDS[network]
        assert stated == Complexity(*expected)
        if reference["multi_adds_paper"]:
            assert stated.parameters == reference["parameters_paper"]
            assert round(stated.operations, -6) == reference["multi_adds_paper"]
            assert stated.operations == pytest.approx(reference["multi_adds_paper"], rel=1e-3)


@pytest.mark.parametrize(
    "network", [pytest.param(n, marks=() if n in SHORT else pytest.mark.full) for n in MANIFEST]
)
def test_the_table_is_what_is_counted(network):
    assert count(find(network)) == complexity(network)


def test_the_paper_has_fifteen_networks():
    printed = [reference["multi_adds_paper"] for reference in MANIFEST.values()]
    assert len([figure for figure in printed if figure]) == 15
    assert set(MULTIPLY_ADDS) == set(MANIFEST)


def test_vggish_by_hand():
    # (positions in a patch, inputs, outputs) of each 3x3 convolution
    convolutions = [(96 * 64, 1, 64), (48 * 32, 64, 128), (24 * 16, 128, 256), (24 * 16, 256, 256)]
    convolutions += [(12 * 8, 256, 512), (12 * 8, 512, 512)]
    dense = [(6 * 4 * 512, 4096), (4096, 4096), (4096, 527)]
    frames, patches = 1001, 10
    parameters = 2 * 64  # bn0
    parameters += sum(9 * a * b + b for _, a, b in convolutions) + sum(a * b + b for a, b in dense)
    multiply_adds = 2 * frames * 513 * 1024  # the Fourier transform
    multiply_adds += patches * sum(n * 9 * a * b for n, a, b in convolutions)
    multiply_adds += sum(a * b for a, b in dense)
    biases = patches * sum(n * b for n, _, b in convolutions) + sum(b for _, b in dense)
    operations = 2 * multiply_adds + biases + 2 * frames * 64
    assert parameters == 73_776_015
    assert (
        complexity("VGGish")
        == count(find("VGGish"))
        == Complexity(parameters, operations, multiply_adds)
    )


def tiny_by_hand(
    frames: int = 1001, classes: int = 527, bins: int = 64, embedding: int = 8, window: int = 256
) -> Complexity:
    """Cnn14 with 4, 4, 4, 8, 8, 8 channels: six blocks of two convolutions, pools between."""
    parameters = 2 * bins
    multiply_adds, others = 2 * frames * (window // 2 + 1) * window, 2 * frames * bins
    width = 1
    for filters in (4, 4, 4, 8, 8, 8):
        for inputs in (width, filters):
            parameters += 9 * inputs * filters + 2 * filters
            multiply_adds += frames * bins * 9 * inputs * filters
            others += 2 * frames * bins * filters  # normalised
        width, frames, bins = filters, frames // 2, bins // 2
    for inputs, outputs in ((width, embedding), (embedding, classes)):
        parameters += inputs * outputs + outputs
        multiply_adds += inputs * outputs
        others += outputs
    return Complexity(parameters, 2 * multiply_adds + others, multiply_adds)


@pytest.mark.parametrize(
    ("arguments", "by_hand"),
    [
        ({}, {}),
        ({"seconds": 20.0}, {"frames": 2001}),
        ({"seconds": 60}, {"frames": 6001}),
        ({"seconds": 1.2345}, {"frames": 124}),
        ({"seconds": 0.001}, {"frames": 32}),  # extended to the shortest clip
        ({"num_classes": 10}, {"classes": 10}),
        ({"num_classes": 1}, {"classes": 1}),
        ({"mel_bins": 128}, {"bins": 128}),
        ({"embedding_size": 100}, {"embedding": 100}),
        ({"hop_size": 160}, {"frames": 501}),
        ({"window_size": 512}, {"window": 512}),
        ({"sample_rate": 16000}, {"frames": 2001}),
        ({"dropout": False, "spec_augment": False, "fmin": 20, "window": "hamming"}, {}),
        (
            {"seconds": 5.0, "num_classes": 4, "mel_bins": 32, "embedding_size": 3},
            {"frames": 501, "classes": 4, "bins": 32, "embedding": 3},
        ),
    ],
    ids=str,
)
def test_other_clips_classes_and_settings(arguments, by_hand):
    assert complexity("Tiny", **arguments) == tiny_by_hand(**by_hand)


def test_unused_parameters_grow_with_the_classes_where_they_do():
    # of each class: the two convolutions, their biases, and two of the unused normalisation
    few, more = (complexity("Thin_Cnn14_DecisionLevelAtt", num_classes=k) for k in (10, 11))
    assert more.parameters - few.parameters == 2 * (8 + 1) + 2
    few, more = (complexity("Thin_DaiNet19", num_classes=k) for k in (10, 11))
    assert more.parameters - few.parameters == 8 + 1


def test_a_longer_clip_is_more_work_for_the_same_network():
    ten, thirty = (complexity("LeeNet11", seconds) for seconds in (10, 30))
    assert thirty.parameters == ten.parameters
    dense = 256 * 512 + 512 * 527  # once, however long the clip is
    ratio = (thirty.multiply_adds - dense) / (ten.multiply_adds - dense)
    assert ratio == pytest.approx(3, rel=1e-3)


def test_names_are_found_as_by_create_model():
    assert complexity("tiny", 1) == complexity("Tiny", 1)
    with pytest.raises(ValueError, match="unknown network 'Cnn15'; did you mean Cnn14"):
        complexity("Cnn15")


def test_impossible_lengths_are_refused():
    for seconds in (0, -1, -0.5, 1e-6, float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="seconds must be above 0; received"):
            complexity("Tiny", seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes must be a whole number above 0; received 0"),
        ({"num_classes": 2.5}, "num_classes must be a whole number above 0; received 2.5"),
        ({"melbins": 64}, "unknown override 'melbins'"),
        ({"mel_bins": 31}, "needs at least 32 mel_bins"),
        ({"fmax": 4001}, "fmax"),
    ],
    ids=str,
)
def test_what_create_model_refuses_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        complexity("Tiny", **arguments)
