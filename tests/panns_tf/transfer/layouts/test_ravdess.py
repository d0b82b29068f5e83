"""RAVDESS."""

import shutil

import pytest

from panns_tf.transfer.layouts import read_task
from panns_tf.transfer.tasks import find_task
from tests.panns_tf.transfer import trees

TASK = find_task("ravdess")


def test_speakers_and_sexes(published):
    read = read_task(published["ravdess"], TASK)
    for fold in TASK.folds:
        actors = {clip.group for clip in read.clips if clip.fold == fold}
        assert len(actors) == 6
        assert sum(int(actor) % 2 for actor in actors) == 3
    for clip in read.clips:
        numbers = clip.path.stem.split("-")
        assert clip.labels == (int(numbers[2]) - 1,)
        assert clip.group == numbers[6]


def test_song_video_and_doubled_folder_are_left_out(tmp_path):
    trees.ravdess(tmp_path, song=True)
    trees.ravdess(tmp_path / "audio_speech_actors_01-24")
    trees.touch(tmp_path, ["Actor_01/01-01-01-01-01-01-01.mp4", "Actor_01/own.wav"])
    read = read_task(tmp_path, TASK)
    assert len(read.clips) == 1440
    assert all(clip.clip_id.startswith("Actor_") for clip in read.clips)
    assert sorted(read.notes) == [
        "left out, as not named like RAVDESS's 1440 files: own.wav",
        "left out: 1 files with video",
        "left out: 1012 files of song",
        "left out: 1440 files that repeat others of the same name",
    ]


def test_archives_beside_each_other(tmp_path):
    trees.ravdess(tmp_path / "Audio_Speech_Actors_01-24")
    trees.touch(tmp_path / "Audio_Song_Actors_01-24", ["Actor_01/03-02-01-01-01-01-01.wav"])
    read = read_task(tmp_path, TASK)
    assert len(read.clips) == 1440
    assert read.clips[0].clip_id.startswith("Actor_01/")


def test_actors_are_missing(tmp_path):
    trees.ravdess(tmp_path)
    shutil.rmtree(tmp_path / "Actor_24")
    read = read_task(tmp_path, TASK)
    assert "300 of 360 in fold 4" in read.notes[0]
    assert read.notes[1].startswith("60 files are missing: 03-01-01-01-01-01-24.wav, ")
    for actor in range(19, 24):
        shutil.rmtree(tmp_path / f"Actor_{actor}")
    with pytest.raises(ValueError, match="no clip left in fold 4"):
        read_task(tmp_path, TASK)
