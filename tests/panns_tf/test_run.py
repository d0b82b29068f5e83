import json

import pytest

from panns_tf.run import find_model, read_per_class, read_run, read_runs, run_of
from tfrecords.files import write_csv, write_json

LABELS = ("dog", "rain", "bell")


def write_run(folder, stop=600, finished=True, **content):
    """A run directory of three classes, a line every 100 steps."""
    folder.mkdir(parents=True)
    config = {"config": {"arch": "Cnn6", "steps": 600}, "labels": LABELS, **content}
    write_json(folder / "config.json", config)
    lines = []
    for step in range(100, stop + 1, 100):
        lines.append({"step": step, "loss": 1 / step})
        lines.append({"step": step, "mAP": 0.4 * step / 600, "d_prime": None})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if finished and stop == 600:
        (folder / "final.keras").touch()
    return folder


def write_evaluation(folder, precisions):
    folder.mkdir(parents=True)
    write_json(folder / "metrics.json", {"mAP": 0.4})
    rows = [(i, LABELS[i], precisions[i]) for i in (2, 0, 1)]
    write_csv(folder / "per_class.csv", ("index", "label", "average_precision"), rows)


def test_a_finished_run(tmp_path):
    folder = write_run(tmp_path / "a", training_clips=[5, 6, 7])
    write_evaluation(folder / "evaluation", [0.1, None, 0.3])
    run = read_run(folder)
    assert (run.finished, run.progress, run.step, run.best_step) == (True, "finished", 600, 600)
    assert (run.labels, run.training_clips, run.notes) == (LABELS, (5, 6, 7), ())
    assert run.curve("loss") == {step: 1 / step for step in range(100, 601, 100)}
    assert run.curve("d_prime") == run.curve("training_mAP") == {}  # null is no number
    assert run.final() == (0.4, "evaluation")
    (evaluation,) = run.evaluations
    assert list(evaluation.classes) == list(LABELS)  # by index, not as written
    assert [row["average_precision"] for row in evaluation.classes.values()] == [0.1, None, 0.3]
    assert run_of(folder / "final.keras").path == folder
    assert run_of(tmp_path / "other.keras") is None
    assert find_model(folder) == folder / "final.keras"


def test_an_unfinished_run(tmp_path):
    folder = write_run(tmp_path / "a", stop=200)
    run = read_run(folder)
    assert run.progress == "unfinished: step 200 of 600"
    assert run.final() == (pytest.approx(0.4 / 3), "step 200")
    with pytest.raises(ValueError, match=r"without a model \(unfinished: step 200 of 600\)"):
        find_model(folder)
    (folder / "best.keras").touch()
    assert find_model(folder) == folder / "best.keras"


def test_damaged_lines_are_left_out_and_named(tmp_path):
    for number, (end, note) in enumerate(
        (
            (b'{"step": 700, "mA', "the last line is damaged"),
            (b'[1]\n{"step": 700, "mAP": 0.5}\n', "line 13 is damaged"),
            (b"\xff\xfe\n\nnull\n", "line 13, 15 is damaged"),
            (b'{"step": 700, "mAP": "high"}', "the last line is damaged"),
            (b'{"mAP": 0.9}', "the last line is damaged"),
        )
    ):
        folder = write_run(tmp_path / str(number))
        with (folder / "metrics.jsonl").open("ab") as file:
            file.write(end)
        run = read_run(folder)
        assert [line.split(" and was")[0] for line in run.notes] == [f"metrics.jsonl: {note}"]
        assert run.curve("mAP")[600] == 0.4
    (folder / "metrics.jsonl").unlink()
    assert read_run(folder).notes == ("metrics.jsonl is missing",)


def test_a_damaged_evaluation_is_left_out_and_named(tmp_path):
    folder = write_run(tmp_path / "a")
    for name in ("", "other"):
        write_evaluation(folder / "evaluation" / name, [0.4, 0.5, 0.6])
    table = folder / "evaluation/per_class.csv"
    table.write_text(table.read_text()[:-10])
    run = read_run(folder)
    assert [evaluation.name for evaluation in run.evaluations] == ["other"]
    assert run.notes[0].startswith("evaluation is damaged and was left out:")
    table.write_text("label,ap\na,1\n")
    with pytest.raises(ValueError, match="has no column average_precision"):
        read_per_class(table)


def test_a_damaged_config_is_one_line(tmp_path):
    for content, message in (
        (None, "config.json cannot be read: No such file"),
        ("{", "config.json is damaged"),
        ("[1]", "config.json is damaged"),
        ('{"labels": []}', "config.json is damaged: KeyError"),
        ('{"config": 3}', "config.json is damaged"),
        ('{"config": {}, "labels": ["a"], "training_clips": [1, 2]}', "2 counts of training_clips"),
    ):
        if content is not None:
            (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=message) as error:
            read_run(tmp_path)
        assert "\n" not in str(error.value)
    (tmp_path / "config.json").write_text('{"config": {}}')  # older runs lack labels and counts
    assert (read_run(tmp_path).labels, read_run(tmp_path).training_clips) == ((), None)


def test_folders_are_searched_and_what_cannot_be_read_is_named(tmp_path):
    for name in ("x/seed0", "x/seed1", "y/seed0"):
        write_run(tmp_path / name)
    for inner in ("x/seed0/saved_model", "x/seed0/checkpoints", "z"):
        (tmp_path / inner).mkdir(parents=True)
        (tmp_path / inner / "config.json").write_text('{"config": ')
    runs, notes = read_runs([tmp_path, tmp_path / "x"])
    assert [run.name for run in runs] == ["x/seed0", "seed1", "y/seed0"]
    assert len(notes) == 1
    assert f"{(tmp_path / 'z/config.json').resolve()} is damaged" in notes[0]
    with pytest.raises(ValueError, match="no such directory"):
        read_runs([tmp_path / "absent"])
    with pytest.raises(ValueError, match=r"no run in .* is damaged"):
        read_runs([tmp_path / "z"])
