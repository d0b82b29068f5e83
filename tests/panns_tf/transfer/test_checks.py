import argparse
from pathlib import Path

import pytest

from panns_tf.transfer.checks import check_cache, check_parts, check_place
from panns_tf.transfer.clips import Collection, LabelledClip


def _options(**given) -> argparse.Namespace:
    usual = dict.fromkeys(("clip_seconds", "test", "validation", "folds"))
    return argparse.Namespace(**{**usual, **given})


@pytest.mark.parametrize("value", [0, -1, 1e9, float("nan"), float("inf"), 0.001])
def test_lengths_that_cannot_be_heard_are_refused(value):
    with pytest.raises(ValueError, match=r"--clip-seconds must lie from 0\.05 to 600"):
        check_parts(_options(clip_seconds=value))


@pytest.mark.parametrize("part", ["test", "validation"])
@pytest.mark.parametrize("value", [-0.1, 1, 2, float("nan")])
def test_parts_that_are_none_are_refused(part, value):
    with pytest.raises(ValueError, match=f"--{part} is a part of the clips"):
        check_parts(_options(**{part: value}))


def test_what_is_possible_passes():
    check_parts(_options())
    check_parts(_options(clip_seconds=0.2, test=0.5, validation=0.0, folds=2))


@pytest.mark.parametrize("folds", [1, 0, -3])
def test_one_fold_is_none(folds):
    with pytest.raises(ValueError, match="--folds must be at least 2"):
        check_parts(_options(folds=folds))


def test_a_cache_is_a_folder(tmp_path):
    check_cache(None)
    check_cache(tmp_path / "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file; name a folder"):
        check_cache(tmp_path / "file")


def test_results_do_not_go_among_the_clips(tmp_path):
    clip = LabelledClip("a/1.wav", tmp_path / "sounds" / "a" / "1.wav", (0,))
    collection = Collection("sounds", ("a", "b"), (clip,), ())
    for place in ("sounds", "sounds/a", "."):
        with pytest.raises(ValueError, match="holds clips of the data set, such as a"):
            check_place(tmp_path / place, collection)
    check_place(tmp_path / "sounds" / "out", collection)
    check_place(Path("elsewhere"), collection)
