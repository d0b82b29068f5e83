import numpy as np
import pytest

from panns_tf.plots.fewshot import fewshot
from panns_tf.plots.published import TASKS, published
from tests.panns_tf.plots.test_panels import overlaps

HEAD = "task,strategy,clips_per_class,seed,metric,value\n"


def write(folder, *lines, head=HEAD):
    path = folder / "results.csv"
    path.write_text(head + "".join(line + "\n" for line in lines))
    return path


def test_means_ranges_and_the_papers_ends(tmp_path):
    path = write(
        tmp_path,
        "esc50,Fine-tune,1,0,accuracy,0.2",
        "esc50,finetune,1,1,accuracy,0.4",
        "esc50,finetune,8,0,accuracy,0.7",
        "esc50,finetune,all,0,accuracy,0.9",
        "esc50,scratch,1,0,accuracy,0.1",
    )
    chart = fewshot([path])
    found = {(r["strategy"], r["clips_per_class"], r["source"]): r for r in chart.rows}
    assert list(found) == [
        ("scratch", 1, "this project"),
        ("scratch", "all", "paper"),
        ("finetune", 1, "this project"),
        ("finetune", 8, "this project"),
        ("finetune", "all", "this project"),
        ("finetune", "all", "paper"),
    ]
    row = found["finetune", 1, "this project"]
    assert (row["low"], row["high"], row["seeds"]) == (0.2, 0.4, 2)
    assert row["mean"] == pytest.approx(0.3)
    assert found["finetune", "all", "paper"]["mean"] == 0.947
    (axes,) = chart.figure().axes
    assert axes.get_title(loc="left") == "ESC-50"
    ticks = dict(
        zip((t.get_text() for t in axes.get_xticklabels()), axes.get_xticks(), strict=True)
    )
    assert ticks == {"1": 0, "2": 1, "4": 2, "8": 3, "all": 4}
    line = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    assert list(line.get_xdata()) == [0, 3, 4]


def test_doubtful_figures_are_left_out():
    assert "freeze_l1" not in published("dcase2019_task1").ends
    assert sum(len(published(task).ends) for task in TASKS) == 23
    assert published("mine") is None


def test_another_metric_or_task_has_no_published_ends(tmp_path):
    path = write(tmp_path, "esc50,scratch,1,0,mAP,0.1", "mine,my way,3,0,accuracy,0.5")
    chart = fewshot([path])
    assert {row["source"] for row in chart.rows} == {"this project"}
    assert chart.notes == ("esc50: mAP measured; the paper has accuracy, not drawn",)
    assert [axes.get_title(loc="left") for axes in chart.figure().axes] == ["ESC-50", "mine"]


def test_all_six_tasks_with_labels_apart(tmp_path):
    lines = [
        f"{task},{strategy},{clips},0,{metric},0.5"
        for task, (_, metric, _) in TASKS.items()
        for strategy in ("scratch", "finetune", "freeze_l1", "freeze_l3")
        for clips in (1, 2, 4)
    ]
    figure = fewshot([write(tmp_path, *lines)]).figure()
    assert len(figure.axes) == 6
    assert overlaps(figure) == []


def test_rows_without_a_value_are_named(tmp_path):
    path = write(tmp_path, "a,b,1,0,c,", "a,b,2,0,c,nan", "a,b,4,0,c,0", "a,b,8")
    chart = fewshot([path])
    assert [(row["clips_per_class"], row["mean"]) for row in chart.rows] == [(4, 0.0)]
    assert chart.notes == (
        "results.csv, line 2: no value; left out",
        "results.csv, line 3: no value; left out",
        "results.csv, line 5 is cut off and was left out",
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,b,0,0,c,1"], "line 2: expected clips_per_class"),
        (["a,b,1.5,0,c,1"], "received '1.5' and '1'"),
        (["a,b,1,0,c,good"], "received '1' and 'good'"),
        (["a,b,1,0,c,1", "a,b,1,0,c,1"], "line 3: seed 0 of a, b, 1 clips comes twice"),
        (["a,b,1,0,c,1", "a,b,1,1,d,1"], "line 3: a has values of c and of d"),
        ([], "no result in"),
    ],
)
def test_mistakes(lines, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        fewshot([write(tmp_path, *lines)])


def test_missing_columns_and_files(tmp_path):
    with pytest.raises(ValueError, match=r"has no column seed, metric; expected task,"):
        fewshot([write(tmp_path, head="task,strategy,clips_per_class,value\n")])
    with pytest.raises(ValueError, match="no such file"):
        fewshot([tmp_path / "absent.csv"])


def test_counts_that_are_no_powers_of_two_have_their_own_ticks(tmp_path):
    counts = (1, 2, 5, 10, 20, "all")
    path = write(tmp_path, *(f"esc50,scratch,{n},0,accuracy,0.5" for n in counts))
    (axes,) = fewshot([path]).figure().axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(map(str, counts))
    crowded = write(tmp_path, *(f"esc50,scratch,{n},0,accuracy,0.5" for n in range(1, 12)))
    (axes,) = fewshot([crowded]).figure().axes
    places = axes.get_xticks()
    assert np.diff(places).min() >= 0.5


def test_a_linear_probe_has_its_name_and_leaves_the_papers_four_their_styles(tmp_path):
    four = ["scratch", "freeze_l1", "freeze_l3", "finetune"]
    rows = [f"mine,{name},{n},0,accuracy,0.{n}" for name in four for n in (1, 2)]
    (before,) = fewshot([write(tmp_path, *rows)]).figure().axes
    more = [f"mine,{name},{n},0,accuracy,0.{n}" for name in ("Linear probe", "a") for n in (1, 2)]
    figure = fewshot([write(tmp_path, *more, *rows)]).figure()
    (after,) = figure.axes
    labels = [text.get_text() for text in after.texts]
    assert labels == ["scratch", "Freeze_L1", "Freeze_L3", "fine-tune", "linear probe", "a"]
    assert overlaps(figure) == []
    colours = [text.get_color() for text in after.texts]
    assert colours[:4] == [text.get_color() for text in before.texts]
    assert len(set(colours)) == 6


def test_the_papers_figures_can_be_left_out(tmp_path):
    path = write(tmp_path, "esc50,scratch,1,0,accuracy,0.1")
    chart = fewshot([path], with_paper=False)
    assert {row["source"] for row in chart.rows} == {"this project"}
    assert chart.notes == ()


def test_a_task_of_ones_own_keeps_its_name(tmp_path):
    path = write(tmp_path, "ESC50,scratch,1,0,accuracy,0.1", "My Sounds,scratch,1,0,accuracy,0.1")
    figure = fewshot([path]).figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["ESC-50", "My Sounds"]
