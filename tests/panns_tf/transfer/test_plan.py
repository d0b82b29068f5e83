import dataclasses
import json
from pathlib import Path

import pytest

from panns_tf.transfer.clips import Collection, LabelledClip, Split
from panns_tf.transfer.plan import Plan, part_folder, part_name
from panns_tf.transfer.settings import STRATEGIES, TransferConfig

CLIPS = tuple(
    LabelledClip(f"{n}.wav", Path(f"/here/{n}.wav"), (n % 2,), group=str(n // 2)) for n in range(8)
)
COLLECTION = Collection("mine", ("a", "b"), CLIPS, (Split("test", (0, 1, 2, 3), (4, 5, 6, 7)),))


def planned(collection: Collection = COLLECTION, **changes) -> Plan:
    base = {"arch": "Tiny", "weights": "w.pth", "overrides": {"hop_size": 160}}
    base |= {"config": TransferConfig(), "clip_seconds": 5.0, "metric": "accuracy"}
    return Plan(collection, **{**base, **changes})


def identity(plan: Plan, fingerprint: str = "f") -> dict:
    return plan.identity(None, fingerprint)


def test_an_identity_is_as_a_file_gives_it_back():
    found = identity(planned(overrides={"hidden": (6, 4)}))
    assert json.loads(json.dumps(found)) == found
    assert found == identity(planned(overrides={"hidden": (6, 4)}))


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": "Cnn6"},
        {"overrides": {}},
        {"config": TransferConfig(epochs=31)},
        {"config": TransferConfig(seed=1)},
        {"clip_seconds": 4.0},
        {"metric": "mAP"},
        {"folds": 5},
        {"test": 0.3},
        {"validation": 0.3},
    ],
)
def test_what_decides_the_results_is_of_the_identity(changes):
    assert identity(planned(**changes)) != identity(planned())


def relabelled(number: int, **changes) -> Collection:
    clips = list(CLIPS)
    clips[number] = dataclasses.replace(clips[number], **changes)
    return dataclasses.replace(COLLECTION, clips=tuple(clips))


@pytest.mark.parametrize(
    "collection",
    [
        relabelled(0, labels=(1,)),  # a clip that is not tested
        relabelled(4, labels=(1,)),
        relabelled(0, group="another"),
        relabelled(0, fold="1"),
        relabelled(0, clip_id="another.wav"),
        dataclasses.replace(COLLECTION, splits=(Split("test", (0, 1, 2), (4, 5, 6, 7)),)),
        dataclasses.replace(COLLECTION, multi_label=True),
        dataclasses.replace(COLLECTION, classes=("b", "a")),
    ],
)
def test_other_labels_are_another_run(collection):
    assert identity(planned(collection)) != identity(planned())


def test_other_weights_are_another_run():
    assert identity(planned(), "g") != identity(planned())


def test_what_may_be_added_later_is_not_of_the_identity():
    more = {"seeds": (0, 1, 2), "clips_per_class": (1, 5, None), "only": ("1",)}
    more |= {"save_models": False, "batch_size": 4, "weights": "copy_of_w.pth"}
    assert identity(planned(**more)) == identity(planned())
    moved = tuple(dataclasses.replace(clip, path=Path("/there") / clip.clip_id) for clip in CLIPS)
    elsewhere = dataclasses.replace(COLLECTION, clips=moved, notes=("moved",))
    assert identity(planned(elsewhere)) == identity(planned())


def test_every_training_has_a_file_of_its_own():
    names = {
        part_name(count, seed, fold)
        for count in (None, 1, 11)
        for seed in (0, 1, 11)
        for fold in ("1", "11", "test")
    }
    assert len(names) == 27
    folders = {part_folder(Path("out"), planned(config=TransferConfig(s))) for s in STRATEGIES}
    assert len(folders) == len(STRATEGIES)
    assert part_folder(Path("out"), planned(arch="Cnn6")) not in folders
