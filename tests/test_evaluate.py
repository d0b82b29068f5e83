"""The evaluation command as people run it."""

import csv
import json

import numpy as np
import pytest

import evaluate
from panns_tf.evaluation.scores import load_scores
from panns_tf.weights.loading import create_model
from tfrecords import load_index, synthesize_clips

# Evaluations compile a network each; XLA would take most of the time.
pytestmark = pytest.mark.usefixtures("plain")

QUICK = ["--bootstrap", "20", "--no-report"]


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


def words(*arguments) -> list[str]:
    return [str(word) for word in arguments]


def test_leaves_what_its_help_says(run_dir, data, labels, tmp_path, capsys):
    output = tmp_path / "out"
    evaluate.main(
        words(
            *("--model", run_dir, "--data", data / "eval", "--output", output),
            *("--bootstrap", 20, "--mistakes", 2),
        )
    )
    printed = capsys.readouterr().out
    figures = json.loads((output / "metrics.json").read_text())
    assert f"{figures['mAP']:.4f}" in printed
    for name in ("metrics.json", "per_class.csv", "scores.npz", "report.html"):
        assert str(output / name) in printed
        assert (output / name).exists()
    low, high = figures["intervals"]["mAP"]
    assert low < figures["mAP"] < high
    assert figures["training_clips"] == "the run's config.json"
    assert "unfinished" not in figures
    kinds = {row["kind"] for row in figures["strata"]}
    assert "training clips" in kinds
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


def test_windows_hear_what_single_clips_of_their_length_would(run_dir, data, tmp_path):
    found = {}
    for name, more in {
        "whole": (),
        "one window": ("--window", 0.5),
        "mean": ("--window", 0.25, "--hop", 0.125),
        "max": ("--window", 0.25, "--hop", 0.125, "--aggregate", "max"),
    }.items():
        output = tmp_path / name
        given = ("--model", run_dir, "--data", data / "eval", "--output", output, *more)
        evaluate.main([*words(*given), *QUICK])
        found[name] = load_scores(output / "scores.npz").score
        assert not (output / "report.html").exists()
    np.testing.assert_allclose(found["one window"], found["whole"], atol=1e-6)
    assert (found["max"] > found["mean"]).all()
    assert np.abs(found["mean"] - found["whole"]).max() > 1e-5
    figures = json.loads((tmp_path / "max" / "metrics.json").read_text())
    assert [figures[name] for name in ("window", "hop", "aggregate")] == [0.25, 0.125, "max"]


def test_longer_clips_than_those_of_training_pass_whole(run_dir, tmp_path, capsys):
    synthesize_clips(tmp_path / "long", clips=12, clip_seconds=2, sample_rate=8000, progress=False)
    evaluate.main([*words("--model", run_dir, "--data", tmp_path / "long"), *QUICK])
    assert "whole clips of 2 s" in capsys.readouterr().out
    assert (run_dir / "evaluation" / "long" / "metrics.json").exists()


def test_nothing_of_an_earlier_evaluation_stays(run_dir, data, tmp_path):
    given = ("--model", run_dir, "--data", data / "eval", "--output", tmp_path / "o")
    evaluate.main(words(*given, "--bootstrap", 0, "--mistakes", 0))
    assert (tmp_path / "o" / "report.html").exists()
    evaluate.main(words(*given, "--bootstrap", 0, "--window", 0.25, "--no-report"))
    assert not (tmp_path / "o" / "report.html").exists()


def test_an_output_that_is_a_file_is_told_before_the_network_runs(run_dir, data, tmp_path):
    (tmp_path / "o").touch()
    with pytest.raises(ValueError, match="is a file; give a folder"):
        evaluate.main(
            words("--model", run_dir, "--data", data / "eval", "--output", tmp_path / "o")
        )


def test_an_unfinished_run_says_so_everywhere(data, labels, tmp_path, capsys):
    run = make_run(tmp_path / "run", labels, finished=False)
    evaluate.main(words("--model", run, "--data", data / "eval", "--bootstrap", 0, "--mistakes", 0))
    said = "step 120 of 600; best.keras of step 60 is evaluated"
    assert f"unfinished: {said}" in capsys.readouterr().out
    output = run / "evaluation" / "eval"
    assert json.loads((output / "metrics.json").read_text())["unfinished"] == said
    assert f"Unfinished: {said}" in (output / "report.html").read_text()


def test_a_run_without_a_model_says_how_far_it_is(data, labels, tmp_path):
    run = make_run(tmp_path / "run", labels, model=False)
    with pytest.raises(ValueError, match="without a model: it is at step 120 of 600"):
        evaluate.main(words("--model", run, "--data", data / "eval"))


def test_nan_scores_are_an_error_with_clips_and_classes(data, labels, tmp_path):
    run = make_run(tmp_path / "run", labels, model=False)
    network = create_model("Tiny", num_classes=len(labels))
    weights = network.get_weights()
    weights[-1][2] = np.nan
    network.set_weights(weights)
    network.save(run / "final.keras")
    first = load_index(data / "eval").clip_ids[0].decode()
    with pytest.raises(ValueError, match=rf"NaN or infinite for 40 of 40 clips \({first}.*1 of 12"):
        evaluate.main(words("--model", run, "--data", data / "eval"))
    assert not (run / "evaluation").exists()


def test_one_clip_is_an_error(run_dir, tmp_path):
    synthesize_clips(tmp_path / "one", clips=1, clip_seconds=0.5, sample_rate=8000, progress=False)
    with pytest.raises(ValueError, match="no class has both positive and negative clips"):
        evaluate.main(words("--model", run_dir, "--data", tmp_path / "one"))


def test_another_class_list_is_an_error(data, labels, tmp_path):
    run = make_run(tmp_path / "run", ["other", *labels[1:]])
    with pytest.raises(
        ValueError, match=r"not the model's 12; number 0 is '.*', the model's 'other'"
    ):
        evaluate.main(words("--model", run, "--data", data / "eval"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--window", 9), "--window 9 is longer than the clips, which have 0.5 s"),
        (("--window", 0.25, "--hop", 0.3), "--hop 0.3 is longer than --window 0.25"),
        (("--window", 0.25, "--hop", 0), "--hop must be above 0"),
        (("--bootstrap", 1), "--bootstrap must be 0, for no intervals, or at least 2"),
        (("--mistakes", -1), "--mistakes must be at least 0"),
        (("--training-clips", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_wrong_options_are_named(run_dir, data, more, message):
    with pytest.raises((ValueError, OSError), match=message):
        evaluate.main(words("--model", run_dir, "--data", data / "eval", *more))


@pytest.mark.parametrize(
    "given",
    [
        ("--model", "x"),
        ("--data", "x"),
        ("--model", "x", "--data", "y", "--aggregate", "max"),
        ("--compare", "x"),
        ("--model", "x", "--data", "y", "--batch-size", "0"),
        ("--compare", "x", "y", "--window", "0.2"),
        ("--compare", "x", "y", "--decimation", "skip"),
    ],
)
def test_incomplete_commands_are_refused(given, capsys):
    with pytest.raises(SystemExit):
        evaluate.parse(list(given))
    assert given[-2] in capsys.readouterr().err or given[0] == "--data"


def test_compare_uses_scores_again_and_makes_those_that_lack(data, labels, tmp_path, capsys):
    runs = [make_run(tmp_path / name, labels, seed) for seed, name in enumerate(("a", "b"))]
    given = words("--compare", *runs, "--data", data / "eval", "--output", tmp_path / "out")
    evaluate.main([*given, *QUICK])
    first = capsys.readouterr().out
    assert first.count("evaluated on") == 2
    table = (tmp_path / "out" / "comparison.csv").read_text()
    evaluate.main([*given, *QUICK])
    again = capsys.readouterr().out
    assert again.count("are used again") == 2
    assert (tmp_path / "out" / "comparison.csv").read_text() == table
    # Without records the scores that are there serve; --model comes first.
    evaluate.main([*words("--model", runs[0], "--compare", runs[1]), *given[-2:], *QUICK])
    assert (tmp_path / "out" / "comparison.csv").read_text() == table
    # Another model, other windows: made anew.
    make_run(tmp_path / "c", labels, 7)
    (tmp_path / "c" / "final.keras").replace(runs[1] / "final.keras")
    evaluate.main([*given, *QUICK])
    assert capsys.readouterr().out.count("are used again") == 1
    assert (tmp_path / "out" / "comparison.csv").read_text() != table
    evaluate.main([*given, "--window", "0.25", *QUICK])
    assert "are used again" not in capsys.readouterr().out
    assert (runs[0] / "evaluation" / "eval-window0.25-hop0.25-mean" / "scores.npz").exists()


def test_the_best_model_does_not_replace_the_evaluation_of_the_final_one(data, labels, tmp_path):
    run = make_run(tmp_path / "run", labels)
    other = make_run(tmp_path / "other", labels, 1)
    (other / "final.keras").replace(run / "best.keras")
    evaluate.main([*words("--model", run, "--data", data / "eval"), *QUICK])
    evaluate.main([*words("--model", run / "best.keras", "--data", data / "eval"), *QUICK])
    found = [load_scores(path / "scores.npz") for path in sorted((run / "evaluation").iterdir())]
    assert [scores.meta["model"].rpartition("/")[2] for scores in found] == [
        "final.keras",
        "best.keras",
    ]
