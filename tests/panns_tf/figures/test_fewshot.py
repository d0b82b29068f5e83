import numpy as np
import pytest

from panns_tf.figures import fewshot as figure
from panns_tf.transfer.tasks import TASKS
from tests.panns_tf.figures.synthetic import figure_of, overlaps


def fewshot(*args, **settings):
    (chart,) = figure.fewshot(*args, **settings)
    return chart


#: The paper's six.
PUBLISHED = [task for task in TASKS if task.results]

HEAD = "task,strategy,clips_per_class,seed,metric,value\n"


def write(folder, *lines, head=HEAD):
    path = folder / "results.csv"
    path.write_text(head + "".join(line + "\n" for line in lines))
    return path


def colours(figure) -> dict[str, str]:
    (legend,) = figure.legends
    lines = zip(legend.get_texts(), legend.get_lines(), strict=True)
    return {text.get_text(): line.get_color() for text, line in lines}


def test_means_ranges_and_the_papers_results(tmp_path):
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
    (axes,) = figure_of(chart).axes
    assert axes.get_title(loc="left") == "ESC-50 (1 to 2 seeds)"
    ticks = dict(
        zip((t.get_text() for t in axes.get_xticklabels()), axes.get_xticks(), strict=True)
    )
    assert ticks == {"1": 0, "8": 3, "all": 4}
    line = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    assert list(line.get_xdata()) == [0, 3, 4]
    without = fewshot([path], with_paper=False)
    assert {row["source"] for row in without.rows} == {"this project"}
    assert without.notes == []


def test_doubtful_results_are_left_out():
    results = {task.name: task.results for task in PUBLISHED}
    assert results["dcase2019_task1"]["freeze_l1"] is None
    values = [value for each in results.values() for value in each.values()]
    assert (len(values), values.count(None)) == (24, 1)


def test_another_metric_or_task_has_no_published_results(tmp_path):
    path = write(tmp_path, "ESC50,scratch,1,0,mAP,0.1", "My Sounds,my way,3,0,accuracy,0.5")
    chart = fewshot([path])
    assert {row["source"] for row in chart.rows} == {"this project"}
    assert chart.notes == ["esc50: mAP measured; the paper has accuracy, not drawn"]
    titles = [axes.get_title(loc="left") for axes in figure_of(chart).axes]
    assert titles == ["ESC-50", "My Sounds"]


def test_all_six_tasks(tmp_path):
    lines = [
        f"{task.name},{strategy},{clips},0,{task.metric},0.5"
        for task in PUBLISHED
        for strategy in ("scratch", "finetune", "freeze_l1", "freeze_l3")
        for clips in (1, 2, 4)
    ]
    figure = figure_of(fewshot([write(tmp_path, *lines)]))
    assert len(figure.axes) == 6
    assert overlaps(figure) == []


def test_other_strategies_leave_the_papers_four_their_styles(tmp_path):
    four = ["scratch", "freeze_l1", "freeze_l3", "finetune"]
    rows = [f"mine,{name},{n},0,accuracy,0.{n}" for name in four for n in (1, 2)]
    before = colours(figure_of(fewshot([write(tmp_path, *rows)])))
    more = [f"mine,{name},{n},0,accuracy,0.{n}" for name in ("Linear probe", "a") for n in (1, 2)]
    figure = figure_of(fewshot([write(tmp_path, *more, *rows)]))
    after = colours(figure)
    assert list(before) == ["scratch", "Freeze_L1", "Freeze_L3", "fine-tune"]
    assert list(after) == [*before, "linear probe", "a"]
    assert before.items() <= after.items()
    assert len(set(after.values())) == 6
    assert overlaps(figure) == []


def test_crowded_counts_have_ticks_apart(tmp_path):
    counts = (1, 2, 5, 10, 20, "all")
    path = write(tmp_path, *(f"esc50,scratch,{n},0,accuracy,0.5" for n in counts))
    (axes,) = figure_of(fewshot([path])).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(map(str, counts))
    crowded = write(tmp_path, *(f"esc50,scratch,{n},0,accuracy,0.5" for n in range(1, 12)))
    (axes,) = figure_of(fewshot([crowded])).axes
    assert np.diff(axes.get_xticks()).min() >= 0.5


def test_rows_without_a_value_are_named(tmp_path):
    chart = fewshot([write(tmp_path, "a,b,1,0,c,", "a,b,2,0,c,nan", "a,b,4,0,c,0")])
    assert [(row["clips_per_class"], row["mean"]) for row in chart.rows] == [(4, 0.0)]
    assert chart.notes == [
        "results.csv, line 2: no value; left out",
        "results.csv, line 3: no value; left out",
    ]


def test_mistakes(tmp_path):
    for lines, said in (
        (["a,b,0,0,c,1"], "line 2: expected clips_per_class"),
        (["a,b,1.5,0,c,1"], "received '1.5' and '1'"),
        (["a,b,1,0,c,good"], "received '1' and 'good'"),
        (["a,b,1,0,c,1", "a,b,1,0,c,1"], "line 3: a second value of a, b, 1 clips, seed 0"),
        (["a,b,1,0,c,1", "a,b,1,1,d,1"], "or of another metric than c"),
        (["a,b,1,0,c,1", "a,b,8"], "line 3 has 3 cells, expected 6"),
        ([], "no result in"),
    ):
        with pytest.raises(ValueError, match=said):
            fewshot([write(tmp_path, *lines)])
    with pytest.raises(ValueError, match=r"has no column seed and no metric"):
        fewshot([write(tmp_path, head="task,strategy,clips_per_class,value\n")])
    with pytest.raises(ValueError, match=r"absent\.csv cannot be read"):
        fewshot([tmp_path / "absent.csv"])
