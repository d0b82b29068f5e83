import re

import pytest

from panns_tf.figures import curves as figure
from panns_tf.figures.grouping import partition
from panns_tf.run import read_runs
from tests.panns_tf.figures.synthetic import figure_of, overlaps, write_run


def curves(*args, **settings):
    (chart,) = figure.curves(*args, **settings)
    return chart


def read(folder):
    return read_runs([folder])[0]


def last(chart) -> dict:
    """The last row of each line of each panel."""
    return {(row["panel"], row["line"]): row for row in chart.rows}


def legend(axes) -> dict[str, str]:
    """Colours by label."""
    lines = axes.get_legend().get_lines()
    texts = axes.get_legend().get_texts()
    return {t.get_text(): line.get_color() for t, line in zip(texts, lines, strict=True)}


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
    assert chart.notes == []
    (axes,) = figure_of(chart).axes
    assert list(legend(axes)) == ["Cnn14 (3 seeds)", "Cnn6"]  # as the curves end
    line = next(line for line in axes.lines if line.get_label() == "Cnn6")
    numbers = [(row["step"], row["mean"]) for row in chart.rows if row["line"] == "Cnn6"]
    assert list(zip(line.get_xdata(), line.get_ydata(), strict=True)) == numbers


def test_means_are_of_the_steps_that_all_seeds_have(tmp_path):
    for seed, steps in enumerate(((1, 2), (2, 3))):
        run = write_run(tmp_path / f"{seed}", seed=seed)
        lines = [f'{{"step": {step}, "mAP": {step / (seed + 4)}}}\n' for step in steps]
        (run / "metrics.jsonl").write_text("".join(lines))
    (row,) = curves(read(tmp_path)).rows
    assert (row["step"], row["mean"], row["low"], row["high"]) == (2, 0.45, 0.4, 0.5)
    (run / "metrics.jsonl").write_text('{"step": 3, "mAP": 0.5}')
    with pytest.raises(ValueError, match="0, 1 have no step in common"):
        curves(read(tmp_path))


def test_copies_of_a_run_are_not_taken_for_seeds(tmp_path):
    for name in "ab":
        write_run(tmp_path / name, seed=3)
    (axes,) = figure_of(curves(read(tmp_path))).axes
    assert list(legend(axes)) == ["Cnn14 (2 runs)"]


def test_an_unfinished_seed_is_named_and_not_in_the_mean(tmp_path):
    write_run(tmp_path / "a", final=0.4)
    write_run(tmp_path / "b", final=0.1, seed=1, stop=300)
    write_run(tmp_path / "c", "Cnn6", stop=300)
    write_run(tmp_path / "e", "Cnn10", stop=0)
    chart = curves(read(tmp_path))
    found = last(chart)
    assert found["Architecture", "Cnn14"]["mean"] == 0.4
    assert found["Architecture", "Cnn14"]["runs"] == 1
    assert found["Architecture", "Cnn6"]["state"] == "unfinished"
    assert "Cnn6 (unfinished, 50 %)" in legend(figure_of(chart).axes[0])
    assert "b: unfinished: step 300 of 600" in chart.notes
    assert "e: no mAP on held-out data; left out" in chart.notes
    with pytest.raises(ValueError, match="none of the 4 runs has d-prime on held-out data"):
        curves(read(tmp_path), metric="d_prime")


@pytest.fixture
def figure4(tmp_path):
    write_run(tmp_path / "base")
    write_run(tmp_path / "cnn6", "Cnn6", final=0.1)
    write_run(tmp_path / "resnet", "ResNet22", final=0.2)
    write_run(tmp_path / "plain", sampling="shuffled", mixup="none", final=0.3)
    write_run(tmp_path / "emb", embedding_size=32, final=0.35)
    write_run(tmp_path / "16k", sample_rate=16000, final=0.36)
    write_run(tmp_path / "mel", mel_bins=32, final=0.37)
    write_run(tmp_path / "half", fraction=0.5, final=0.38)
    return read(tmp_path)


def test_panels_around_the_common_settings(figure4):
    chart = curves(figure4)
    by_panel: dict[str, list[str]] = {}
    for panel, line in last(chart):
        by_panel.setdefault(panel, []).append(line)
    assert by_panel == {
        "Architecture": ["Cnn6", "Cnn14", "ResNet22"],
        "Balancing and augmentation": ["balanced, mixup", "no balancing, no mixup"],
        "Embedding size": ["embedding 32", "embedding 2048"],
        "Training data": ["50 % of the clips", "100 % of the clips"],
        "Sample rate and hop size": ["16 kHz", "32 kHz"],
        "Mel bins": ["32 mel bins", "64 mel bins"],
    }
    figure = figure_of(chart)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(by_panel)
    common = ("Cnn14", "balanced, mixup", "embedding 2048", "100 % of the clips", "32 kHz")
    colours = [legend(axes).get(label) for axes, label in zip(figure.axes, common, strict=False)]
    assert len(set(colours)) == 1  # the common settings look alike in every panel
    assert all(len(set(legend(axes).values())) == len(legend(axes)) for axes in figure.axes)
    assert overlaps(figure) == []


def test_by_one_setting_leaves_the_others_out(figure4):
    chart = curves(figure4, by="fraction")
    assert list(last(chart)) == [
        ("Training data", "50 % of the clips"),
        ("Training data", "100 % of the clips"),
    ]
    assert "16k: in no panel, as it differs in sample_rate" in chart.notes
    with pytest.raises(
        ValueError,
        match="--by colour: no run has such a setting; the runs differ in arch, sampling, ",
    ):
        curves(figure4, by="colour")


def test_runs_that_differ_in_several_ways(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", fraction=0.5)
    assert [line for _, line in last(curves(read(tmp_path)))] == [
        "Cnn6, 50 % of the clips",
        "Cnn14, 100 % of the clips",
    ]
    write_run(tmp_path / "c", fraction=0.5)
    write_run(tmp_path / "e", mel_bins=32)
    write_run(tmp_path / "f", "Cnn6", mel_bins=32)
    (axes,) = figure_of(curves(read(tmp_path))).axes
    assert axes.get_title(loc="left") == "All settings"
    assert len(legend(axes)) == 5


def test_runs_on_other_data_share_no_panel(tmp_path):
    write_run(tmp_path / "x/a")
    for number, (changes, other) in enumerate(
        [
            ({"clips": 90}, "d/eval (3 classes, 90 clips)"),
            ({"labels": ("dog", "cat", "cow")}, "d/eval (3 classes, 80 clips)"),
            ({"labels": ("a", "b")}, "d/eval (2 classes, 80 clips)"),
            ({"eval_data": "d/fold5"}, "d/fold5 (3 classes, 80 clips)"),
        ]
    ):
        write_run(tmp_path / f"{number}/b", "Cnn6", **changes)
        runs, _ = read_runs([tmp_path / "x", tmp_path / str(number)])
        both = re.escape(f"clips, d/eval (3 classes, 80 clips) and {other};")
        with pytest.raises(ValueError, match=f"^a and b cannot share a panel, .*{both}"):
            curves(runs)
        assert len(partition(runs)) == 2
    runs, _ = read_runs([tmp_path / "x", tmp_path / "0"])
    assert len(curves(runs, metric="loss").rows) == 12  # training has no part in held-out data


def test_copies_of_held_out_data_are_taken_for_the_same(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", "Cnn6", eval_data="/elsewhere/eval")
    assert len(partition(read(tmp_path))) == 1


def test_many_losses_are_averaged(tmp_path):
    folder = write_run(tmp_path / "a")
    lines = [f'{{"step": {step}, "loss": {step % 2}}}\n' for step in range(1, 1001)]
    (folder / "metrics.jsonl").write_text("".join(lines))
    rows = curves(read(tmp_path), metric="loss").rows
    assert len(rows) == 200
    assert rows[-1]["step"] == 1000
    assert {round(row["mean"], 2) for row in rows} == {0.4, 0.6}
