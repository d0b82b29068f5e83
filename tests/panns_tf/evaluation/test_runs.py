import json

import pytest

from panns_tf.evaluation.runs import find_model, model_sha256, read_run, unfinished


@pytest.fixture
def run_dir(tmp_path):
    """A run at step 120 of 600, its log cut off in a line."""
    content = {"config": {"steps": 600, "data": "packed/train"}, "labels": ["a", "b"]}
    (tmp_path / "config.json").write_text(json.dumps(content))
    lines = [
        {"step": 40, "loss": 1.0},
        {"step": 60, "mAP": 0.5},
        {"step": 80, "mAP": 0.4},
        {"step": 120, "loss": 0.5},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"step": 130, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    return tmp_path


def test_an_unfinished_run_says_how_far_it_is(run_dir):
    (run_dir / "best.keras").touch()
    run, model = read_run(run_dir), find_model(run_dir)
    assert model == run_dir / "best.keras"
    assert unfinished(run, model) == "step 120 of 600; best.keras of step 60 is evaluated"
    assert unfinished(read_run(model), model) == unfinished(run, model)


def test_a_finished_run_has_nothing_to_say(run_dir):
    for name in ("best.keras", "final.keras"):
        (run_dir / name).touch()
    run = read_run(run_dir)
    assert find_model(run_dir).name == "final.keras"
    assert unfinished(run, run_dir / "final.keras") is None
    assert unfinished(None, run_dir / "final.keras") is None


def test_a_run_without_a_model_is_an_error_with_its_step(run_dir):
    with pytest.raises(
        ValueError, match="unfinished run without a model: it is at step 120 of 600"
    ):
        find_model(run_dir)


def test_a_broken_config_is_named(run_dir):
    (run_dir / "config.json").write_text('{"config": ')
    with pytest.raises(ValueError, match=r"config.json is damaged"):
        read_run(run_dir)


def test_what_is_no_run_is_none(tmp_path):
    assert read_run(tmp_path / "x.keras") is None


def test_the_digest_is_of_the_content(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "variables").mkdir(parents=True)
        (tmp_path / name / "saved_model.pb").write_bytes(b"graph")
        (tmp_path / name / "variables" / "v").write_bytes(b"weights")
    assert model_sha256(tmp_path / "one") == model_sha256(tmp_path / "two")
    (tmp_path / "two" / "variables" / "v").write_bytes(b"weightz")
    assert model_sha256(tmp_path / "one") != model_sha256(tmp_path / "two")
