import dataclasses
from pathlib import Path

import pytest

from panns_tf.transfer.clips import Collection, LabelledClip, Split
from panns_tf.transfer.plan import Plan
from panns_tf.transfer.running import Run
from panns_tf.transfer.settings import TransferConfig
from panns_tf.transfer.tasks import find_task
from panns_tf.transfer.told import check_overrides, facts_of
from panns_tf.weights.loading import create_model

TASK = find_task("esc10")  # 400 clips


def collection_of(clips: int, **changes) -> Collection:
    made = [
        LabelledClip(f"{n}.wav", Path(f"{n}.wav"), (n % 10,), fold=str(1 + n % 5))
        for n in range(clips)
    ]
    splits = tuple(Split(str(f), (0,), (1,)) for f in range(1, 6))
    return dataclasses.replace(Collection("esc10", TASK.classes, tuple(made), splits), **changes)


def planned(clips: int = 400, **changes) -> Plan:
    base = {
        "collection": collection_of(clips),
        "arch": "Tiny",
        "weights": "tiny.pth",
        "overrides": {"hop_size": 160},
        "config": TransferConfig(strategy="freeze_l1", epochs=12),
        "clip_seconds": 5.0,
        "metric": "accuracy",
    }
    return Plan(**{**base, **changes})


def test_a_run_as_the_papers_is_comparable():
    told = facts_of(planned(), None, TASK)
    assert told.comparable
    assert told.why_not == ""
    assert (told.title, told.task, told.name) == ("ESC-10", "esc10", "esc10")
    assert (told.arch, told.weights, told.strategy) == ("Tiny", "tiny.pth", "freeze_l1")
    assert told.classes == TASK.classes
    assert told.seconds is None
    assert told.settings["epochs"] == 12
    assert told.settings["clip seconds"] == 5.0
    assert told.settings["hop_size"] == 160
    assert "strategy" not in told.settings


@pytest.mark.parametrize("clips", [396, 400, 404])
def test_a_missing_file_or_two_do_not_matter(clips):
    assert facts_of(planned(clips), None, TASK).comparable


@pytest.mark.parametrize(
    ("plan", "task", "why_not"),
    [
        (planned(), None, "no task of the paper"),
        (planned(metric="mAP"), TASK, "mAP measured; the paper has accuracy"),
        (planned(395), TASK, "395 clips, where the paper had 400"),
        (planned(405), TASK, "405 clips, where the paper had 400"),
        (planned(only=("1", "2")), TASK, "not all folds were run"),
    ],
)
def test_what_differs_from_the_paper_is_told(plan, task, why_not):
    told = facts_of(plan, None, task)
    assert told.why_not == why_not
    assert not told.comparable
    assert told.title == ("ESC-10" if task else "esc10")


def test_a_finished_run_tells_of_the_clips_that_were_read():
    read = collection_of(390, notes=("10 clips cannot be read",))
    told = facts_of(planned(), Run(read, (), 12.5), TASK)
    assert told.why_not == "390 clips, where the paper had 400"
    assert told.notes == ("10 clips cannot be read",)
    assert told.seconds == 12.5


def test_a_data_set_of_several_labels_is_told():
    plan = planned(collection=collection_of(20, multi_label=True, name="mine"), metric="mAP")
    told = facts_of(plan, None, None)
    assert told.multi_label
    assert (told.title, told.task, told.name) == ("mine", None, "mine")


@pytest.fixture(scope="module")
def base():
    return create_model("Tiny", 3, embedding_size=16)  # 8 kHz


def test_settings_that_the_pretrained_network_has_may_be_said(base):
    check_overrides(base, {})
    check_overrides(base, {"sample_rate": 8000, "mel_bins": 64, "embedding_size": 16, "fmax": 4e3})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample_rate": 16000}, "--sample-rate 16000: the pretrained Tiny has 8000"),
        ({"mel_bins": 64, "fmin": 20.0}, "--fmin 20.0: the pretrained Tiny has 50.0"),
        ({"embedding_size": 8}, "--embedding-size 8: the pretrained Tiny has 16"),
    ],
)
def test_other_settings_than_the_pretrained_networks_are_refused(base, given, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_overrides(base, given)
    assert "\n" not in str(caught.value)
    assert "--strategy scratch" in str(caught.value)
