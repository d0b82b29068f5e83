import pytest

from panns_tf.complexity import complexity as count
from panns_tf.figures import complexity as figure
from panns_tf.models.registry import find
from panns_tf.run import read_runs
from tests.panns_tf.figures.synthetic import figure_of, overlaps, write_run


def complexity(*args, **settings):
    (chart,) = figure.complexity(*args, **settings)
    return chart


FIGURE_5 = {
    *("Cnn6", "Cnn10", "Cnn14", "ResNet22", "ResNet38", "ResNet54", "MobileNetV1", "MobileNetV2"),
    *("DaiNet19", "LeeNet11", "LeeNet24", "Res1dNet31", "Res1dNet51"),
    *("Wavegram_Cnn14", "Wavegram_Logmel_Cnn14"),
}


def test_the_papers_networks():
    chart = complexity()
    rows = {row["system"]: row for row in chart.rows}
    assert set(rows) == FIGURE_5
    assert rows["MobileNetV1"]["mAP"] == find("MobileNetV1").published_map
    # Table XII, in 10^9.
    for name, giga in (("Cnn14", 42.220), ("MobileNetV2", 2.810), ("Res1dNet51", 61.833)):
        assert rows[name]["operations"] / 1e9 == pytest.approx(giga, abs=0.001)
    figure = figure_of(chart)
    (axes,) = figure.axes
    assert {text.get_text() for text in axes.get_legend().get_texts()} == FIGURE_5
    assert overlaps(figure) == []
    drawn = {(line.get_color(), line.get_marker()) for line in axes.lines}
    assert len(drawn) == len(FIGURE_5)


def test_own_runs_on_other_data_have_a_panel_of_their_own(tmp_path):
    for seed, final in enumerate((0.5, 0.7)):
        write_run(tmp_path / f"a{seed}", "Cnn6", final, seed=seed)
    write_run(tmp_path / "b", "LeeNet11", 0.4, stop=300)
    write_run(tmp_path / "c", "MobileNetV1", 0.4, stop=0)
    write_run(tmp_path / "e", "Cnn99")
    chart = complexity(read_runs([tmp_path])[0])
    own = {row["system"]: row for row in chart.rows if row["source"] == "this project"}
    assert set(own) == {"Cnn6", "LeeNet11"}
    assert own["Cnn6"]["mAP"] == pytest.approx(0.6)
    assert (own["Cnn6"]["low"], own["Cnn6"]["high"], own["Cnn6"]["runs"]) == (0.5, 0.7, 2)
    assert own["Cnn6"]["operations"] == count("Cnn6", num_classes=3).operations
    assert own["LeeNet11"]["remark"] == "unfinished"
    assert {row["panel"] for row in own.values()} == {"d/eval (3 classes, 80 clips)"}
    assert {"b: unfinished: step 300 of 600", "c: without evaluation; left out"} <= set(chart.notes)
    assert any(note.startswith("e: left out: unknown network 'Cnn99'") for note in chart.notes)
    figure = figure_of(chart)
    assert len(figure.axes) == 2
    assert overlaps(figure) == []


def test_only_audiosets_evaluation_set_is_compared_with_the_paper(tmp_path):
    for number, (clips, data, classes, shared) in enumerate(
        [
            (18_887, "audioset/eval", 527, True),
            (400, "audioset/eval", 527, False),
            (18_887, "audioset/balanced_train", 527, False),
            (18_887, "other/eval", 3, False),
        ]
    ):
        labels = tuple(f"class {i}" for i in range(classes))
        run = write_run(tmp_path / str(number), clips=clips, eval_data=data, labels=labels)
        panels = {row["panel"] for row in complexity(read_runs([run])[0]).rows}
        assert (len(panels) == 1) == shared
