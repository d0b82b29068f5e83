"""`finetune` and `predict`, from sounds to a model that the other commands take."""

import collections
import csv
import io
import json

import numpy as np
import pytest
import soundfile

from panns_tf.cli import main
from panns_tf.models.network import Network
from panns_tf.transfer import finetune
from panns_tf.transfer.tasks import find_task
from tests.panns_tf.transfer import trees
from tests.panns_tf.transfer.tones import CLASSES, RATE, tone, write_folders

QUICK = ("--epochs", "1", "--min-steps", "20", "--batch-size", "8")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.keras"
    Network("Tiny", 7).save(path)
    return str(path)


@pytest.fixture
def run(weights, tmp_path):
    """Runs `finetune`; returns its output folder."""

    def run(*words, strategy="linear_probe", output="out"):
        output = tmp_path / output
        base = [] if strategy == "scratch" else ["--weights", weights]
        cache = ["--cache", str(tmp_path / "cache"), "--strategy", strategy]
        assert main(["finetune", *map(str, words), "--output", str(output), *base, *cache]) == 0
        return output

    return run


def records(output):
    return json.loads((output / "results.json").read_text())["results"]


def test_from_file_names_to_a_model_that_all_commands_take(run, tmp_path, capsys):
    flat = tmp_path / "flat"
    flat.mkdir()
    for label in CLASSES:
        for number in range(10):
            soundfile.write(flat / f"{label}_{number:02d}.wav", tone(label, number, 1.3), RATE)
    words = ("--data", flat, "--label-pattern", "(?P<label>[a-z]+)_", "--clip-seconds", 0.5)
    output = run(*words, *QUICK, strategy="freeze_l1")
    printed = capsys.readouterr().out
    assert "30 clips in 3 classes: 24 training, 6 test" in printed
    assert "labels are read from file names by" in printed
    names = {path.name for path in output.iterdir()}
    assert names == {
        *("config.json", "final.keras", "labels.txt", "metrics.jsonl", "test.csv", "train.csv"),
        *(
            "transfer.json",
            "results.json",
            "fewshot.csv",
            "predictions.csv",
            "report.html",
            "parts",
        ),
    }
    assert json.loads((output / "config.json").read_text())["config"]["arch"] == "Tiny"

    # The prediction is the mean over windows of what the test gave, and of what tag gives.
    (row,) = records(output)[0]["folds"]
    with (output / "predictions.csv").open() as file:
        tested = list(csv.DictReader(file))
    paths = [str(flat / row["clip_id"]) for row in tested]
    assert main(["predict", *paths, "--model", str(output), "--json", "--top", "3"]) == 0
    for line, row in zip(capsys.readouterr().out.splitlines(), tested, strict=True):
        best = json.loads(line)["predicted"][0]
        assert best["label"] == row["predicted"]
        assert best["probability"] == pytest.approx(float(row["probability"]), abs=2e-4)
    words = ["--model", str(output), "--json", "--window", "0.5", "--top", "3"]
    assert main(["tag", paths[0], *words]) == 0
    windows = json.loads(capsys.readouterr().out)["windows"]
    assert len(windows) == 3
    scores = [{tag["label"]: tag["score"] for tag in window["tags"]} for window in windows]
    mean = np.mean([score[tested[0]["predicted"]] for score in scores])
    assert mean == pytest.approx(float(tested[0]["probability"]), abs=2e-4)


def test_evaluate_takes_the_model_and_the_table_of_test_clips(run, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=10)
    output = run("--data", folder)
    words = f"--metadata {output}/test.csv --audio {folder} --labels {output}/labels.txt"
    words += f" --sample-rate 8000 --clip-seconds 1 --output {tmp_path}/packed"
    assert main(["pack", *words.split()]) == 0
    words = f"--model {output} --data {tmp_path}/packed --bootstrap 0 --no-report"
    assert main(["evaluate", *words.split()]) == 0
    metrics = json.loads((output / "evaluation" / "packed" / "metrics.json").read_text())
    (record,) = records(output)
    assert metrics["num_clips"] == record["folds"][0]["tested_clips"]
    assert metrics["accuracy"] == pytest.approx(record["value"], abs=1e-6)


def test_several_labels_from_a_table(run, tmp_path, capsys):
    rows = []
    for number in range(24):
        labels = [label for place, label in enumerate(CLASSES) if number >> place & 1]
        sound = sum((tone(label, number) for label in labels), np.zeros(4800, "float32"))
        soundfile.write(tmp_path / f"{number}.wav", sound / 3, RATE)
        rows.append((f"{number}.wav", ";".join(labels), number // 2))
    trees.table(tmp_path / "clips.csv", ("filename", "labels", "speaker"), rows)
    output = run("--data", tmp_path / "clips.csv")
    assert records(output)[0]["metric"] == "mAP"
    with pytest.raises(ValueError, match="--metric accuracy needs clips of one label each"):
        run("--data", tmp_path / "clips.csv", "--metric", "accuracy")
    groups = [
        {row["group"] for row in csv.DictReader((output / f"{part}.csv").open())}
        for part in ("train", "test")
    ]
    assert groups[0]
    assert not groups[0] & groups[1]
    capsys.readouterr()
    sound = str(tmp_path / "7.wav")
    assert main(["predict", sound, "--model", str(output), "--threshold", "1"]) == 0
    assert "nothing above 1; nearest: " in capsys.readouterr().out
    words = ["predict", sound, "--model", str(output), "--threshold", "0", "--csv"]
    assert main(words) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(table[0]) == ["file", "seconds", "label", "probability"]
    assert {row["label"] for row in table} == set(CLASSES)


def test_few_clips_of_two_strategies_are_in_one_table(run, tmp_path, capsys):
    folder = write_folders(tmp_path / "sounds", clips=6)
    words = ("--data", folder, "--clips-per-class", "1,all", "--folds", 2)
    output = run(*words, "--seeds", 2)
    run(*words, *QUICK, strategy="freeze_l3")
    with (output / "fewshot.csv").open() as file:
        rows = list(csv.DictReader(file))
    kinds = {(row["strategy"], row["clips_per_class"], row["seed"]) for row in rows}
    assert len(kinds) == len(rows) == 2 * 2 + 2
    assert (output / "curves.svg").is_file()
    assert (output / "fold-2" / "final.keras").is_file()
    assert "linear probe" in capsys.readouterr().out.rpartition("mean over folds")[2]


LEARN = ("--batch-size", 8, "--learning-rate", 3e-3, "--mixup", "none", "--no-dropout")


def test_scratch_learns(run, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=10)
    words = ("--arch", "Tiny", "--no-spec-augment", "--min-steps", 150, "--ema", 0.5)
    output = run("--data", folder, *LEARN, *words, "--patience", 0, strategy="scratch")
    assert records(output)[0]["value"] > 0.8
    assert not (output / "validation.csv").exists()


@pytest.mark.full  # a step is traced for each layer group
def test_finetune_stops_early_and_unfreezes(run, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=10)
    words = ("--min-steps", 150, "--patience", 2, "--unfreeze-epochs", 1, "--no-spec-augment")
    output = run("--data", folder, *LEARN, *words, "--layer-decay", 0.95, strategy="finetune")
    lines = [json.loads(line) for line in (output / "metrics.jsonl").open()]
    assert {"step", "loss", "validation"} == set(lines[-1])
    assert lines[-1]["step"] >= 150
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
    assert (output / "validation.csv").is_file()


def test_a_killed_run_continues_and_other_settings_are_refused(run, tmp_path, monkeypatch, capsys):
    folder = write_folders(tmp_path / "sounds", clips=6)
    (folder / "low" / "3.wav").write_bytes(b"no sound at all")
    (folder / "low" / "4.wav").write_bytes((folder / "low" / "5.wav").read_bytes())
    words = ("--data", folder, "--folds", 3)
    whole = run(*words, output="whole")
    printed = capsys.readouterr().out
    assert "17 clips in 3 classes; folds 1, 2, 3" in printed
    assert "1 clips cannot be read and were left out (rejected.csv)" in printed
    assert "several names: 2 clips, 1 different" in printed
    assert [row["filename"] for row in csv.DictReader((whole / "rejected.csv").open())] == [
        "low/3.wav"
    ]
    trained, train = [], finetune.Finetuner.train

    def killed(self, split, seed):
        trained.append(split.name)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(self, split, seed)

    monkeypatch.setattr(finetune.Finetuner, "train", killed)
    with pytest.raises(KeyboardInterrupt, match="the same command"):
        run(*words)
    output = run(*words)
    assert trained == ["1", "2", "2", "3"]
    for name in ("predictions.csv", "fewshot.csv"):
        assert (output / name).read_bytes() == (whole / name).read_bytes()
    run(*words)
    assert len(trained) == 4  # nothing is missing
    with pytest.raises(ValueError, match=r"other settings .clip_seconds was 1.0, now 0.5.*--force"):
        run(*words, "--clip-seconds", 0.5)
    (folder / "low" / "2.wav").write_bytes((folder / "low" / "1.wav").read_bytes())
    with pytest.raises(ValueError, match="the sounds differ"):
        run(*words)
    run(*words, "--force", "--only-folds", 2)
    with pytest.raises(ValueError, match=r"--only-folds 9: the folds are 1, 2, 3"):
        run(*words, "--only-folds", 9)


#: Test clips by fold of trees whose known corrupt and missing files are so.
TESTED = {
    "esc50": [400] * 5,
    "gtzan": [100] * 5 + [99] + [100] * 4,  # jazz.00054
    "ravdess": [360] * 4,
    "dcase2019_task1": [4185],
    "dcase2018_task2": [1600],
    "msos": [500],
}


@pytest.mark.full
@pytest.mark.parametrize("task", TESTED)
def test_a_published_tree_runs_through(run, tmp_path, task, capsys):
    """All files hold one sound, so that nothing can be learnt and everything must be counted."""
    sound = io.BytesIO()
    soundfile.write(sound, tone("low", 0, 0.1), RATE, format="WAV")
    folder = tmp_path / task
    folder.mkdir()
    trees.TREES[task](folder, sound=sound.getvalue())
    doubtful = find_task(task).doubtful
    corrupt = [path for path in folder.rglob("*.wav") if path.stem in doubtful]
    for path in corrupt:
        path.write_bytes(b"cut off")
    words = ("--task", task, "--data", folder, "--clip-seconds", 0.2, "--no-save-models")
    output = run(*words, "--epochs", 1, "--min-steps", 1, strategy="freeze_l1")
    printed = capsys.readouterr().out
    assert all(path.name in printed for path in corrupt)
    with (output / "predictions.csv").open() as file:
        counts = collections.Counter(row["fold"] for row in csv.DictReader(file))
    assert [counts[fold] for fold in sorted(counts, key=lambda f: (len(f), f))] == TESTED[task]
    assert "paper (Cnn14)" in printed


def test_mistakes_are_reported_in_a_line_before_work(tmp_path, weights):
    folder = write_folders(tmp_path / "sounds", clips=3)
    (tmp_path / "file").write_text("")
    for words, error in (
        ("--strategy scratch --weights x.keras", "leave --weights out"),
        ("--task gtzan", "does not look like GTZAN; expected genres"),
        ("--task speech", "esc50"),
        ("--strategy freeze_l1 --mixup none", "--mixup changes nothing"),
        ("--clips-per-class 0", "numbers above 0"),
        ("--hop-size 7", "the pretrained Tiny has 80; leave it out"),
        (f"--weights {folder}/gone.keras", "no such file"),
        ("--arch cnn99 --strategy scratch", "unknown network"),
        (f"--output {folder}/low/1.wav", "is a file"),
        (f"--output {folder}", "holds clips of the data set, such as high/0.wav"),
        (f"--cache {tmp_path}/file", "--cache .* is a file; give a folder"),
        ("--labels-from name", "needs --label-pattern"),
        ("--learning-rate -1 --strategy scratch --arch tiny", "learning_rate"),
    ):
        words = ["--data", str(folder), *words.split()]
        if "--weights" not in words and "scratch" not in words:
            words += ["--weights", weights]
        if "--output" not in words:
            words += ["--output", str(tmp_path / "out")]
        with pytest.raises(ValueError, match=error) as caught:
            main(["finetune", *words])
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
    for path in folder.rglob("*.wav"):
        path.write_bytes(b"no")
    with pytest.raises(ValueError, match="no clip of sounds can be read; the first: "):
        main(["finetune", "--data", str(folder), "--weights", weights, "--output",
              str(tmp_path / "out")])  # fmt: skip


def test_predict_without_a_run_and_what_it_refuses(tmp_path, capsys):
    network = Network("Tiny", 3, activation="softmax")
    network.labels = ["dog", "sea waves", "rain, hail"]
    network.save(tmp_path / "tiny.keras")
    model = str(tmp_path / "tiny.keras")
    for number, seconds in enumerate((0.3, 1.4)):
        soundfile.write(tmp_path / f"{number}.wav", tone("low", number, seconds), RATE)
    (tmp_path / "x.wav").write_bytes(b"no sound at all")
    paths = [str(tmp_path / f"{name}.wav") for name in "01x"]
    assert main(["predict", *paths, "--model", model]) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    output = tmp_path / "predictions.csv"
    assert main(["predict", *paths[:2], "--model", model, "--output", str(output)]) == 0
    rows = list(csv.DictReader(output.open()))
    assert [row["file"] for row in rows] == paths[:2]
    with pytest.raises(ValueError, match="exists"):
        main(["predict", *paths, "--model", model, "--output", str(output)])
    for content, error in (("{", "damaged"), ('{"clip_seconds": -1}', "expected clip_seconds")):
        (tmp_path / "transfer.json").write_text(content)
        with pytest.raises(ValueError, match=error):
            main(["predict", *paths, "--model", model])
    (tmp_path / "transfer.json").unlink()
    with pytest.raises(ValueError, match="top"):
        main(["predict", *paths, "--model", model, "--top", "0"])
    with pytest.raises(ValueError, match=r"without final\.keras"):
        main(["predict", *paths, "--model", str(tmp_path)])
    with pytest.raises(SystemExit):
        main(["predict", *paths])
