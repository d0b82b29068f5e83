import json

import pytest

from panns_tf.run_directory import is_finished, read_config, read_log


def test_reads_what_train_wrote(tmp_path):
    content = {"config": {"arch": "Cnn6"}, "labels": ["a", "b"], "training_clips": [3, 4]}
    (tmp_path / "config.json").write_text(json.dumps(content))
    found = read_config(tmp_path)
    assert (found.config, found.labels, found.training_clips) == (
        {"arch": "Cnn6"},
        ("a", "b"),
        (3, 4),
    )


def test_older_runs_lack_labels_and_counts(tmp_path):
    (tmp_path / "config.json").write_text('{"config": {}}')
    assert read_config(tmp_path).labels == ()
    assert read_config(tmp_path).training_clips is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "config.json cannot be read: No such file"),
        ("{", "config.json is damaged: JSONDecodeError"),
        ("[1]", "config.json is damaged"),
        ('{"labels": []}', "config.json is damaged: KeyError"),
        ('{"config": {}, "labels": ["a"], "training_clips": [1, 2]}', "2 counts of training_clips"),
    ],
)
def test_a_damaged_configuration_is_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_lines_of_a_log_are_counted_and_left_out(tmp_path):
    assert read_log(tmp_path) == ([], [])
    lines = [
        '{"step": 1, "loss": 0.5}',
        '{"step": 7, "mAP": "high"}',
        "[]",
        '{"loss": 1}',
        '{"step": 2.0}',
        '{"step": 3, "lo',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert read_log(tmp_path) == ([{"step": 1, "loss": 0.5}, {"step": 2}], [2, 3, 4, 6])


def test_a_run_is_finished_when_its_final_model_is_there(tmp_path):
    assert not is_finished(tmp_path)
    (tmp_path / "final.keras").touch()
    assert is_finished(tmp_path)
