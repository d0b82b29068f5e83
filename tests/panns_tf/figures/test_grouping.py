from pathlib import Path

from panns_tf.figures.grouping import differing, group_runs, label_groups
from panns_tf.run import Run


def run(path: str = "runs/a", **config) -> Run:
    config = {"arch": "Cnn14", "data": "d/train", "steps": 600, **config}
    return Run(Path(path), path, config, (), None, (), (), ())


def test_a_setting_that_the_network_has_anyway_changes_nothing():
    groups = group_runs([run(), run(mel_bins=64, sample_rate=32000), run(mel_bins=128)])
    assert [len(group.runs) for group in groups] == [2, 1]
    assert differing(groups) == ["mel_bins"]
    assert label_groups(groups) == ["64 mel bins", "128 mel bins"]


def test_networks_differ_in_nothing_but_themselves():
    names = ("Cnn6", "MobileNetV1", "LeeNet11", "Wavegram_Cnn14", "Cnn14_DecisionLevelMax")
    groups = group_runs([run(), *(run(arch=name) for name in names)])
    assert differing(groups) == ["arch"]
    assert label_groups(groups) == ["Cnn14", *names]


def test_what_does_not_change_learning_does_not_count():
    other = {"run_dir": "x", "log_steps": 3, "eval_steps": 7, "steps": 1200, "xla": "off"}
    (group,) = group_runs([run(seed=1, **other), run(seed=2), run(decimation="lowpass")])
    assert len(group.runs) == 3
    cosine = group_runs([run(schedule="cosine", steps=1), run(schedule="cosine")])
    assert differing(cosine) == ["steps"]


def test_the_demos_data_are_the_same_in_every_run():
    demo = run("runs/a", data="runs/a/data/train"), run("moved/b", data="/x/b/data/train")
    groups = group_runs([*demo, run()])
    assert [len(group.runs) for group in groups] == [2, 1]
    assert differing(groups) == ["data"]


def test_labels():
    for changes, label in (
        ({"sampling": "shuffled", "mixup": "none"}, "no balancing, no mixup"),
        ({"fraction": 0.5, "ema": 0.9}, "50 % of the clips, ema 0.9"),
        ({"hop_size": 640}, "hop size 640"),
        ({"arch": "Cnn6"}, "Cnn6"),
        ({"ema": 0.9}, "ema 0.9"),
    ):
        assert label_groups(group_runs([run(), run(**changes)]))[1] == label
    assert label_groups(group_runs([run(), run(ema=0.9)]))[0] == "ema none"
    assert label_groups(group_runs([run()])) == ["Cnn14"]
    groups = group_runs([run(data=path) for path in ("e/b/c", "e/x/c", "q", None)])
    assert label_groups(groups) == ["b/c", "x/c", "q", "no data"]


def test_labels_of_many_kinds_state_what_is_unusual():
    groups = group_runs([run(), run(arch="Cnn6"), run(mel_bins=32), run(fraction=0.5)])
    assert label_groups(groups) == [
        "Cnn14",
        "Cnn6",
        "Cnn14, 32 mel bins",
        "Cnn14, 50 % of the clips",
    ]


def test_a_network_of_a_later_version_keeps_its_settings():
    (group,) = group_runs([run(arch="Cnn99", mel_bins=32)])
    assert (group.settings["arch"], group.settings["mel_bins"]) == ("Cnn99", 32)
