"""The training command as people run it: its files, its mistakes, and being killed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile

import evaluate
import tfrecords
import train
from tfrecords import load_index, read_black_list, synthesize_clips

ROOT = Path(__file__).parents[1]


def flags(folder, run_dir, **more) -> list[str]:
    values = {
        "arch": "tiny",
        "data": folder / "train",
        "eval-data": folder / "eval",
        "run-dir": run_dir,
        "steps": 30,
        "batch-size": 4,
        "eval-steps": 30,
        "log-steps": 1,
        "checkpoint-steps": 3,
        **more,
    }
    return [text for name, value in values.items() for text in (f"--{name}", str(value))]


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "tests.tiny_train", *map(str, arguments)]


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run from start to end in a process of its own."""
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    done = run(*flags(data, run_dir))
    assert done.returncode == 0, done.stderr
    return run_dir, done.stdout


def test_leaves_what_the_readme_says(finished):
    run_dir, printed = finished
    for name in (
        "config.json",
        "metrics.jsonl",
        "checkpoints",
        "best.keras",
        "final.keras",
        "saved_model",
        "tensorboard",
    ):
        assert (run_dir / name).exists(), name
    for path in ("final.keras", "best.keras", "saved_model", "metrics.jsonl", "tensorboard"):
        assert str(run_dir / path) in printed
    config = json.loads((run_dir / "config.json").read_text())
    assert config["config"]["steps"] == 30
    assert len(config["labels"]) == 12
    assert "held-out mAP" in printed
    assert "chance" in printed


def weights(run_dir) -> list[np.ndarray]:
    return keras.saving.load_model(run_dir / "final.keras").get_weights()


def test_evaluate_takes_the_run_the_model_and_the_saved_model(finished, data, tmp_path, capsys):
    run_dir, _ = finished
    figures = []
    for number, model in enumerate((run_dir, run_dir / "final.keras", run_dir / "saved_model")):
        output = tmp_path / str(number)
        evaluate.main(
            ["--model", str(model), "--data", str(data / "eval"), "--output", str(output)]
        )
        figures.append(json.loads((output / "metrics.json").read_text()))
        assert (output / "per_class.csv").read_text().count("\n") == 13
    assert "mAP" in capsys.readouterr().out
    last = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()][-1]
    for values in figures:
        assert values["num_clips"] == 40
        for key in ("mAP", "mAUC", "d_prime"):
            assert values[key] == pytest.approx(last[key], abs=1e-5)


def test_evaluate_reads_records_of_a_higher_rate(finished, tmp_path):
    run_dir, _ = finished
    synthesize_clips(tmp_path / "rate", clips=12, sample_rate=32000, progress=False)
    found = {}
    for decimation in ("lowpass", "skip"):
        output = tmp_path / decimation
        words = f"--model {run_dir} --data {tmp_path}/rate --decimation {decimation}"
        evaluate.main([*words.split(), "--output", str(output)])
        found[decimation] = json.loads((output / "metrics.json").read_text())
    assert found["lowpass"]["num_clips"] == 12
    assert found["lowpass"]["mAP"] != found["skip"]["mAP"]


def test_damaged_records_are_named_or_skipped_and_counted(finished, data, tmp_path):
    run_dir, _ = finished
    packed = shutil.copytree(data / "train", tmp_path / "packed")
    index = load_index(packed)
    shard = Path(index.shard_path(int(index.shard[3])))
    content = bytearray(shard.read_bytes())
    content[int(index.offset[3]) + 500] ^= 1
    shard.write_bytes(content)
    clip_id = index.clip_ids[3].decode()
    words = ["--model", str(run_dir), "--data", str(packed), "--output", str(tmp_path / "e")]
    with pytest.raises(ValueError, match=f"clip {clip_id}: the record"):
        evaluate.main(words)
    evaluate.main([*words, "--damaged", "skip"])
    values = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert (values["num_clips"], values["damaged_clips"]) == (index.num_clips - 1, 1)
    # Training draws another clip in its place.
    options = flags(data, tmp_path / "r", data=packed, steps=6, sampling="shuffled")
    options += ["--batch-size", str(index.num_clips // 2)]
    with pytest.raises(ValueError, match=f"clip {clip_id}: the record"):
        train.main(options)
    options = [
        text.replace("/r", "/s") if text == str(tmp_path / "r") else text for text in options
    ]
    train.main([*options, "--damaged", "skip"])
    lines = (tmp_path / "s" / "metrics.jsonl").read_text().splitlines()
    assert max(json.loads(line).get("damaged_clips", 0) for line in lines) == 1


def test_train_on_a_part_of_the_clips(data, tmp_path, capsys):
    index = load_index(data / "train")
    black_list = tmp_path / "black list.txt"
    black_list.write_text("\n".join(clip_id.decode() for clip_id in index.clip_ids[:5]) + "\n")
    left = index.select(read_black_list(black_list), 0.5)
    options = flags(data, tmp_path / "r", steps=2, exclude=black_list, fraction=0.5)
    train.main(options)
    assert f"{len(left)} training clips" in capsys.readouterr().out
    written = json.loads((tmp_path / "r" / "config.json").read_text())
    config = written["config"]
    assert (config["fraction"], config["exclude"]) == (0.5, str(black_list))
    assert written["training_clips"] == index.targets(left).sum(axis=0).tolist()


def test_a_network_that_differs_from_its_row(data, tmp_path):
    changes = {"hop-size": 160, "mel-bins": 32, "embedding-size": 5}
    train.main(flags(data, tmp_path / "r", steps=2, **changes))
    network = keras.saving.load_model(tmp_path / "r" / "final.keras")
    assert (network.row.frontend.hop_size, network.row.frontend.mel_bins) == (160, 32)
    assert network.output_shapes["embedding"] == (None, 5)


def test_evaluate_refuses_records_of_a_lower_rate_or_another_class_list(finished, tmp_path):
    run_dir, _ = finished
    rate = tfrecords.PackSettings(
        metadata=tmp_path / "m.csv", audio=tmp_path, output=tmp_path / "rate", sample_rate=4000
    )
    soundfile.write(tmp_path / "x.wav", np.zeros(4000), 4000)
    (tmp_path / "m.csv").write_text("filename,labels\nx.wav,a\n")
    tfrecords.pack_clips(rate, progress=False)
    synthesize_clips(
        tmp_path / "classes",
        clips=12,
        clip_seconds=0.5,
        sample_rate=8000,
        num_classes=11,
        progress=False,
    )
    for name, message in (("rate", "4000 Hz"), ("classes", "11 classes")):
        with pytest.raises(ValueError, match=message):
            evaluate.main(["--model", str(run_dir), "--data", str(tmp_path / name)])


def test_mistakes_are_one_line(finished, data, tmp_path):
    done = run(*flags(data, tmp_path / "r", arch="wavegram_logmell"))
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert lines == [line for line in lines if "Wavegram_Logmel_Cnn14" in line] != []
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"data": "nowhere"}, "nowhere"),
        ({"arch": "wavegram_tiny"}, "8000 Hz but the model expects 32000 Hz"),
        ({"exclude": "nowhere"}, "nowhere, does not exist"),
        ({"fraction": 1.5}, r"fraction must lie in \(0, 1\]"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch-size": -1}, "batch_size must be at least 1"),
        ({"learning-rate": 0}, "learning_rate must be above 0"),
        ({"seed": -1}, "seed must be 0"),
        ({"sample-rate": 4000}, "fmax"),
        ({"window-size": 255}, "window_size must be even"),
        ({"embedding-size": 0}, "embedding_size must be at least 1"),
    ],
)
def test_bad_settings_leave_nothing_behind(data, tmp_path, more, message):
    run_dir = tmp_path / "r"
    with pytest.raises(ValueError, match=message):
        train.main(flags(data, run_dir, **more))
    assert not run_dir.exists()


def test_eval_data_of_other_classes_is_refused_at_once(data, tmp_path):
    other = tmp_path / "other"
    synthesize_clips(
        other, clips=12, clip_seconds=0.5, sample_rate=8000, num_classes=11, progress=False
    )
    with pytest.raises(ValueError, match="11 classes that are not the model's 12"):
        train.main(flags(data, tmp_path / "r", **{"eval-data": other}))


def test_data_on_which_nothing_can_be_measured_is_refused_at_once(data, tmp_path):
    synthesize_clips(tmp_path / "one", clips=1, clip_seconds=0.5, sample_rate=8000, progress=False)
    with pytest.raises(ValueError, match="nothing can be measured on the 1 clips"):
        train.main(flags(data, tmp_path / "r", **{"eval-data": tmp_path / "one"}))
    assert not (tmp_path / "r").exists()


def test_a_damaged_configuration_is_named(tmp_path):
    for content in ("{}", "", '{"config": {"steps": "10"}}', '{"config": {"stepz": 1}}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=r"config.json is damaged"):
            train.main(["--run-dir", str(tmp_path), "--resume"])


def test_resume_says_what_changed(finished):
    run_dir, _ = finished
    with pytest.raises(ValueError, match=r"learning_rate was 0\.001, now 0\.1"):
        train.main(["--run-dir", str(run_dir), "--resume", "--learning-rate", "0.1"])
    with pytest.raises(ValueError, match="already holds a run; add --resume"):
        train.main(["--arch", "tiny", "--run-dir", str(run_dir)])
    with pytest.raises(ValueError, match="--resume needs --run-dir"):
        train.main(["--resume"])
    with pytest.raises(ValueError, match="the run is at step 30 already"):
        train.main(["--run-dir", str(run_dir), "--resume", "--steps", "2"])
    with pytest.raises(ValueError, match="no run in"):
        train.main(["--resume", "--run-dir", str(run_dir / "absent")])


def test_a_damaged_shard_is_named(data, tmp_path):
    shutil.copytree(data, tmp_path / "d")
    (shard,) = (tmp_path / "d/train").glob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    for place in range(500, len(content), 4000):
        content[place] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^shard {shard.name}, clip train_\d+.wav") as caught:
        train.main(flags(tmp_path / "d", tmp_path / "r"))
    assert str(caught.value).endswith(f"verify {tmp_path / 'd/train'}'")
