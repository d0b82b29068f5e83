"""AudioSet as it lies on a disk, a small one, to a folder of packed directories."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

import tfrecords
from tfrecords import PackSettings, load_index, verify_directory
from tfrecords.__main__ import main
from tfrecords.pack import pack_audioset

RATE = 8000
HEADER = (
    "# Segments csv created Sun Mar  5 10:54:31 2017\n"
    "# num_ytids={0}, num_segs={0}, num_unique_labels=5, num_positive_labels={0}\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
)
LABELS = (
    "/m/09x0r",
    "/m/09x0r,/m/04rlf",
    "Speech,Music",
    "Male speech, man speaking,Bark",
    "/m/05tny_",
)
SIZES = {"balanced_train": 10, "unbalanced_train": 15, "eval": 7}
FILES = {"balanced_train": "Y{}.wav", "unbalanced_train": "{}_30.000_40.000.flac", "eval": "{}.WAV"}


def ids_of(name: str) -> list[str]:
    return [f"-{name[:3]}_{number:06d}" for number in range(SIZES[name])]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """32 clips; of each set the first file is missing, of balanced_train the second is damaged."""
    root = tmp_path_factory.mktemp("AudioSet")
    (root / "metadata").mkdir()
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        rows = [
            f'{clip_id}, 30.000, 40.000, "{LABELS[number % 5]}"\n'
            for number, clip_id in enumerate(ids_of(name))
        ]
        text = HEADER.format(size) + "".join(rows)
        if name == "unbalanced_train":
            text = "\ufeff" + text.replace("\n", "\r\n")
        path = root / ("metadata" if name != "eval" else "") / f"{name}_segments.csv"
        path.write_text(text, encoding="utf-8", newline="")
        for number, clip_id in enumerate(ids_of(name)[1:]):
            part = f"{name}_segments_part{number % 3:02d}" if size == 15 else ""
            file = root / "audios" / f"{name}_segments" / part / FILES[name].format(clip_id)
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, rng.uniform(-0.5, 0.5, 2000), RATE)
    damaged = root / "audios" / "balanced_train_segments" / f"Y{ids_of('balanced_train')[1]}.wav"
    damaged.write_bytes(b"<html>" * 100)
    return root


def settings_for(root: Path, output: Path, **changes) -> PackSettings:
    values = {
        "metadata": "",
        "audio": root,
        "output": output,
        "sample_rate": RATE,
        "clip_seconds": 0.25,
        "clips_per_shard": 4,
        "workers": 0,
    }
    return PackSettings(**(values | changes))


@pytest.fixture(scope="module")
def packed(root, tmp_path_factory):
    """The output folder and the reports."""
    output = tmp_path_factory.mktemp("packed")
    return output, pack_audioset(root, settings_for(root, output), progress=False)


def test_every_set_and_the_view_of_both_training_sets(packed):
    output, reports = packed
    assert sorted(reports) == sorted(SIZES)
    assert sorted(path.name for path in output.iterdir()) == sorted([*SIZES, "full_train"])
    found = {name: set(load_index(output / name).clip_ids.tolist()) for name in SIZES}
    for name in SIZES:
        gone = 2 if name == "balanced_train" else 1
        assert found[name] == {clip_id.encode() for clip_id in ids_of(name)[gone:]}
    both = load_index(output / "full_train")
    assert set(both.clip_ids.tolist()) == found["balanced_train"] | found["unbalanced_train"]
    assert both.num_clips == 8 + 14
    assert reports["balanced_train"].rejected == {"missing": 1, "not audio": 1}
    assert verify_directory(output) == []


def test_labels_are_mids_or_names(packed):
    index = load_index(packed[0] / "unbalanced_train")
    assert index.num_classes == 527
    names = {
        clip_id.decode(): [index.info.classes[number] for number in index.labels_of(clip)]
        for clip, clip_id in enumerate(index.clip_ids)
    }
    ids = ids_of("unbalanced_train")
    assert names[ids[5]] == ["Speech"]
    assert names[ids[1]] == names[ids[2]] == ["Speech", "Music"]
    assert names[ids[3]] == ["Male speech, man speaking", "Bark"]
    assert names[ids[4]] == ["Bark"]


def test_lacks_are_counted_by_class(packed):
    with (packed[0] / "balanced_train" / "missing_by_class.csv").open() as file:
        rows = {row["display_name"]: row for row in csv.DictReader(file)}
    assert len(rows) == 527

    def counts(name: str) -> list[int]:
        return [int(rows[name][column]) for column in ("listed", "packed", "missing", "refused")]

    # Clips 0 and 5 are Speech, 1, 2, 6 and 7 Speech and Music; 0 has no file, 1 is no audio.
    assert counts("Speech") == [6, 4, 1, 1]
    assert counts("Music") == [4, 3, 0, 1]
    assert counts("Bark") == [4, 4, 0, 0]
    assert counts("Zither") == [0, 0, 0, 0]
    assert rows["Speech"]["mid"] == "/m/09x0r"


def test_excluded_when_packed_or_when_sampled_is_the_same(root, packed, tmp_path):
    excluded = (ids_of("balanced_train")[3], ids_of("unbalanced_train")[4], "not a clip")
    pack_audioset(root, settings_for(root, tmp_path, exclude=excluded), progress=False)
    for name, fewer in (("balanced_train", 1), ("eval", 0), ("full_train", 2)):
        (early,) = tfrecords.dataset(tmp_path / name, batch_size=50)
        (late,) = tfrecords.dataset(packed[0] / name, batch_size=50, exclude=excluded)
        for key in early:
            np.testing.assert_array_equal(early[key], late[key])
        assert load_index(packed[0] / name).num_clips - len(early["clip_id"]) == fewer


def test_sets_one_after_the_other_make_the_view_when_both_are_there(root, packed, tmp_path):
    for name in ("unbalanced_train", "balanced_train"):
        assert not (tmp_path / "full_train").exists()
        pack_audioset(root, settings_for(root, tmp_path), sets=(name,), progress=False)
    for file in ("dataset.json", "index.npz"):
        whole = (packed[0] / "full_train" / file).read_bytes()
        assert (tmp_path / "full_train" / file).read_bytes() == whole


def test_the_command(root, packed, tmp_path, capfd):
    (tmp_path / "list.csv").write_text(f"{ids_of('eval')[2]}_30.000_40.000.wav\t30.000\n")
    command = (
        f"audioset --root {root} --output {tmp_path}/out --sample-rate {RATE} --clip-seconds 0.25 "
        f"--clips-per-shard 4 --workers 1 --exclude {tmp_path}/list.csv"
    )
    assert main(command.split()) == 0
    out = capfd.readouterr().out
    assert "balanced_train: packed 8 clips of 0.25 s at 8000 Hz in 3 shards; 2 rejected" in out
    assert "eval: packed 5 clips" in out
    assert "full_train: balanced_train and unbalanced_train, as a view" in out
    for path in (packed[0] / "balanced_train").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / "balanced_train" / path.name).read_bytes()
    assert main(["verify", f"{tmp_path}/out"]) == 0
    assert capfd.readouterr().out.count("ok: ") == 4
    assert main(["info", f"{tmp_path}/out"]) == 0


def test_the_view_follows_a_part_that_is_packed_again(root, packed, tmp_path):
    output = Path(shutil.copytree(packed[0], tmp_path / "out"))
    shutil.rmtree(output / "balanced_train")
    exclude = ids_of("balanced_train")[4:6]
    pack_audioset(
        root, settings_for(root, output, exclude=tuple(exclude)), sets=("balanced_train",)
    )
    index = load_index(output / "full_train")
    assert index.num_clips == load_index(packed[0] / "full_train").num_clips - 2
    assert verify_directory(output) == []
    # One that was killed while it was written is written anew.
    (output / "full_train" / "dataset.json").unlink()
    pack_audioset(
        root, settings_for(root, output, exclude=tuple(exclude)), sets=("balanced_train",)
    )
    held = {path.name for path in (output / "full_train").iterdir()}
    assert held == {"index.npz", "dataset.json"}
    assert verify_directory(output / "full_train") == []


def test_sets_without_any_audio_are_left_out(root, tmp_path, capfd):
    shutil.copytree(root, tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / "audios" / "balanced_train_segments")
    words = f"audioset --root {tmp_path}/root --output {tmp_path}/out --sample-rate {RATE}"
    assert main([*words.split(), "--clip-seconds", "0.25", "--workers", "0"]) == 0
    error = capfd.readouterr().err
    assert "balanced_train: left out: none of the 10 clips could be packed" in error
    assert load_index(tmp_path / "out" / "eval").num_clips == 6
    assert not (tmp_path / "out" / "full_train").exists()
    shutil.rmtree(tmp_path / "root" / "audios")
    (tmp_path / "root" / "audios").mkdir()
    with pytest.raises(ValueError, match="none of the"):
        main([*words.replace("/out", "/none").split(), "--workers", "0"])
