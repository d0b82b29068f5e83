"""Where sounds lie."""

from panns_tf.transfer.finding import around, listing, look_up, sound_files, sounds, stem
from tests.panns_tf.transfer.trees import touch


def test_stem():
    assert [stem(name) for name in ("a/b.WAV", "jazz.00054", "c\\d.au", "x.csv")] == [
        "b",
        "jazz.00054",
        "d",
        "x.csv",
    ]


def test_upper_folder_and_preferred_ending_win(tmp_path):
    touch(tmp_path, ["a.ogg", "a.flac", "x/a.wav", "x/b.wav", ".c.wav", ".d/e.wav", "f.txt"])
    found = sounds(tmp_path)
    assert look_up(found, "a.mp3") == tmp_path / "a.flac"
    assert look_up(found, "any/a.ogg") == tmp_path / "a.ogg"
    assert look_up(found, "b") == tmp_path / "x/b.wav"
    assert look_up(found, "c.wav") is look_up(found, "e") is look_up(found, "f") is None


def test_links_that_lead_back(tmp_path):
    touch(tmp_path, ["x/a.wav"])
    (tmp_path / "x/up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert list(sound_files(tmp_path)) == [tmp_path / "x/a.wav"]


def test_around_is_shallow(tmp_path):
    touch(tmp_path, ["1/2/3/4.wav", "__MACOSX/1.wav"])
    found = [entry.path for entry in around(tmp_path)]
    assert found == [tmp_path, tmp_path / "1", tmp_path / "1/2"]
    touch(tmp_path / "many", (str(number) for number in range(40)))
    assert len(listing(tmp_path / "many", most=10).files) == 10
    assert listing(tmp_path / "none").files == ()
