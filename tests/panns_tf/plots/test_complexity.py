import pytest

from panns_tf.complexity import complexity as count
from panns_tf.models.registry import find
from panns_tf.plots.complexity import complexity
from panns_tf.plots.runs import read_runs
from tests.panns_tf.plots.synthetic import write_run
from tests.panns_tf.plots.test_panels import overlaps

FIGURE_5 = {
    *("Cnn6", "Cnn10", "Cnn14", "ResNet22", "ResNet38", "ResNet54", "MobileNetV1", "MobileNetV2"),
    *("DaiNet19", "LeeNet11", "LeeNet24", "Res1dNet31", "Res1dNet51"),
    *("Wavegram_Cnn14", "Wavegram_Logmel_Cnn14"),
}


@pytest.fixture(scope="module")
def published():
    return complexity()


def test_the_papers_networks(published):
    rows = {row["system"]: row for row in published.rows}
    assert set(rows) == FIGURE_5
    assert rows["Cnn14"]["operations"] == count("Cnn14").operations
    assert rows["MobileNetV1"]["mAP"] == find("MobileNetV1").published_map
    # Table XII, in 10^9.
    for name, giga in (("Cnn14", 42.220), ("MobileNetV2", 2.810), ("Res1dNet51", 61.833)):
        assert rows[name]["operations"] / 1e9 == pytest.approx(giga, abs=0.001)
    figure = published.figure()
    assert len(figure.axes) == 1
    assert overlaps(figure) == []
    assert "a multiplication and an addition are two" in figure.axes[0].get_xlabel()


def test_own_runs_on_other_data_have_a_panel_of_their_own(tmp_path):
    for seed, final in enumerate((0.5, 0.7)):
        write_run(tmp_path / f"a{seed}", "Cnn6", final, seed=seed)
    write_run(tmp_path / "b", "LeeNet11", 0.4, stop=300)
    write_run(tmp_path / "c", "MobileNetV1", 0.4, stop=0)
    chart = complexity(read_runs([tmp_path])[0])
    own = {row["system"]: row for row in chart.rows if row["source"] == "this project"}
    assert set(own) == {"Cnn6", "LeeNet11"}
    assert own["Cnn6"]["mAP"] == pytest.approx(0.6)
    assert (own["Cnn6"]["low"], own["Cnn6"]["high"], own["Cnn6"]["runs"]) == (0.5, 0.7, 2)
    assert own["Cnn6"]["operations"] == count("Cnn6", num_classes=3).operations
    assert own["LeeNet11"]["remark"] == "unfinished"
    assert {row["panel"] for row in own.values()} == {"d/eval (3 classes, 80 clips)"}
    assert {"b: unfinished: step 300 of 600", "c: without evaluation; left out"} <= set(chart.notes)
    figure = chart.figure()
    assert len(figure.axes) == 2
    assert overlaps(figure) == []


@pytest.mark.parametrize(
    ("clips", "data", "classes", "shared"),
    [
        (18_887, "audioset/eval", 527, True),
        (400, "audioset/eval", 527, False),
        (18_887, "audioset/balanced_train", 527, False),
        (18_887, "other/eval", 3, False),
    ],
)
def test_only_audiosets_evaluation_set_is_compared_with_the_paper(
    clips, data, classes, shared, tmp_path
):
    labels = tuple(f"class {i}" for i in range(classes))
    write_run(tmp_path / "a", clips=clips, eval_data=data, labels=labels)
    panels = {row["panel"] for row in complexity(read_runs([tmp_path])[0]).rows}
    assert (len(panels) == 1) == shared


def test_a_network_of_another_version_is_named(tmp_path):
    write_run(tmp_path / "a", "Cnn99")
    chart = complexity(read_runs([tmp_path])[0])
    assert any(note.startswith("a: left out: unknown network 'Cnn99'") for note in chart.notes)
