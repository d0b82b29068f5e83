import json

import pytest

from panns_tf.plots.runs import read_per_class, read_run, read_runs
from tests.panns_tf.plots.synthetic import LABELS, write_evaluation, write_run


def test_a_finished_run(tmp_path):
    run = read_run(write_run(tmp_path / "a", ap=[0.1, None, 0.3], training_clips=[5, 6, 7]))
    assert run.finished
    assert run.state == "finished"
    assert run.labels == LABELS
    assert run.training_clips == (5, 6, 7)
    assert run.curve("mAP")[600] == 0.4
    assert run.curve("loss") == {step: 1 / step for step in range(100, 601, 100)}
    assert run.curve("mAP", "training") == run.curve("d_prime") == {}  # null is no number
    assert run.final() == (0.4, "evaluation")
    (evaluation,) = run.evaluations
    assert list(evaluation.classes) == list(LABELS)  # by index, not as written
    assert [row["average_precision"] for row in evaluation.classes.values()] == [0.1, None, 0.3]
    assert run.notes == ()


def test_an_unfinished_run_says_how_far_it_came(tmp_path):
    run = read_run(write_run(tmp_path / "a", stop=200))
    assert run.state == "unfinished: step 200 of 600"
    assert run.final() == (pytest.approx(0.4 / 3), "step 200")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (b'{"step": 700, "mA', "the last line is damaged"),
        (b'[1]\n{"step": 700, "mAP": 0.5}\n', "line 13 is damaged"),
        (b"\xff\xfe\n\nnull\n", "line 13, 15 is damaged"),
        (b'{"mAP": 0.9}', "the last line is damaged"),
    ],
    ids=["cut off", "within", "bytes", "no step"],
)
def test_damaged_lines_are_left_out_and_named(end, said, tmp_path):
    folder = write_run(tmp_path / "a")
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(end)
    run = read_run(folder)
    assert [note.split(" and was")[0] for note in run.notes] == [f"metrics.jsonl: {said}"]
    assert run.curve("mAP")[600] == 0.4
    assert 0.9 not in run.curve("mAP").values()


def test_without_metrics(tmp_path):
    folder = write_run(tmp_path / "a", stop=200)
    (folder / "metrics.jsonl").unlink()
    run = read_run(folder)
    assert run.notes == ("metrics.jsonl is missing",)
    assert run.final() == (None, "")
    assert run.state == "unfinished: step 0 of 600"


def test_a_cut_off_evaluation_is_left_out_and_named(tmp_path):
    folder = write_run(tmp_path / "a", ap=[0.1, 0.2, 0.3])
    write_evaluation(folder / "evaluation/other", LABELS, [0.4, 0.5, 0.6])
    file = folder / "evaluation/per_class.csv"
    file.write_text(file.read_text()[:-30])
    run = read_run(folder)
    assert [evaluation.name for evaluation in run.evaluations] == ["other"]
    assert run.notes[0].startswith("evaluation is damaged and was left out: per_class.csv: line 3")


def test_columns_are_read_by_name(tmp_path):
    file = tmp_path / "per_class.csv"
    file.write_text("average_precision,branch,label,new\n0.5,Music,a,1\n,,b,\n")
    found = read_per_class(file)
    assert found["a"]["average_precision"] == 0.5
    assert found["b"]["average_precision"] is found["a"]["branch"] is None
    file.write_text("label,ap\na,1\n")
    with pytest.raises(ValueError, match="has no column average_precision"):
        read_per_class(file)


def test_folders_are_searched_and_what_cannot_be_read_is_named(tmp_path):
    for name in ("x/seed0", "x/seed1", "y/seed0"):
        write_run(tmp_path / name)
    (tmp_path / "x/seed0/saved_model").mkdir()
    (tmp_path / "x/seed0/saved_model/config.json").write_text("{}")
    (tmp_path / "z").mkdir()
    (tmp_path / "z/config.json").write_text('{"config": ')
    runs, notes = read_runs([tmp_path, tmp_path / "x"])
    assert [run.name for run in runs] == ["x/seed0", "seed1", "y/seed0"]
    assert len(notes) == 1
    assert notes[0].startswith(f"{(tmp_path / 'z/config.json').resolve()} is damaged: ")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"config": 3}', '{"config": {}, "labels": 3}']
)
def test_a_damaged_config_is_one_line(content, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json is damaged") as caught:
        read_run(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"no run in .* is damaged"):
        read_runs([tmp_path])


def test_counts_that_do_not_fit_the_labels(tmp_path):
    folder = write_run(tmp_path / "a", training_clips=[1, 2])
    with pytest.raises(ValueError, match="2 counts of training_clips for 3 labels"):
        read_run(folder)


def test_no_run(tmp_path):
    with pytest.raises(ValueError, match="no such directory"):
        read_runs([tmp_path / "absent"])
    with pytest.raises(ValueError, match=r"a run has a config\.json"):
        read_runs([tmp_path])


def test_an_older_config_has_the_defaults(tmp_path):
    older, newer = write_run(tmp_path / "a"), write_run(tmp_path / "b", decimation="lowpass")
    assert "decimation" not in json.loads((older / "config.json").read_text())["config"]
    assert read_run(older).settings == read_run(newer).settings
