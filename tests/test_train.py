"""The training command as people run it: its files and its mistakes."""

import json
import shutil
from pathlib import Path

import keras
import pytest

import train
from tests import commands
from tfrecords import load_index, read_exclude_list, synthesize_clips


def flags(folder, run_dir, **more) -> list[str]:
    values = {
        "arch": "small",
        "data": folder / "train",
        "eval-data": folder / "eval",
        "run-dir": run_dir,
        "steps": 3,
        "batch-size": 4,
        "eval-training-clips": 0,
        "log-steps": 1,
        **more,
    }
    return [str(text) for name, value in values.items() for text in (f"--{name}", value)]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    changes = {"hop-size": 160, "mel-bins": 32, "embedding-size": 5}
    train.main([*flags(data, run_dir, fraction=0.5, **changes)])
    return run_dir


def test_leaves_what_the_documentation_names(finished, data):
    names = ("config.json", "metrics.jsonl", "checkpoints", "best.keras", "final.keras")
    for name in (*names, "saved_model", "tensorboard", "evaluation/per_class.csv"):
        assert (finished / name).exists(), name
    written = json.loads((finished / "config.json").read_text())
    assert written["config"]["steps"] == 3
    assert set(written) == {"config", "labels", "training_clips", "versions"}
    index = load_index(data / "train")
    clips = index.select((), 0.5)
    assert written["training_clips"] == index.targets(clips).sum(axis=0).tolist()
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    metrics = json.loads((finished / "evaluation/metrics.json").read_text())
    assert metrics["mAP"] == pytest.approx(lines[-1]["mAP"])
    network = keras.saving.load_model(finished / "final.keras")
    assert list(network.labels) == written["labels"]
    frontend = network.arch.frontend
    assert (frontend.hop_size, frontend.mel_bins) == (160, 32)
    assert network.output_shapes["embedding"] == (None, 5)


def test_prints_metrics_and_where_everything_is(data, tmp_path, capsys):
    train.main([*flags(data, tmp_path / "r"), "--no-pictures"])
    printed = capsys.readouterr().out
    assert "held-out mAP" in printed
    assert "chance" in printed
    for name in ("final.keras", "best.keras", "saved_model", "metrics.jsonl", "tensorboard"):
        assert str(tmp_path / "r" / name) in printed
    with pytest.raises(ValueError, match=r"learning_rate was 0\.001, now 0\.1"):
        train.main(["--run-dir", str(tmp_path / "r"), "--resume", "--learning-rate", "0.1"])
    with pytest.raises(ValueError, match="the run is at step 3 already"):
        train.main(["--run-dir", str(tmp_path / "r"), "--resume", "--steps", "2"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"arch": "wavegram_logmell"}, "Wavegram_Logmel_Cnn14"),
        ({"data": "nowhere"}, "nowhere"),
        ({"arch": "wavegram_tiny"}, "8000 Hz but the model expects 32000 Hz"),
        ({"exclude": "nowhere"}, "clips to exclude nowhere does not exist"),
        ({"fraction": 1.5}, r"fraction must be above 0 and at most 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batch-size": -1}, "batch_size must be at least 1"),
        ({"batch-size": 6, "accumulate": 4}, "batch_size 6 cannot be cut into 4 equal parts"),
        ({"learning-rate": 0}, "learning_rate must be above 0"),
        ({"seed": -1}, "seed must be "),
        ({"sample-rate": 4000}, "fmax"),
        ({"window-size": 255}, "window_size must be even"),
        ({"embedding-size": 0}, "embedding_size must be at least 1"),
        ({"profile": "5:3"}, "profile must be START:STOP"),
        ({"watch-classes": "barking"}, "no class 'barking'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(data, tmp_path, more, message):
    run_dir = tmp_path / "r"
    with pytest.raises(ValueError, match=message) as caught:
        train.main(flags(data, run_dir, **more))
    assert "\n" not in str(caught.value)
    assert not run_dir.exists()


def test_held_out_records_that_are_of_no_use_are_refused_at_once(data, tmp_path):
    settings = {"clip_seconds": 0.5, "sample_rate": 8000, "progress": False}
    synthesize_clips(tmp_path / "other", clips=12, num_classes=11, **settings)
    synthesize_clips(tmp_path / "one", clips=1, **settings)
    for name, message in (
        ("other", "11 classes that are not the model's 12"),
        ("one", "nothing can be measured on the 1 clips"),
    ):
        with pytest.raises(ValueError, match=message):
            train.main(flags(data, tmp_path / "r", **{"eval-data": tmp_path / name}))
        assert not (tmp_path / "r").exists()


def test_clips_that_are_excluded_or_damaged(data, tmp_path):
    packed = shutil.copytree(data / "train", tmp_path / "packed")
    index = load_index(packed)
    shard = Path(index.shard_path(int(index.shard[3])))
    content = bytearray(shard.read_bytes())
    content[int(index.offset[3]) + 500] ^= 1
    shard.write_bytes(content)
    clip_id = index.clip_ids[3].decode()
    # Every clip is sampled once in the first update.
    settings = {"data": packed, "sampling": "shuffled", "batch-size": index.num_clips // 2}
    settings["steps"] = 1
    words = [*flags(data, tmp_path / "a", **settings), "--no-pictures"]
    with pytest.raises(ValueError, match=rf"^shard {shard.name}, clip {clip_id}: the record") as e:
        train.main(words)
    assert str(e.value).endswith(f"verify {packed}'")
    # Another clip is sampled in its place, or it is left out.
    train.main([*flags(data, tmp_path / "b", **settings), "--no-pictures", "--damaged", "skip"])
    lines = (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()
    assert max(json.loads(line).get("damaged_clips", 0) for line in lines) == 1
    exclude_list = tmp_path / "exclude list.txt"
    exclude_list.write_text(f"{clip_id}\n")
    settings["batch-size"] = 4
    train.main([*flags(data, tmp_path / "c", **settings, exclude=exclude_list), "--no-pictures"])
    written = json.loads((tmp_path / "c" / "config.json").read_text())
    clips = index.select(read_exclude_list(exclude_list), 1.0)
    assert written["training_clips"] == index.targets(clips).sum(axis=0).tolist()


@pytest.mark.full
def test_a_mistake_is_one_line_of_the_process(data, tmp_path):
    process = commands.training_process(*flags(data, tmp_path / "r", arch="wavegram_logmell"))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    (line,) = [line for line in errors.splitlines() if line.startswith("error:")]
    assert "Wavegram_Logmel_Cnn14" in line
    assert "Traceback" not in errors


@pytest.mark.full
def test_the_demo_runs_without_any_data(tmp_path, capsys):
    train.main(["--arch", "wavegram_tiny", "--run-dir", str(tmp_path / "r"), "--steps", "2"])
    assert "held-out mAP" in capsys.readouterr().out
    assert (tmp_path / "r/data/train/dataset.json").exists()


@pytest.mark.full
def test_distillation_changes_the_loss(finished, data, tmp_path):
    losses = []
    changes = {"hop-size": 160, "mel-bins": 32, "embedding-size": 5}
    for name, more in (("plain", {}), ("taught", {"distill": finished, "distill-weight": 1})):
        words = flags(data, tmp_path / name, mixup="none", **changes, **more)
        train.main([*words, "--no-pictures"])
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        losses.append(json.loads(lines[0])["loss"])
    assert losses[0] != losses[1]
