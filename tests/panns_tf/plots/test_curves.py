import pytest

from panns_tf.plots.curves import curves
from panns_tf.plots.held_out import partition
from panns_tf.plots.lines import thinned
from panns_tf.plots.runs import read_runs
from tests.panns_tf.plots.synthetic import write_run


def read(folder):
    return read_runs([folder])[0]


def last(chart) -> dict:
    """The last row of each line of each panel."""
    return {(row["panel"], row["line"]): row for row in chart.rows}


def test_seeds_are_one_line_with_mean_and_range(tmp_path):
    for seed, final in enumerate((0.3, 0.4, 0.8)):
        write_run(tmp_path / f"a{seed}", final=final, seed=seed)
    write_run(tmp_path / "b", "Cnn6", final=0.2)
    chart = curves(read(tmp_path))
    found = last(chart)
    assert list(found) == [("Architecture", "Cnn6"), ("Architecture", "Cnn14")]
    row = found["Architecture", "Cnn14"]
    assert (row["step"], row["runs"], row["low"], row["high"]) == (600, 3, 0.3, 0.8)
    assert row["mean"] == pytest.approx(0.5)
    assert len(chart.rows) == 12
    texts = [text.get_text() for text in chart.figure().axes[0].texts]
    assert texts == ["Cnn6", "Cnn14 (3 seeds)"]
    assert chart.notes == ()


def test_copies_of_a_run_are_not_taken_for_seeds(tmp_path):
    for name in "ab":
        write_run(tmp_path / name, seed=3)
    write_run(tmp_path / "c", "Cnn6")
    texts = [text.get_text() for text in curves(read(tmp_path)).figure().axes[0].texts]
    assert sorted(texts) == ["Cnn14 (2 runs of 1 seed)", "Cnn6"]


def test_the_lines_are_the_numbers_of_the_rows(tmp_path):
    write_run(tmp_path / "a", final=0.6)
    chart = curves(read(tmp_path))
    (line, *_) = chart.figure().axes[0].lines
    assert list(line.get_xdata()) == [row["step"] for row in chart.rows]
    assert list(line.get_ydata()) == [row["mean"] for row in chart.rows]


def test_an_unfinished_seed_is_named_and_not_in_the_mean(tmp_path):
    write_run(tmp_path / "a", final=0.4)
    write_run(tmp_path / "b", final=0.1, seed=1, stop=300)
    chart = curves(read(tmp_path))
    assert [row["mean"] for row in chart.rows][-1] == 0.4
    assert {row["runs"] for row in chart.rows} == {1}
    assert any(note.startswith("b: unfinished: step 300 of 600") for note in chart.notes)


def test_a_setting_that_is_only_begun_is_marked(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", stop=300)
    chart = curves(read(tmp_path))
    assert last(chart)["Architecture", "Cnn6"]["state"] == "unfinished"
    texts = [text.get_text() for text in chart.figure().axes[0].texts]
    assert texts == ["Cnn6 (unfinished, 50 %)", "Cnn14"]


def test_a_run_without_evaluation_is_left_out_and_named(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", stop=0)
    chart = curves(read(tmp_path))
    assert {row["line"] for row in chart.rows} == {"Cnn14"}
    assert "b: no mAP on held-out data; left out" in chart.notes
    with pytest.raises(ValueError, match="none of the 2 runs has d-prime on held-out data"):
        curves(read(tmp_path), metric="d_prime")
    with pytest.raises(ValueError, match="none of the 2 runs has mAP on training data"):
        curves(read(tmp_path), split="training")


def figure4(folder):
    write_run(folder / "base")
    write_run(folder / "cnn6", "Cnn6", final=0.1)
    write_run(folder / "resnet", "ResNet22", final=0.2)
    write_run(folder / "plain", sampling="shuffled", mixup="none", final=0.3)
    write_run(folder / "emb", "Cnn14_emb32", final=0.35)
    write_run(folder / "8k", "Cnn14_8k", final=0.36)
    write_run(folder / "mel", mel_bins=32, final=0.37)
    write_run(folder / "half", fraction=0.5, final=0.38)


def test_panels_around_the_common_settings(tmp_path):
    figure4(tmp_path)
    chart = curves(read(tmp_path))
    by_panel: dict[str, list[str]] = {}
    for panel, line in last(chart):
        by_panel.setdefault(panel, []).append(line)
    assert by_panel == {
        "Architecture": ["Cnn6", "Cnn14", "ResNet22"],
        "Balancing and augmentation": ["balanced, mixup", "no balancing, no mixup"],
        "Embedding size": ["embedding 32", "embedding 2048"],
        "Training data": ["50 % of the clips", "100 % of the clips"],
        "Sample rate": ["8 kHz", "32 kHz"],
        "Mel bins": ["32 mel bins", "64 mel bins"],
    }
    figure = chart.figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(by_panel)
    common = {"Cnn14", "balanced, mixup", "embedding 2048", "100 % of the clips", "32 kHz"}
    texts = [text for axes in figure.axes for text in axes.texts]
    colours = {text.get_color() for text in texts if text.get_text() in common}
    assert len(colours) == 1  # the common settings look alike in every panel
    assert len({text.get_color() for text in texts}) > 1


def test_by_one_setting_leaves_the_others_out(tmp_path):
    figure4(tmp_path)
    chart = curves(read(tmp_path), by=["fraction"])
    assert list(last(chart)) == [
        ("Training data", "50 % of the clips"),
        ("Training data", "100 % of the clips"),
    ]
    assert "8k: left out, as it differs in sample_rate too" in chart.notes
    with pytest.raises(
        ValueError,
        match="--by colour: no run has such a setting; the runs differ in arch, sampling, ",
    ):
        curves(read(tmp_path), by=["colour"])


def test_runs_that_differ_in_several_ways_share_one_panel(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", fraction=0.5)
    chart = curves(read(tmp_path))
    assert [line for _, line in last(chart)] == [
        "Cnn6, 50 % of the clips",
        "Cnn14, 100 % of the clips",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clips": 90}, "held-out data of 80 and 90 clips"),
        ({"labels": ("dog", "cat", "cow")}, "different classes, 'rain & wind' and 'cat' first"),
        ({"labels": ("a", "b")}, "3 and 2 classes"),
        ({"eval_data": "d/fold5"}, "held-out data d/eval and d/fold5"),
    ],
    ids=["clips", "names", "number", "folder"],
)
def test_runs_on_other_data_share_no_panel(changes, said, tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", **changes)
    runs = read(tmp_path)
    with pytest.raises(ValueError, match=f"^a and b cannot share a panel: {said}"):
        curves(runs)
    assert len(partition(runs)) == 2


def test_losses_do_not_depend_on_held_out_data(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", clips=90)
    assert len(curves(read(tmp_path), metric="loss").rows) == 12


def test_copies_of_held_out_data_are_taken_for_the_same_and_that_is_said(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", eval_data="/elsewhere/eval")
    (note,) = curves(read(tmp_path)).notes
    assert note.startswith("held-out data d/eval and //elsewhere/eval are taken for the same") or (
        note.startswith("held-out data d/eval and /")
    )


def test_indices_decide_where_they_are_within_reach(tmp_path):
    for name, checksum in (("x", "1"), ("y", "1"), ("z", "2")):
        (tmp_path / name / "eval").mkdir(parents=True)
        (tmp_path / name / "eval/dataset.json").write_text(f'{{"index_sha256": "{checksum}"}}')
        write_run(tmp_path / "runs" / name, eval_data=str(tmp_path / name / "eval"))
    assert [[r.name for r in s] for s in partition(read(tmp_path / "runs"))] == [["x", "y"], ["z"]]


def test_many_losses_are_averaged():
    curve = {step: float(step % 2) for step in range(1, 1001)}
    few = thinned(curve, most=100)
    assert len(few) == 100
    assert list(few)[-1] == 1000
    assert set(few.values()) == {0.5}
    assert thinned({1: 2.0, 2: 3.0}) == {1: 2.0, 2: 3.0}
