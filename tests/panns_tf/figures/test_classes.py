import csv

import pytest

from panns_tf.figures import classes as figure
from panns_tf.run import read_runs
from tests.panns_tf.figures.synthetic import (
    LABELS,
    figure_of,
    overlaps,
    write_evaluation,
    write_run,
)


def classes(*args, **settings):
    *_, chart = figure.classes(*args, **settings)
    return chart


def read(folder):
    return read_runs([folder])[0]


QUALITY = "mid,rated,true\na,10,5\nb,0,0\nc,8,8\n"


def texts(figure) -> list[str]:
    """Class names and remarks."""
    labels = [t.get_text() for axes in figure.axes for t in axes.get_yticklabels() if t.get_text()]
    return labels + [text.get_text() for axes in figure.axes for text in axes.texts]


def test_classes_by_training_clips(tmp_path):
    ap = [0.1, 0.2, None]
    write_run(tmp_path / "a", ap=ap, training_clips=[5, 700, 60])
    write_run(tmp_path / "b", "Cnn6", ap=[0.3, 0.4, None], training_clips=[5, 700, 60])
    (tmp_path / "qa.csv").write_text(QUALITY)
    chart = classes(read(tmp_path), label_quality=tmp_path / "qa.csv")
    assert [(row["class"], row["system"], row["average_precision"]) for row in chart.rows] == [
        (LABELS[1], "Cnn6", 0.4),
        (LABELS[1], "Cnn14", 0.2),
        (LABELS[2], "Cnn6", None),
        (LABELS[2], "Cnn14", None),
        (LABELS[0], "Cnn6", 0.3),
        (LABELS[0], "Cnn14", 0.1),
    ]
    assert [row["training_clips"] for row in chart.rows[::2]] == [700, 60, 5]
    assert [row["label_quality"] for row in chart.rows[::2]] == [None, 1.0, 0.5]
    assert {row["low"] for row in chart.rows} == {None}
    (note,) = chart.notes
    assert note.startswith("1 of 3 classes undefined")
    figure = figure_of(chart)
    assert texts(figure) == [LABELS[1], LABELS[2], LABELS[0]]
    assert overlaps(figure) == []


def test_intervals_and_quality_of_per_class_csv(tmp_path):
    columns = {
        "ap_low": [0.05, 0.15, 0.25],
        "ap_high": [0.2, 0.3, 0.4],
        "label_quality": [0.9, None, 0.7],
        "training_clips": [3, 2, 1],
    }
    write_run(tmp_path / "a", ap=[0.1, 0.2, 0.3], columns=columns)
    chart = classes(read(tmp_path))
    assert [row["class"] for row in chart.rows] == list(LABELS)
    row = next(row for row in chart.rows if row["class"] == "dog")
    assert (row["low"], row["high"], row["label_quality"]) == (0.05, 0.2, 0.9)
    assert row["training_clips"] == 3
    assert figure_of(chart).legends[0].get_title().get_text() == "lines: 95 % intervals"


def test_seeds_are_one_system_with_its_range(tmp_path):
    for seed, ap in enumerate(([0.1, 0.2, None], [0.5, None, None])):
        write_run(tmp_path / f"{seed}", ap=ap, seed=seed)
        file = tmp_path / f"{seed}/evaluation/per_class.csv"
        file.write_text(file.read_text().replace(",0,,", ",8,,"))  # as many clips of each class
    rows = {row["class"]: row for row in classes(read(tmp_path)).rows}
    dog = rows["dog"]
    assert (dog["average_precision"], dog["low"], dog["high"], dog["runs"]) == (0.3, 0.1, 0.5, 2)
    assert rows[LABELS[1]]["runs"] == 1
    assert (rows[LABELS[2]]["average_precision"], rows[LABELS[2]]["runs"]) == (None, 0)


def test_without_counts_the_order_is_by_ap_and_the_bars_are_missing(tmp_path):
    write_run(tmp_path / "a", ap=[0.1, None, 0.3])
    write_run(tmp_path / "b", "Cnn6", stop=200)
    chart = classes(read(tmp_path))
    assert [row["class"] for row in chart.rows] == [LABELS[2], LABELS[0], LABELS[1]]
    assert any(note.startswith("training clips of the classes are unknown") for note in chart.notes)
    assert len(figure_of(chart).axes) == 1
    expected = {"b: without per_class.csv; left out", "b: unfinished: step 200 of 600"}
    assert expected <= set(chart.notes)
    with pytest.raises(ValueError, match="none of the 1 runs has an evaluation with"):
        classes(read(tmp_path / "b"))


def test_other_clips_or_classes_are_refused(tmp_path):
    write_run(tmp_path / "a", ap=[0.1, 0.2, 0.3])
    write_run(tmp_path / "b", "Cnn6", ap=[0.1, None, 0.3])
    different = "a and b were evaluated on different clips or classes"
    with pytest.raises(ValueError, match=f"{different}, 'rain & wind' first"):
        classes(read(tmp_path))
    write_run(tmp_path / "c/d", "Cnn6", ap=[0.1, 0.2], labels=("dog", "cat"))
    with pytest.raises(ValueError, match=r"a and d were .*, 'rain & wind' first"):
        classes(read_runs([tmp_path / "a", tmp_path / "c"])[0])


def test_the_evaluation_that_all_have_is_drawn(tmp_path):
    write_run(tmp_path / "a", ap=[0.1, 0.1, 0.1])
    write_run(tmp_path / "b", "Cnn6")
    for name, value in (("a", 0.2), ("b", 0.3)):
        write_evaluation(tmp_path / name / "evaluation/eval", LABELS, [value] * 3)
    assert {row["average_precision"] for row in classes(read(tmp_path)).rows} == {0.2, 0.3}


def test_ends_of_the_order_and_mistakes(tmp_path):
    write_run(tmp_path / "a", ap=[0.1, 0.2, 0.3])
    runs = read(tmp_path)
    for top, bottom, count in ((2, None, 2), (1, 1, 2), (0, 1, 1), (9, 9, 3)):
        chart = classes(runs, top=top, bottom=bottom)
        assert len(chart.rows) == count
        assert ("…" in texts(figure_of(chart))) == ((top, bottom) == (1, 1))
    for settings, said in (
        ({"top": -1}, "leave no class to draw; received -1 and 0"),
        ({"top": 0, "bottom": 0}, "leave no class"),
    ):
        with pytest.raises(ValueError, match=said):
            classes(runs, **settings)


def test_a_very_long_name_is_cut_in_the_picture_and_whole_in_the_numbers(tmp_path):
    labels = ["a" * 300, "b"]
    write_run(tmp_path / "r", labels=labels, ap=[0.5, 0.6])
    chart = classes(read(tmp_path))
    figure = figure_of(chart)
    assert max(map(len, texts(figure))) == 64
    assert labels[0] in {row["class"] for row in chart.rows}
    assert figure.get_size_inches()[0] < 14
    assert overlaps(figure) == []


@pytest.mark.full
def test_audiosets_classes(tmp_path):
    from tfrecords.classes import audioset_classes

    labels = audioset_classes().names
    ap = [(i % 97) / 97 for i in range(527)]
    write_run(tmp_path / "a", labels=labels, ap=ap, training_clips=list(range(1, 528)))
    quality = tmp_path / "qa.csv"
    quality.write_text("mid,rated,true\n" + "x,2,1\n" * 527)
    chart = classes(read(tmp_path), label_quality=quality)
    figure = figure_of(chart)
    assert set(labels) <= set(texts(figure))
    assert overlaps(figure) == []
    assert figure.get_figheight() > figure.get_figwidth()
    paths = chart.save(tmp_path / "out")
    rows = list(csv.DictReader(paths[3].open()))
    assert [row["class"] for row in rows] == list(labels)[::-1]
    assert float(rows[0]["average_precision"]) == pytest.approx(ap[526], abs=1e-6)
    assert paths[2].stat().st_size < 700_000
