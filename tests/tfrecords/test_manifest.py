"""Metadata files of three formats, AudioSet's file names, and one line for every mistake."""

import csv
import itertools
from pathlib import Path

import pytest

from tfrecords.audioset import SETS, find_clips, read_exclude_list, sets_of, split_names
from tfrecords.files import TFRecordsError
from tfrecords.manifest import read_manifest

ESC50 = """filename,fold,target,category,esc10,src_file,take
1-a.ogg,1,41,chainsaw,True,1,A
1-b.ogg,1,0,dog,True,2,A
2-c.ogg,2,0,dog,True,3,A
3-d.ogg,3,12,fire,True,4,B
"""
AUDIOSET = """# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=2, num_segs=2, num_unique_labels=3, num_positive_labels=3
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
_A1b2C3d4E5, 0.000, 10.000, "/m/05zppz"
"""
# Each could be taken for something else: an option, a Y in front of an id, an id with its times.
IDS = ("--PJHxphWEs", "_A1b2C3d4E5", "Y1234567890", "abcdefghij_", "ab_10000_20", "a_30_40_500")


def read(folder: Path, text: str | bytes, **options):
    metadata = folder / "metadata.csv"
    metadata.write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "audio").mkdir(exist_ok=True)
    return read_manifest(metadata, folder / "audio", **options)


def fails(folder: Path, text: str | bytes, *parts: str, **options) -> None:
    with pytest.raises(ValueError) as caught:
        read(folder, text, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def touch(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return str(path)


def test_esc50_orders_classes_by_target_over_the_whole_file(tmp_path):
    manifest = read(tmp_path, ESC50, folds=("1", "2"))
    assert manifest.classes.names == ("dog", "fire", "chainsaw")
    found = [(clip.clip_id, clip.labels) for clip in manifest.clips]
    assert found == [("1-a.ogg", (2,)), ("1-b.ogg", (0,)), ("2-c.ogg", (0,))]
    assert manifest.clips[0].path == str(tmp_path / "audio" / "1-a.ogg")
    assert read(tmp_path, ESC50, folds=(3,)).classes == manifest.classes
    fails(tmp_path, ESC50, "no fold 9", folds=("1", "9"))
    fails(tmp_path, "filename,labels\nx.wav,a\n", "only the format esc50", folds=("1",))


def test_audioset_ids_mids_and_extensions(tmp_path):
    path = touch(tmp_path / "audio" / "part00" / "Y_A1b2C3d4E5.flac")
    manifest = read(tmp_path, AUDIOSET)
    assert len(manifest.classes.names) == len(manifest.classes.ids) == 527
    first, second = manifest.clips
    assert first.clip_id == "--PJHxphWEs"
    assert Path(first.path).name == "Y--PJHxphWEs.wav"  # absent: rejected when packing
    assert second.path == path
    names = [manifest.classes.names[clip.labels[0]] for clip in manifest.clips]
    assert names == ["Speech", "Male speech, man speaking"]
    counts = Path(__file__).parents[2] / "panns_tf" / "data" / "training_clips_per_class.csv"
    with counts.open() as file:
        assert tuple(row["mid"] for row in csv.DictReader(file)) == manifest.classes.ids


def test_plain_csv(tmp_path):
    manifest = read(tmp_path, "filename,labels\nx.wav,dog; cat\nsub/y.wav,\n#1.wav,cat;cat\n")
    assert manifest.classes.names == ("cat", "dog")
    assert [clip.labels for clip in manifest.clips] == [(0, 1), (), (0,)]
    assert [clip.clip_id for clip in manifest.clips] == ["x.wav", "sub/y.wav", "#1.wav"]
    text = (
        "\ufeff category , target,extra,filename,fold\r\n dog ,0,x, 1-b.ogg , 1\r\n\r\n"
        "chainsaw,41,y,1-a.ogg,1\r\n"
    )
    manifest = read(tmp_path, text)  # byte order mark, spaces, columns in any order
    assert manifest.classes.names == ("dog", "chainsaw")
    assert [clip.clip_id for clip in manifest.clips] == ["1-b.ogg", "1-a.ogg"]


def test_a_label_file_fixes_classes_and_order(tmp_path):
    labels = tmp_path / "labels.csv"
    for text in (
        "zebra\ndog\na, b\n",
        'index,mid,display_name\n2,/c,"a, b"\n0,/z,zebra\n1,/d,dog\n',
    ):
        labels.write_text(text)
        manifest = read(tmp_path, "filename,labels\nx.wav,dog\n", labels=labels)
        assert manifest.classes.names == ("zebra", "dog", "a, b")
        assert manifest.clips[0].labels == (1,)
    labels.write_text("dog\ncat\nchainsaw\n")
    text = "filename,labels\nx.wav,dog\ny.wav,chain saw\n"
    fails(tmp_path, text, "'chain saw'", "'y.wav'", "line 3", "chainsaw?", labels=labels)
    fails(
        tmp_path,
        AUDIOSET.replace("/m/05zppz", "/m/05zppq"),
        "'/m/05zppq'",
        "did you mean /m/05zppz",
    )
    for text, part in (
        ("", "empty"),
        ("display_name\n", "empty"),
        ("a\nb\na\n", "'a' occurs twice"),
        ("index,display_name\n0,a\n2,b\n", "index must hold 0 to 1"),
        ("index,display_name\n0\n", "1 cells, expected 2"),
    ):
        labels.write_text(text)
        fails(tmp_path, ESC50, part, labels=labels)


def test_mistakes_are_one_line(tmp_path):
    plain = "filename,labels\n"
    many = "".join(f"x{number}.wav,class {number}\n" for number in range(2**16 + 1))
    open_quote = '"a.wav,dog\n' + "\n".join(f"{number}.wav,dog" for number in range(20000))
    for text, *parts in (
        ("", "empty"),
        ("\n\n", "empty"),
        (plain, "no row has a label"),
        (plain + ",a\n", "the filename ''"),
        (plain + "x.wav\n", "1 cells, expected 2"),
        (plain + "x.ogg,dog,cat\n", "cells, expected", "quotation marks"),
        (AUDIOSET.replace('"', ""), "cells, expected", "quotation marks"),
        (b"filename,labels\n\xff\xfe,a\n", "UTF-8"),
        (plain + "x.wav,\n", "no row has a label"),
        (plain + "x.wav,a\ny.wav,a\nx.wav,b\n", "line 4", "'x.wav' a second time"),
        (plain + "/etc/passwd,a\n", "'/etc/passwd'", "audio folder"),
        (plain + "a/../../x.wav,a\n", "'a/../../x.wav'", "audio folder"),
        (plain + open_quote, "is a quote missing"),
        (plain + many, "at most 65536 classes; received 65537"),
        (ESC50.replace(",41,", ",x,"), "whole number"),
        (ESC50.replace("2-c.ogg,2,0,dog", "2-c.ogg,2,0,cat"), "one target for each category"),
        ("file,labels\nx,y\n", "file, labels", "filename, labels", "fold, target"),
    ):
        fails(tmp_path, text, *parts)
    fails(
        tmp_path,
        plain + "x,y\n",
        "esc50: filename, fold",
        "has the columns filename",
        format="esc50",
    )
    fails(tmp_path, ESC50, "nix.txt does not exist", labels=tmp_path / "nix.txt")
    fails(tmp_path, plain + "x,y\n", "lists no clips, or none", exclude=["x"])
    with pytest.raises(TFRecordsError, match=r"nix\.csv cannot be read"):
        read_manifest(tmp_path / "nix.csv", tmp_path)
    with pytest.raises(TFRecordsError, match=r"audio folder .* does not exist"):
        read_manifest(tmp_path / "metadata.csv", tmp_path / "nowhere")


def test_every_name_of_a_clip(tmp_path):
    times = ("", "_30", "_30.000", "_30000", "_30_40", "_30.000_40.000", "_30000_40000")
    for clip_id, prefix, time in itertools.product(IDS, ("", "Y"), times):
        path = Path(touch(tmp_path / f"{prefix}{clip_id}{time}.wav"))
        starts = dict.fromkeys(IDS, 30.0)
        assert find_clips(tmp_path, starts) == {clip_id: str(path)}
        # Control: the same file is no clip's when only the others are asked for.
        del starts[clip_id]
        assert find_clips(tmp_path, starts) == {}
        path.unlink()
    for stem, start, found in (
        ("abcdefghijk_30_40", 70.0, False),  # another clip of the same video
        ("abcdefghijk_70000_80000", 70.0, True),
        ("abcdefghijk_70000_80000", 30.0, False),
        ("abcdefghijk_29.97_39.97", 30.0, True),
        ("abcdefghijk_70_80", None, True),  # the metadata do not have it
        ("abcdefghijk_x", 30.0, False),
        ("abcdefghijk_30_40_50", 30.0, False),
        ("abcdefghijkl", 30.0, False),
        ("YYabcdefghijk", 30.0, False),
    ):
        path = Path(touch(tmp_path / f"{stem}.wav"))
        assert bool(find_clips(tmp_path, {"abcdefghijk": start})) is found
        path.unlink()


def test_of_several_files_wav_wins_then_the_first_path(tmp_path):
    starts = {"abcdefghijk": 30.0}
    for name in ("a/abcdefghijk.txt", "a/abcdefghijk.mp3", "größe/Yabcdefghijk.flac"):
        touch(tmp_path / name)
    assert find_clips(tmp_path, starts) == {
        "abcdefghijk": str(tmp_path / "größe/Yabcdefghijk.flac")
    }
    path = touch(tmp_path / "d/abcdefghijk.Wav")
    assert find_clips(tmp_path, starts) == {"abcdefghijk": path}
    path = touch(tmp_path / "c/abcdefghijk_30_40.wav")
    touch(tmp_path / "a/abcdefghijk_70_80.wav")  # first of all, but of another start
    (tmp_path / "c" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert find_clips(tmp_path, starts) == {"abcdefghijk": path}


def test_lists_of_clips_to_leave_out(tmp_path):
    path = tmp_path / "list.csv"
    dcase = (
        "-JMT0mK0Dbg_30.000_40.000.wav\t30.000\t40.000\tTrain horn\n"
        "3S2-TODd__k_90.000_100.000.wav\t90.000\t100.000\tTrain horn\n"
        "3S2-TODd__k_90.000_100.000.wav\t90.000\t100.000\tAir horn, truck horn\n"
        "ab_10000_20_0.000_10.000.wav\t0.000\t10.000\tCar\n"
    )
    ids = ("-JMT0mK0Dbg", "3S2-TODd__k", "ab_10000_20")
    for content, expected in (
        (dcase.encode(), ids),
        (b"\xef\xbb\xbf" + dcase.replace("\n", "\r\n").encode(), ids),
        (dcase.rstrip().encode(), ids),
        (b"-JMT0mK0Dbg\n\n  ab_10000_20  \n", ("-JMT0mK0Dbg", "ab_10000_20")),
        (b"YD3kMgfWWin_30.000_40.000.wav\n", ("YD3kMgfWWin",)),
        (b"-JMT0mK0Dbg, 30.000, 40.000\n", ("-JMT0mK0Dbg",)),
        ("größe.wav\nsub/clip 1.wav\n".encode(), ("größe.wav", "sub/clip 1.wav")),  # a plain CSV's
        (b"short_30.000_40.000.wav\n", ("short_30.000_40.000.wav",)),  # no id of YouTube's
    ):
        path.write_bytes(content)
        found = read_exclude_list(path)
        # Names of files may be ids themselves, in a plain CSV, and count as both.
        assert (
            tuple(name for name in found if not name.endswith(".wav") or name in expected)
            == expected
        )
    for content, part in ((b"\r\n \n", "lists no clips"), (b"\xff\xfea", "not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(TFRecordsError, match=part):
            read_exclude_list(path)
    with pytest.raises(TFRecordsError, match="does not exist"):
        read_exclude_list(tmp_path)


def test_names_with_commas():
    names = {"Speech", "Bark", "Male speech, man speaking", "a", "b", "a, b", "a, b, c"}
    for text, labels in (
        ("Speech,Music", ["Speech", "Music"]),
        ("Bark,Male speech, man speaking,Music", ["Bark", "Male speech, man speaking", "Music"]),
        ("a, b, c", ["a, b, c"]),  # the longest name there is
        ("a, b,Music", ["a, b", "Music"]),
        ("Male speech, woman speaking", ["Male speech", "woman speaking"]),
        (" Speech , Music ,", ["Speech", "Music"]),
        ("", []),
    ):
        assert split_names(text, names.__contains__) == labels


def test_sets_of_a_root(tmp_path):
    for root, wanted, part in (
        (tmp_path, ["evaluation"], "no set 'evaluation'; it has balanced_train"),
        (tmp_path / "nowhere", [], "does not exist"),
        (tmp_path, [], "has no balanced_train_segments.csv or eval"),
        (tmp_path, ["eval"], "has no eval_segments.csv; expected it there or in"),
    ):
        with pytest.raises(TFRecordsError, match=part):
            sets_of(root, wanted)
    train, evaluation = tmp_path / SETS["balanced_train"], tmp_path / "metadata" / SETS["eval"]
    touch(train)
    touch(evaluation)
    assert sets_of(tmp_path) == {"balanced_train": train, "eval": evaluation}
    touch(tmp_path / SETS["eval"])
    assert sets_of(tmp_path, ["eval"]) == {"eval": tmp_path / SETS["eval"]}
