import json

from panns_tf.training.run_log import RunLog, to_json


def lines(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_writes_lines_and_tensorboard(tmp_path):
    log = RunLog(tmp_path)
    log.write(3, "train", {"loss": 0.5})
    log.write(4, "eval", {"mAP": 0.25, "d_prime": float("inf")})
    log.close()
    assert lines(tmp_path) == [
        {"step": 3, "loss": 0.5},
        {"step": 4, "mAP": 0.25, "d_prime": None},
    ]
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"train/loss" in content
    assert b"eval/mAP" in content


def test_resuming_removes_what_is_done_again_and_what_was_cut_off(tmp_path):
    first = RunLog(tmp_path)
    for step in (1, 2, 3):
        first.write(step, "train", {"loss": step})
    first.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    second = RunLog(tmp_path, start=2)
    second.write(3, "train", {"loss": 30})
    second.close()
    assert lines(tmp_path) == [{"step": s, "loss": loss} for s, loss in ((1, 1), (2, 2), (3, 30))]


def test_a_line_that_a_full_disk_cut_off_costs_itself_alone(tmp_path):
    log = RunLog(tmp_path)
    log.write(1, "train", {"loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    log.write(3, "train", {"loss": 3.0})
    log.close()
    RunLog(tmp_path, 3).close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 3]


def test_what_is_not_finite_is_null_however_deep():
    values = {"a": float("nan"), "b": [1.0, float("inf")], "c": [{"d": -float("inf"), "e": "x"}]}
    assert json.loads(to_json(values)) == {
        "a": None,
        "b": [1.0, None],
        "c": [{"d": None, "e": "x"}],
    }
