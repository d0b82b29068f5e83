"""The three metadata formats, and one line for every mistake in them."""

import csv
from pathlib import Path

import pytest

from tfrecords.storage import TFRecordsError
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


def read(folder: Path, text: str | bytes, **options):
    metadata = folder / "metadata.csv"
    metadata.write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "audio").mkdir(exist_ok=True)
    return read_manifest(metadata, folder / "audio", **options)


def fails(folder: Path, text: str | bytes, *parts: str, **options) -> None:
    with pytest.raises(TFRecordsError) as caught:
        read(folder, text, **options)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_esc50_orders_classes_by_target_over_the_whole_file(tmp_path):
    source = read(tmp_path, ESC50, folds=("1", "2"))
    assert source.format == "esc50"
    assert source.classes.names == ("dog", "fire", "chainsaw")
    assert [(clip.clip_id, clip.labels) for clip in source.clips] == [
        ("1-a.ogg", (2,)),
        ("1-b.ogg", (0,)),
        ("2-c.ogg", (0,)),
    ]
    assert source.clips[0].path == str(tmp_path / "audio" / "1-a.ogg")
    assert read(tmp_path, ESC50, folds=(3,)).classes == source.classes


def test_columns_by_name_bom_crlf_spaces_and_row_order(tmp_path):
    text = (
        "\ufeff category , target,extra,filename,fold\r\n dog ,0,x, 1-b.ogg , 1\r\n\r\n"
        "chainsaw,41,y,1-a.ogg,1\r\n"
    )
    source = read(tmp_path, text)
    assert source.classes.names == ("dog", "chainsaw")
    assert [clip.clip_id for clip in source.clips] == ["1-b.ogg", "1-a.ogg"]


def test_audioset_ids_mids_and_extensions(tmp_path):
    part = tmp_path / "audio" / "part00"
    part.mkdir(parents=True)
    (part / "Y_A1b2C3d4E5.flac").touch()
    source = read(tmp_path, AUDIOSET)
    assert source.format == "audioset"
    assert len(source.classes.names) == len(source.classes.ids) == 527
    first, second = source.clips
    assert first.clip_id == "--PJHxphWEs"
    assert Path(first.path).name == "Y--PJHxphWEs.wav"  # absent: rejected when packing
    assert second.path == str(part / "Y_A1b2C3d4E5.flac")
    assert source.classes.names[first.labels[0]] == "Speech"
    assert source.classes.names[second.labels[0]] == "Male speech, man speaking"


def test_csv_sorts_its_classes_and_allows_clips_without_labels(tmp_path):
    source = read(tmp_path, "filename,labels\nx.wav,dog; cat\nsub/y.wav,\nz.wav,cat;cat\n")
    assert source.format == "csv"
    assert source.classes.names == ("cat", "dog")
    assert [clip.labels for clip in source.clips] == [(0, 1), (), (0,)]
    assert source.clips[1].clip_id == "sub/y.wav"


@pytest.mark.parametrize(
    "labels",
    ["zebra\ndog\ncat\n", "index,mid,display_name\n2,/c,cat\n0,/z,zebra\n1,/d,dog\n"],
    ids=["lines", "csv"],
)
def test_label_file_fixes_classes_and_order(tmp_path, labels):
    (tmp_path / "labels.txt").write_text(labels)
    source = read(tmp_path, "filename,labels\nx.wav,dog\n", labels=tmp_path / "labels.txt")
    assert source.classes.names == ("zebra", "dog", "cat")
    assert source.clips[0].labels == (1,)


def test_label_file_with_commas_in_names(tmp_path):
    (tmp_path / "labels.csv").write_text('display_name\n"a, b"\nc\n')
    source = read(tmp_path, "filename,labels\nx.wav,c\n", labels=tmp_path / "labels.csv")
    assert source.classes.names == ("a, b", "c")


def test_label_not_in_the_list_names_label_clip_row_and_nearest(tmp_path):
    (tmp_path / "labels.txt").write_text("dog\ncat\nchainsaw\n")
    text = "filename,labels\nx.wav,dog\ny.wav,chain saw\n"
    labels = tmp_path / "labels.txt"
    fails(tmp_path, text, "'chain saw'", "'y.wav'", "line 3", "'chainsaw'", labels=labels)
    fails(tmp_path, AUDIOSET.replace("/m/05zppz", "/m/05zppq"), "'/m/05zppq'", "'/m/05zppz'")


def test_missing_columns_are_named_with_those_found(tmp_path):
    fails(tmp_path, "file,labels\nx,y\n", "file, labels", "filename, labels", "fold, target")
    fails(tmp_path, "filename,labels\nx,y\n", "esc50", "fold", "found filename", format="esc50")


def test_two_clips_with_one_id_name_both_rows(tmp_path):
    fails(tmp_path, "filename,labels\nx.wav,a\ny.wav,a\nx.wav,b\n", "lines 2 and 4", "'x.wav'")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.wav", "a/../../x.wav"])
def test_file_names_must_stay_in_the_audio_folder(tmp_path, path):
    fails(tmp_path, f"filename,labels\n{path},a\n", repr(path), "audio folder")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("filename,labels\n", "no clips"),
        ("filename,labels\n,a\n", "filename is empty"),
        ("filename,labels\nx.wav\n", "1 cells, expected 2"),
        (b"filename,labels\n\xff\xfe,a\n", "UTF-8"),
        ("filename,labels\nx.wav,\n", "no row has a label"),
        (ESC50.replace(",41,", ",x,"), "whole number"),
        (ESC50.replace("2-c.ogg,2,0,dog", "2-c.ogg,2,0,cat"), "'cat'"),
    ],
)
def test_broken_files(tmp_path, text, part):
    fails(tmp_path, text, part)


def test_folds(tmp_path):
    fails(tmp_path, ESC50, "no fold 9", "1, 2, 3", folds=("1", "9"))
    fails(tmp_path, "filename,labels\nx.wav,a\n", "only the format esc50", folds=("1",))


def test_missing_paths_and_unknown_format(tmp_path):
    with pytest.raises(TFRecordsError, match=r"nix\.csv does not exist"):
        read_manifest(tmp_path / "nix.csv", tmp_path)
    fails(tmp_path, ESC50, "must be one of", "'json'", format="json")
    fails(tmp_path, ESC50, "nix.txt does not exist", labels=tmp_path / "nix.txt")
    with pytest.raises(TFRecordsError, match=r"audio folder .* does not exist"):
        read_manifest(tmp_path / "metadata.csv", tmp_path / "nowhere")


def test_label_files_with_mistakes(tmp_path):
    labels = tmp_path / "labels.csv"
    for text, part in (
        ("", "empty"),
        ("display_name\n", "empty"),
        ("a\nb\na\n", "'a' occurs twice"),
        ("index,display_name\n0,a\n2,b\n", "index must hold 0 to 1"),
        ("index,display_name\n0\n", "1 cells"),
    ):
        labels.write_text(text)
        fails(tmp_path, ESC50, part, labels=labels)


def test_packaged_classes_are_those_of_the_counts():
    counts = Path(__file__).parents[2] / "panns_tf" / "data" / "training_clips_per_class.csv"
    packaged = Path(__file__).parents[2] / "tfrecords" / "data" / "class_labels_indices.csv"
    with counts.open() as first, packaged.open() as second:
        names = [[row["mid"] for row in csv.DictReader(file)] for file in (first, second)]
    assert names[0] == names[1]


def test_a_file_name_may_begin_with_a_hash(tmp_path):
    source = read(tmp_path, "filename,labels\n#1.wav,dog\nb.wav,cat\n")
    assert [clip.clip_id for clip in source.clips] == ["#1.wav", "b.wav"]


def test_an_open_quotation_mark_is_one_line(tmp_path):
    rows = "\n".join(f"{number}.wav,dog" for number in range(20000))
    fails(tmp_path, f'filename,labels\n"a.wav,dog\n{rows}\n', "quotation mark left open")


def test_more_classes_than_the_index_has_room_for(tmp_path):
    rows = "".join(f"x{number}.wav,class {number}\n" for number in range(2**16 + 1))
    with pytest.raises(TFRecordsError, match="at most 65536 classes, got 65537"):
        read(tmp_path, "filename,labels\n" + rows)


@pytest.mark.parametrize(
    "text",
    ["filename,labels\nx.ogg,dog,cat\n", AUDIOSET.replace('"', "")],
    ids=["csv", "audioset"],
)
def test_labels_in_cells_of_their_own_are_not_dropped(tmp_path, text):
    fails(tmp_path, text, "cells, expected", "quotation marks")
