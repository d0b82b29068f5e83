"""AudioSet's file names, lists of clips to leave out, names with commas, and the sets of a root."""

from pathlib import Path

import pytest

from tfrecords.audioset import SETS, find_clips, read_black_list, sets_of, split_names
from tfrecords.storage import TFRecordsError

# Each could be taken for something else: an option, a Y in front of an id, an id with its times.
IDS = ("--PJHxphWEs", "_A1b2C3d4E5", "Y1234567890", "abcdefghij_", "ab_10000_20", "a_30_40_500")


def touch(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


@pytest.mark.parametrize("clip_id", IDS)
@pytest.mark.parametrize("prefix", ["", "Y"])
@pytest.mark.parametrize(
    "times", ["", "_30", "_30.000", "_30000", "_30_40", "_30.000_40.000", "_30000_40000"]
)
def test_every_name_of_a_clip(tmp_path, clip_id, prefix, times):
    path = touch(tmp_path / f"{prefix}{clip_id}{times}.wav")
    starts = dict.fromkeys(IDS, 30.0)
    assert find_clips(tmp_path, starts) == {clip_id: path}
    # Control: the same file is no clip's when only the others are asked for.
    del starts[clip_id]
    assert find_clips(tmp_path, starts) == {}


def test_a_y_in_front_is_told_from_an_id_that_begins_with_one(tmp_path):
    paths = {
        clip_id: touch(tmp_path / f"{stem}.wav")
        for clip_id, stem in (
            ("Yabcdefghij", "Yabcdefghij_30"),
            ("abcdefghij_", "Yabcdefghij__30"),
            ("YYabcdefghi", "YYYabcdefghi"),
        )
    }
    assert find_clips(tmp_path, dict.fromkeys(paths, 30.0)) == paths


@pytest.mark.parametrize(
    ("stem", "start", "found"),
    [
        ("abcdefghijk_30_40", 30.0, True),
        ("abcdefghijk_30_40", 70.0, False),  # another clip of the same video
        ("abcdefghijk_70000_80000", 70.0, True),
        ("abcdefghijk_70000_80000", 30.0, False),
        ("Yabcdefghijk_0_10", 0.0, True),
        ("abcdefghijk_29.97_39.97", 30.0, True),
        ("abcdefghijk_70_80", None, True),  # the metadata do not say
        ("abcdefghijk_x", 30.0, False),
        ("abcdefghijk_30_40_50", 30.0, False),
        ("abcdefghijkl", 30.0, False),
        ("abcdefghij", 30.0, False),
    ],
)
def test_the_start_in_a_name_must_be_the_clips(tmp_path, stem, start, found):
    touch(tmp_path / f"{stem}.wav")
    assert bool(find_clips(tmp_path, {"abcdefghijk": start})) is found


def test_files_lie_anywhere_under_any_folder_name(tmp_path):
    starts = {f"{number:011d}": 0.0 for number in range(5)}
    folders = (
        "unbalanced_train_segments/unbalanced_train_segments_part00",
        "unbalanced_train_segments/unbalanced_train_segments_part40",
        "音声/größe",
        "with space",
        ".",
    )
    paths = {
        clip_id: touch(tmp_path / folder / f"Y{clip_id}.wav")
        for clip_id, folder in zip(starts, folders, strict=True)
    }
    found = find_clips(tmp_path, starts)
    assert {clip_id: Path(path) for clip_id, path in found.items()} == {
        clip_id: Path(path) for clip_id, path in paths.items()
    }


def test_extensions_of_any_case_but_of_audio_only(tmp_path):
    touch(tmp_path / "Yabcdefghijk.txt")
    touch(tmp_path / "Yabcdefghijk")
    assert find_clips(tmp_path, {"abcdefghijk": 0.0}) == {}
    path = touch(tmp_path / "Yabcdefghijk.WAV")
    assert find_clips(tmp_path, {"abcdefghijk": 0.0}) == {"abcdefghijk": path}


def test_of_several_files_wav_wins_then_the_first_path(tmp_path):
    starts = {"abcdefghijk": 30.0}
    for name in ("a/abcdefghijk.mp3", "b/Yabcdefghijk.flac", "d/abcdefghijk.Wav", "c/x.wav"):
        touch(tmp_path / name)
    assert find_clips(tmp_path, starts) == {"abcdefghijk": str(tmp_path / "d/abcdefghijk.Wav")}
    touch(tmp_path / "c/abcdefghijk_30_40.wav")
    touch(tmp_path / "a/abcdefghijk_70_80.wav")  # first of all, but of another start
    found = find_clips(tmp_path, starts)
    assert found == {"abcdefghijk": str(tmp_path / "c/abcdefghijk_30_40.wav")}


def test_linked_folders_are_followed_and_loops_end(tmp_path):
    touch(tmp_path / "disk" / "part00" / "Yabcdefghijk.wav")
    root = tmp_path / "root"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "disk", target_is_directory=True)
    for name in ("loop", "loop2", "part00/loop3"):
        (tmp_path / "disk" / name).symlink_to(tmp_path / "disk", target_is_directory=True)
    found = find_clips(root, {"abcdefghijk": 0.0})
    assert Path(found["abcdefghijk"]).samefile(tmp_path / "disk" / "part00" / "Yabcdefghijk.wav")


DCASE = (
    "-JMT0mK0Dbg_30.000_40.000.wav\t30.000\t40.000\tTrain horn\n"
    "3S2-TODd__k_90.000_100.000.wav\t90.000\t100.000\tTrain horn\n"
    "3S2-TODd__k_90.000_100.000.wav\t90.000\t100.000\tAir horn, truck horn\n"
    "ab_10000_20_0.000_10.000.wav\t0.000\t10.000\tCar\n"
)
DCASE_IDS = ("-JMT0mK0Dbg", "3S2-TODd__k", "ab_10000_20")


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (DCASE.encode(), DCASE_IDS),
        (DCASE.replace("\n", "\r\n").encode(), DCASE_IDS),
        (b"\xef\xbb\xbf" + DCASE.encode(), DCASE_IDS),
        (DCASE.rstrip().encode(), DCASE_IDS),
        (b"-JMT0mK0Dbg\n\n  ab_10000_20  \n", ("-JMT0mK0Dbg", "ab_10000_20")),
        (b"Y-JMT0mK0Dbg.wav\n", ("-JMT0mK0Dbg",)),
        (b"YD3kMgfWWin_30.000_40.000.wav\n", ("YD3kMgfWWin",)),
        (b"-JMT0mK0Dbg, 30.000, 40.000\n", ("-JMT0mK0Dbg",)),
        ("größe.wav\nsub/clip 1.wav\n".encode(), ("größe.wav", "sub/clip 1.wav")),  # of a plain CSV
        (b"short_30.000_40.000.wav\n", ("short_30.000_40.000.wav",)),  # no id of YouTube's
    ],
    ids=[
        "dcase",
        "crlf",
        "bom",
        "open end",
        "ids",
        "PANNs",
        "Y in the id",
        "commas",
        "file names",
        "not AudioSet's",
    ],
)
def test_lists_of_clips_to_leave_out(tmp_path, content, ids):
    (tmp_path / "list.csv").write_bytes(content)
    found = read_black_list(tmp_path / "list.csv")
    # Names of files may be ids themselves, in a plain CSV, and count as both.
    assert tuple(name for name in found if not name.endswith(".wav") or name in ids) == ids


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"", "lists no clips"), (b"\r\n \n", "lists no clips"), (b"\xff\xfea", "not UTF-8")],
)
def test_lists_that_cannot_be(tmp_path, content, part):
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(TFRecordsError, match=part):
        read_black_list(tmp_path / "list.csv")
    with pytest.raises(TFRecordsError, match="does not exist"):
        read_black_list(tmp_path / "nowhere.csv")
    with pytest.raises(TFRecordsError, match="does not exist"):
        read_black_list(tmp_path)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Speech", ["Speech"]),
        ("Speech,Music", ["Speech", "Music"]),
        ("Male speech, man speaking", ["Male speech, man speaking"]),
        ("Bark,Male speech, man speaking,Music", ["Bark", "Male speech, man speaking", "Music"]),
        ("a, b, c", ["a, b, c"]),  # the longest name there is
        ("a, b,Music", ["a, b", "Music"]),
        ("unknown,Speech", ["unknown", "Speech"]),
        ("Male speech, woman speaking", ["Male speech", "woman speaking"]),
        (" Speech , Music ,", ["Speech", "Music"]),
        ("", []),
    ],
)
def test_names_with_commas(text, labels):
    known = {"Speech", "Bark", "Male speech, man speaking", "a", "b", "a, b", "a, b, c"}
    assert split_names(text, known.__contains__) == labels


def test_sets_of_a_root(tmp_path):
    train, evaluation = tmp_path / SETS["balanced_train"], tmp_path / "metadata" / SETS["eval"]
    touch(train)
    touch(evaluation)
    assert sets_of(tmp_path) == {"balanced_train": train, "eval": evaluation}
    assert sets_of(tmp_path, ["eval"]) == {"eval": evaluation}
    touch(tmp_path / SETS["eval"])
    assert sets_of(tmp_path, ["eval"]) == {"eval": tmp_path / SETS["eval"]}


def test_sets_that_are_not_there(tmp_path):
    for root, wanted, part in (
        (tmp_path, ["evaluation"], "no set 'evaluation'; it has balanced_train"),
        (tmp_path / "nowhere", [], "does not exist"),
        (tmp_path, [], "has no balanced_train_segments.csv or eval"),
        (tmp_path, ["eval"], "has no eval_segments.csv; expected it there or in"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            sets_of(root, wanted)
