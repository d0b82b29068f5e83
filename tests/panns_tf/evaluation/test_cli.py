"""The evaluation command as people run it."""

import csv
import json

import numpy as np
import pytest

from panns_tf.evaluation.scores import load_scores
from panns_tf.weights.loading import create_model
from tests import commands
from tfrecords import load_index, synthesize_clips

# Evaluations compile a network each; XLA would take most of the time.
pytestmark = pytest.mark.usefixtures("plain")

QUICK = ("--bootstrap", 20, "--no-report")


def make_run(folder, labels, seed=0, finished=True, model=True):
    """A run directory with an untrained network, as train.py leaves it."""
    folder.mkdir()
    config = {"config": {"steps": 600}, "labels": labels, "training_clips": [5] * len(labels)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text('{"step": 60, "mAP": 0.2}\n{"step": 120, "loss": 1}\n{"s')
    if model:
        network = create_model("Tiny", num_classes=len(labels))
        network.labels = labels
        rng = np.random.default_rng(seed)
        network.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in network.get_weights()])
        network.save(folder / ("final.keras" if finished else "best.keras"))
    return folder


@pytest.fixture(scope="module")
def labels(data):
    return list(load_index(data / "eval").info.classes)


@pytest.fixture(scope="module")
def run_dir(data, labels, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "one", labels)


def test_leaves_what_its_help_says(run_dir, data, labels, tmp_path, capsys):
    output = tmp_path / "out"
    commands.evaluate(
        *("--model", run_dir, "--data", data / "eval", "--output", output),
        *("--bootstrap", 20, "--mistakes", 2),
    )
    printed = capsys.readouterr().out
    metrics = json.loads((output / "metrics.json").read_text())
    assert f"{metrics['mAP']:.4f}" in printed
    for name in ("metrics.json", "per_class.csv", "scores.npz", "report.html"):
        assert str(output / name) in printed
        assert (output / name).exists()
    low, high = metrics["intervals"]["mAP"]
    assert low < metrics["mAP"] < high
    assert metrics["training_clips"] == "the run's config.json"
    assert "unfinished" not in metrics
    assert "training clips" in {row["kind"] for row in metrics["strata"]}
    with (output / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == set(labels)
    assert {row["training_clips"] for row in rows} == {"5"}
    assert {row["label_quality"] for row in rows} == {""}
    scores = load_scores(output / "scores.npz")
    index = load_index(data / "eval")
    np.testing.assert_array_equal(scores.clip_ids, index.clip_ids)
    np.testing.assert_array_equal(scores.target, index.targets() > 0)
    assert scores.meta["index_sha256"] == index.info.index_sha256
    page = (output / "report.html").read_text()
    assert page.count("data:image/png") == 4
    assert page.count("data:audio/ogg") == 4


def test_windows_give_what_single_clips_of_their_length_would(run_dir, data, tmp_path):
    scores = {}
    for name, more in {
        "whole": (),
        "one window": ("--window", 0.5),
        "mean": ("--window", 0.25, "--hop", 0.125),
        "max": ("--window", 0.25, "--hop", 0.125, "--aggregate", "max"),
        "padded": ("--window", 0.75),
    }.items():
        output = tmp_path / name
        given = ("--model", run_dir, "--data", data / "eval", "--output", output)
        commands.evaluate(*given, *more, *QUICK)
        scores[name] = load_scores(output / "scores.npz").score
        assert not (output / "report.html").exists()
    np.testing.assert_allclose(scores["one window"], scores["whole"], atol=1e-6)
    assert (scores["max"] > scores["mean"]).all()
    for name in ("mean", "padded"):
        assert np.abs(scores[name] - scores["whole"]).max() > 1e-5
    metrics = json.loads((tmp_path / "max" / "metrics.json").read_text())
    assert [metrics[name] for name in ("window", "hop", "aggregate")] == [0.25, 0.125, "max"]


def test_nothing_of_an_earlier_evaluation_stays(run_dir, tmp_path, capsys):
    synthesize_clips(tmp_path / "long", clips=12, clip_seconds=2, sample_rate=8000, progress=False)
    given = ("--model", run_dir, "--data", tmp_path / "long")
    commands.evaluate(*given, "--bootstrap", 0, "--mistakes", 0)
    assert "whole clips of 2 s" in capsys.readouterr().out
    output = run_dir / "evaluation" / "long"
    assert (output / "report.html").exists()
    commands.evaluate(*given, "--output", output, *QUICK)
    assert not (output / "report.html").exists()


def test_an_unfinished_run_says_so_everywhere(data, labels, tmp_path, capsys):
    run = make_run(tmp_path / "run", labels, finished=False)
    commands.evaluate("--model", run, "--data", data / "eval", "--bootstrap", 0, "--mistakes", 0)
    remark = "step 120 of 600; best.keras of step 60 is evaluated"
    assert f"unfinished: {remark}" in capsys.readouterr().out
    output = run / "evaluation" / "eval"
    assert json.loads((output / "metrics.json").read_text())["unfinished"] == remark
    assert f"Unfinished: {remark}" in (output / "report.html").read_text()


def test_models_that_cannot_be_evaluated_are_errors(data, labels, tmp_path):
    given = ("--data", data / "eval")
    run = make_run(tmp_path / "empty", labels, model=False)
    with pytest.raises(ValueError, match=r"without a model .*step 120 of 600"):
        commands.evaluate("--model", run, *given)
    network = create_model("Tiny", num_classes=len(labels))
    weights = network.get_weights()
    weights[-1][2] = np.nan
    network.set_weights(weights)
    network.save(run / "final.keras")
    with pytest.raises(ValueError, match=r"40 of 480 scores, in 40 .* are NaN .* class 2"):
        commands.evaluate("--model", run, *given)
    assert not (run / "evaluation").exists()
    run = make_run(tmp_path / "other", ["other", *labels[1:]])
    message = r"not the model's 12; number 0 is '.*', the model's 'other'"
    with pytest.raises(ValueError, match=message):
        commands.evaluate("--model", run, *given)


def test_mistakes_are_named_before_work_is_done(run_dir, data, tmp_path):
    (tmp_path / "file").touch()
    given = ("--model", run_dir, "--data", data / "eval")
    compared = ("--compare", "x", "y")
    for words, message in (
        ((*given, "--output", tmp_path / "file"), "is a file; give a folder"),
        ((*given, "--window", 0.25, "--hop", 0.3), "--hop 0.3 is longer than --window 0.25"),
        ((*given, "--window", 0.25, "--hop", 0), "hop must be "),
        ((*given, "--hop", 0.3), "--hop 0.3 needs a --window"),
        ((*given, "--aggregate", "max"), "--aggregate max needs a --window"),
        ((*given, "--bootstrap", 1), "--bootstrap must be 0, for no intervals, or at least 2"),
        ((*given, "--mistakes", -1), "mistakes must be at least 0; received -1"),
        ((*given, "--batch-size", 0), "batch_size must be at least 1; received 0"),
        ((*given, "--training-clips", "nowhere.csv"), "nowhere.csv"),
        (given[:2], "--data must be given, or --compare"),
        (given[2:], "--model must be given, or --compare"),
        (("--compare", "x"), "--compare x needs another run"),
        ((*compared, "--window", 0.2), "--window needs --data"),
        ((*compared, "--decimation", "skip"), "--decimation needs --data"),
    ):
        with pytest.raises(ValueError, match=message):
            commands.evaluate(*words)


def test_compare_uses_scores_again_and_makes_those_that_are_missing(data, labels, tmp_path, capsys):
    runs = [make_run(tmp_path / name, labels, seed) for seed, name in enumerate(("a", "b"))]
    output = ("--output", tmp_path / "out")
    given = ("--compare", *runs, "--data", data / "eval", *output, *QUICK)
    commands.evaluate(*given)
    assert capsys.readouterr().out.count("evaluated on") == 2
    table = (tmp_path / "out" / "comparison.csv").read_text()
    commands.evaluate(*given)
    assert capsys.readouterr().out.count("are used again") == 2
    assert (tmp_path / "out" / "comparison.csv").read_text() == table
    # Without records the scores that are there serve; --model comes first.
    commands.evaluate("--model", runs[0], "--compare", runs[1], *output, *QUICK)
    assert (tmp_path / "out" / "comparison.csv").read_text() == table
    # Another model, other windows: made anew.
    make_run(tmp_path / "c", labels, 7)
    (tmp_path / "c" / "final.keras").replace(runs[1] / "final.keras")
    commands.evaluate(*given)
    assert capsys.readouterr().out.count("are used again") == 1
    assert (tmp_path / "out" / "comparison.csv").read_text() != table
    commands.evaluate(*given, "--window", "0.25")
    assert "are used again" not in capsys.readouterr().out
    assert (runs[0] / "evaluation" / "eval-window0.25-hop0.25-mean" / "scores.npz").exists()


def test_the_best_model_does_not_replace_the_evaluation_of_the_final_one(data, labels, tmp_path):
    run = make_run(tmp_path / "run", labels)
    (make_run(tmp_path / "other", labels, 1) / "final.keras").replace(run / "best.keras")
    for model in (run, run / "best.keras"):
        commands.evaluate("--model", model, "--data", data / "eval", *QUICK)
    scores = [load_scores(path / "scores.npz") for path in sorted((run / "evaluation").iterdir())]
    models = [each.meta["model"].rpartition("/")[2] for each in scores]
    assert models == ["final.keras", "best.keras"]
