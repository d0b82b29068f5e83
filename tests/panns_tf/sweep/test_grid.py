import argparse
import dataclasses

import pytest
from scipy.stats import norm

from panns_tf.config import TrainConfig
from panns_tf.models.registry import ARCHITECTURES, find
from panns_tf.sweep.grid import FOLDER, grid_names, read_grid
from tfrecords.flags import add_flags

SHIPPED = {"table_v", "table_vi", "table_vii", "table_viii", "table_ix", "table_x"}
SHIPPED |= {"balancing_mixup", "networks"}


def test_every_grid_of_the_package():
    assert set(grid_names()) == SHIPPED
    parser = argparse.ArgumentParser()
    add_flags(parser, TrainConfig)
    for name in sorted(SHIPPED):
        grid = read_grid(name)
        assert grid.name == name
        assert grid.title
        assert "AudioSet" in grid.source
        assert grid.shows
        assert f"python -m panns_tf ablate {name} --data " in (FOLDER / f"{name}.toml").read_text()
        assert [row for row in grid.rows if row.reference] == [grid.reference]
        for row in grid.rows:
            for setting, value in row.settings.items():
                if setting != "dropout":  # a switch
                    flag = f"--{setting.replace('_', '-')}={value}"
                    assert vars(parser.parse_args([flag])) == {setting: value}
            # Both were rounded from one result, so a slip in typing either is seen.
            if {"mAUC", "d_prime"} <= row.published.keys():
                auc = norm.cdf(row.published["d_prime"] / 2**0.5)
                assert auc == pytest.approx(row.published["mAUC"], abs=6e-4), row.label


def nameless(arch):
    numbers = dict.fromkeys(("parameters", "operations", "multiply_adds"), 0)
    return repr(dataclasses.replace(arch, name="", published_map=None, **numbers))


def test_rows_are_the_networks_of_the_registry_with_their_published_results():
    known = {}
    for arch in ARCHITECTURES.values():
        if arch.published_map is not None:
            known.setdefault(nameless(arch), arch)
    for name, count in (("table_vii", 4), ("table_ix", 3), ("table_x", 3)):
        rows = read_grid(name).rows
        assert len(rows) == count
        for row in rows:
            config = TrainConfig(**row.settings)
            arch = find(config.arch).override(**config.overrides)
            assert known[nameless(arch)].published_map == row.published["mAP"]
    for row in read_grid("networks").rows:
        assert find(row.settings["arch"]).published_map == row.published["mAP"]
        assert row.label == row.settings["arch"]
    for row in read_grid("table_vi").rows:  # hops in milliseconds
        assert f"{row.settings['hop_size'] / 32:.2f}"[:4] in row.label


def test_table_v_and_the_grid_of_all_its_combinations_agree():
    def published(name):
        return {
            (row.settings["sampling"], row.settings["mixup"]): row.published
            for row in read_grid(name).rows
            if row.data in ("full", None) and row.published
        }

    five, whole = published("table_v"), published("balancing_mixup")
    assert len(whole) == 3
    assert whole.items() <= five.items()
    waveform = five["balanced", "waveform"]["mAP"]
    assert waveform == find("Cnn14_mixup_time_domain").published_map


ROW = '[[row]]\nlabel = "a"\ngain = 1\n'


def written(tmp_path, text: str):
    path = tmp_path / "g.toml"
    path.write_text(text)
    return read_grid(str(path))


def test_a_grid_of_a_user(tmp_path):
    text = 'title = "T"\n[base]\narch = "cnn6"\nsteps = 9\ngain = 3\n' + ROW
    grid = written(tmp_path, text + '[[row]]\nlabel = "B / c"\ndata = "x"\n')
    first, second = grid.rows
    assert first.settings == {"arch": "Cnn6", "steps": 9, "gain": 1}
    assert (second.settings["gain"], second.data, second.slug) == (3, "x", "b-c")
    assert grid.reference is second
    common = read_grid(str(tmp_path / "g.toml"), {"steps": 4})
    assert [row.settings["steps"] for row in common.rows] == [4, 4]
    with pytest.raises(ValueError, match="the rows differ in gain"):
        read_grid(str(tmp_path / "g.toml"), {"gain": 4})


def test_mistakes_are_named(tmp_path):
    reference = ROW + "reference = true\n"
    for text, message in (
        ("", r"it has no \[\[row\]\]"),
        ("a = ", "Invalid value"),
        ("titel = 'x'\n" + ROW, "unknown key 'titel'; did you mean title"),
        (ROW + "sampel = 1", "row 'a' has an unknown key 'sampel'; did you mean sampling"),
        (ROW + "steps = 0", "row 'a': steps must be at least 1"),
        (ROW + "steps = '9'", "row 'a': steps must be a whole number"),
        (ROW + "arch = 'cnn15'", "row 'a': unknown network 'cnn15'"),
        (ROW + "arch = 'LeeNet11'\nhop_size = 10", "row 'a': LeeNet11 has no log-mel"),
        (ROW + "seed = 1", "row 'a' has an unknown key 'seed'"),
        (ROW + "accumulate = 5", "row 'a': batch_size 32 cannot be cut into 5"),
        (ROW + ROW.replace('"a"', '"b"'), "the rows 'a' and 'b' have the same settings"),
        (ROW + ROW.replace('"a"', '"A!"'), "the rows 'a' and 'A!' would share a/"),
        (ROW.replace('"a"', '"!"'), "needs a label"),
        (ROW.replace('"a"', "3"), "label of row 3 must be a text"),
        ("[[row]]\ngain = 1", "needs a label"),
        (ROW + "published = {map = 0.1}", "published of row 'a' has an unknown key 'map'"),
        (ROW + "published = {mAP = '0.1'}", "mAP of published of row 'a' must be a number"),
        (ROW + "data = 3", "data of row 'a' must be a text"),
        (
            reference + reference.replace('"a"', '"b"').replace("1", "2"),
            "'a' and 'b' are both the reference",
        ),
        ("factors = ['gain']\n" + ROW, "factors must be two settings or more"),
        (
            "factors = ['gain', 'mixup']\n" + ROW,
            "1 rows have 1 of the 1 combinations of gain and mixup",
        ),
        ("factors = 3\n" + ROW, "factors of the grid must be list"),
    ):
        with pytest.raises(ValueError, match=rf"^grid .*g\.toml.*{message}"):
            written(tmp_path, text)
    with pytest.raises(ValueError, match="no grid 'table_xi'; expected one of balancing_mixup, "):
        read_grid("table_xi")


def test_factors_need_every_combination(tmp_path):
    cells = [("shuffled", "none"), ("balanced", "none"), ("shuffled", "features")]
    text = "factors = ['sampling', 'mixup']\n"
    for number, (sampling, mixup) in enumerate(cells):
        text += f"[[row]]\nlabel = '{number}'\nsampling = '{sampling}'\nmixup = '{mixup}'\n"
    missing = "3 rows have 3 of the 4 combinations of sampling and mixup"
    with pytest.raises(ValueError, match=missing):
        written(tmp_path, text)
    last = "[[row]]\nlabel = 'd'\nsampling = 'balanced'\nmixup = 'features'\n"
    assert written(tmp_path, text + last).factors == ("sampling", "mixup")
    twice = last.replace("'d'", "'e'") + "gain = 2\n"
    with pytest.raises(ValueError, match="5 rows have 4 of the 4 combinations"):
        written(tmp_path, text + last + twice)
