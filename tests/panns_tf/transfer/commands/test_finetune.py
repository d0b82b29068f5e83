import collections
import csv
import io
import json

import numpy as np
import pytest
import soundfile

from panns_tf.__main__ import main
from panns_tf.transfer.tasks import find_task
from tests.panns_tf.inference.support import trained as trained_network
from tests.panns_tf.transfer import trees
from tests.panns_tf.transfer.tones import CLASSES, RATE, tone, write_folders

# The command has TensorFlow repeat its bits, which is not to outlast a test.
pytestmark = pytest.mark.usefixtures("deterministic")
QUICK = ("--epochs", "1", "--min-steps", "20", "--batch-size", "8")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.keras"
    trained_network("Tiny", 7).save(path)
    return str(path)


@pytest.fixture
def finetune(weights, tmp_path):
    """Runs the command; returns its output folder."""

    def run(*words, strategy="freeze_l1"):
        output = tmp_path / "out"
        base = [] if strategy == "scratch" else ["--weights", weights]
        cache = ["--cache", str(tmp_path / "cache")]
        words = [*map(str, words), "--strategy", strategy, "--output", str(output), *base, *cache]
        assert main(["finetune", *words]) == 0
        return output

    return run


def test_a_flat_folder_ends_as_a_model_that_all_commands_take(finetune, tmp_path, capsys):
    flat = tmp_path / "flat"
    flat.mkdir()
    for label in CLASSES:
        for number in range(10):
            soundfile.write(flat / f"{label}_{number:02d}.wav", tone(label, number), RATE)
    output = finetune("--data", flat, *QUICK)
    printed = capsys.readouterr().out
    assert "30 clips in 3 classes" in printed
    assert "labels are read from file names" in printed
    assert json.loads((output / "results.json").read_text())
    assert (output / "report.html").is_file()
    new = tmp_path / "new.wav"
    soundfile.write(new, tone("low", 99), RATE)

    assert main(["tag", str(new), "--model", str(output), "--json"]) == 0
    tags = json.loads(capsys.readouterr().out)["tags"]
    assert {tag["label"] for tag in tags} == set(CLASSES)
    assert sum(tag["score"] for tag in tags) == pytest.approx(1, abs=1e-4)

    assert main(["predict", str(new), "--model", str(output), "--csv"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert row["label"] in CLASSES

    assert main(["export", "--model", str(output), "--output", str(tmp_path / "saved")]) in (
        0,
        None,
    )
    import tensorflow as tf

    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["tag"]
    labels = served(waveform=tf.zeros((1, RATE)))["labels"].numpy().ravel()
    assert {label.decode() for label in labels} == set(CLASSES)


def test_evaluate_takes_the_model_and_the_table_of_tested_clips(finetune, tmp_path, capsys):
    import evaluate
    from tfrecords.__main__ import main as pack

    folder = write_folders(tmp_path / "sounds", clips=10)
    output = finetune("--data", folder, *QUICK)
    words = f"--metadata {output}/test.csv --audio {folder} --labels {output}/labels.txt"
    words += f" --sample-rate 8000 --clip-seconds 0.6 --output {tmp_path}/packed"
    assert not pack(["pack", *words.split()])
    words = f"--model {output} --data {tmp_path}/packed --bootstrap 0 --no-report"
    evaluate.main(words.split())
    said = json.loads((output / "evaluation" / "packed" / "metrics.json").read_text())
    (record,) = json.loads((output / "results.json").read_text())["results"]
    tested = (output / "test.csv").read_text().splitlines()
    assert said["num_clips"] == len(tested) - 1
    assert said["accuracy"] == pytest.approx(record["value"], abs=1e-6)


def test_several_labels_from_a_table(finetune, tmp_path, capsys):
    rows = []
    for number in range(24):
        labels = [label for place, label in enumerate(CLASSES) if number >> place & 1]
        sound = sum((tone(label, number) for label in labels), np.zeros(4800, "float32"))
        soundfile.write(tmp_path / f"{number}.wav", sound / 3, RATE)
        rows.append(f"{number}.wav,{';'.join(labels)},{number // 2}")
    (tmp_path / "clips.csv").write_text("\n".join(["filename,labels,speaker", *rows]) + "\n")
    output = finetune("--data", tmp_path / "clips.csv", *QUICK)
    printed = capsys.readouterr().out
    assert "mAP" in printed
    parts = [
        {row["group"] for row in csv.DictReader((output / f"{part}.csv").open())}
        for part in ("train", "test")
    ]
    assert parts[0]
    assert not parts[0] & parts[1]


def test_few_shot_curves(finetune, tmp_path):
    folder = write_folders(tmp_path / "sounds", clips=10)
    words = ("--data", folder, "--clips-per-class", "1,2,all", "--seeds", 2)
    output = finetune(*words, strategy="linear_probe")
    finetune(*words, *QUICK)
    with (output / "fewshot.csv").open() as file:
        rows = list(csv.DictReader(file))
    kinds = {(row["strategy"], row["clips_per_class"], row["seed"]) for row in rows}
    assert len(kinds) == len(rows) == 2 * 3 * 2
    assert main(["plot", "fewshot", str(output / "fewshot.csv"), "--output", str(tmp_path)]) == 0
    assert (output / "curves.png").is_file()


#: Tested clips by fold of trees whose known corrupt and missing files are so.
TESTED = {
    "esc50": [400] * 5,
    "gtzan": [100] * 5 + [99] + [100] * 4,  # jazz.00054
    "ravdess": [360] * 4,
    "dcase2019_task1": [4185],
    "dcase2018_task2": [1600],
    "msos": [500],
}


@pytest.mark.slow
@pytest.mark.parametrize("task", TESTED)
def test_a_published_tree_runs_through(finetune, tmp_path, task, capsys):
    """All files hold one sound, so that nothing can be learnt and everything must be counted."""
    sound = io.BytesIO()
    soundfile.write(sound, tone("low", 0, 0.1), RATE, format="WAV")
    folder = tmp_path / task
    folder.mkdir()
    trees.TREES[task](folder, sound=sound.getvalue())
    doubtful = find_task(task).doubtful
    corrupt = [path for path in folder.rglob("*.wav") if path.stem in doubtful]
    assert bool(corrupt) == (task == "gtzan")  # Zenodo's copy lacks those of FSDKaggle2018
    for path in corrupt:
        path.write_bytes(b"cut off")
    words = ("--task", task, "--data", folder, "--clip-seconds", 0.2, "--no-save-models")
    output = finetune(*words, "--epochs", 1, "--min-steps", 1)
    printed = capsys.readouterr().out
    for path in corrupt:
        assert path.name in printed
    with (output / "predictions.csv").open() as file:
        counts = collections.Counter(row["fold"] for row in csv.DictReader(file))
    assert [counts[fold] for fold in sorted(counts, key=lambda f: (len(f), f))] == TESTED[task]
    assert "paper (Cnn14)" in printed or task == "dcase2019_task1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--data {folder} --strategy scratch --weights x.keras", "leave --weights out"),
        ("--data {folder} --task gtzan", "one folder a class: leave --task out"),
        ("--data {folder} --task gtzan --folds 3", "--folds is for a data set of one's own"),
        ("--data {folder} --task speech", "esc50"),
        ("--data {folder} --strategy freeze_l1 --mixup none", "--mixup changes nothing"),
        ("--data {folder} --strategy scratch --unfreeze-epochs 2", "changes nothing"),
        ("--data {folder} --clips-per-class 0", "numbers above 0"),
        ("--data {folder} --seeds many", "--seeds"),
        ("--data {folder} --hop-size 7", "the pretrained Tiny has 80; leave it out"),
        ("--data {folder} --weights {folder}/gone.keras", "no such file"),
        ("--data {folder}/gone", "does not exist"),
        ("--data {folder} --arch cnn99", "unknown network"),
        ("--data {folder} --output {folder}/low/1.wav", "is a file"),
        ("--data {folder} --workers 0", "--workers"),
        ("--data {folder} --learning-rate -1 --strategy scratch --arch tiny", "learning_rate"),
    ],
)
def test_mistakes_are_told_in_a_line(tmp_path, weights, words, message):
    folder = write_folders(tmp_path / "sounds", clips=3)
    words = words.format(folder=folder)
    if "--weights" not in words and "scratch" not in words and "--arch" not in words:
        words += f" --weights {weights}"
    with pytest.raises(ValueError, match=message) as error:
        main(["finetune", *words.split()])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
