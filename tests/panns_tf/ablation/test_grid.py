import dataclasses

import pytest
from scipy.stats import norm

from panns_tf.ablation.grid import find_grid, grid_names, read_grid
from panns_tf.models import ARCHITECTURES, find
from panns_tf.training.options import parse

SHIPPED = {"table_v", "table_vi", "table_vii", "table_viii", "table_ix", "table_x"}
SHIPPED |= {"balancing_mixup", "networks"}


def test_the_shipped_grids_are_named():
    assert set(grid_names()) == SHIPPED


@pytest.mark.parametrize("shipped", sorted(SHIPPED))
def test_every_shipped_grid_reads_and_says_what_it_is(shipped):
    grid = read_grid(shipped)
    assert grid.name == shipped
    assert grid.title
    assert "AudioSet" in grid.source
    assert grid.shows
    assert f"python -m panns_tf ablate {shipped} --data " in find_grid(shipped).read_text()
    assert [row for row in grid.rows if row.reference] == [grid.reference]
    names = {name.replace("_", "-") for row in grid.rows for name in row.settings}
    for name in names - {"dropout"}:  # a switch
        value = next(row.settings[name.replace("-", "_")] for row in grid.rows)
        assert vars(parse([f"--{name}={value}"])) == {name.replace("-", "_"): value}


@pytest.mark.parametrize("shipped", sorted(SHIPPED))
def test_published_auc_and_d_prime_are_of_each_other(shipped):
    """Both were rounded from one figure, so a slip in typing either is seen."""
    for row in read_grid(shipped).rows:
        if {"mAUC", "d_prime"} <= row.published.keys():
            auc = norm.cdf(row.published["d_prime"] / 2**0.5)
            assert auc == pytest.approx(row.published["mAUC"], abs=6e-4), row.label


def nameless(row):
    return dataclasses.replace(row, name="", parameters=0, published_map=None)


@pytest.mark.parametrize(("shipped", "found"), [("table_vii", 4), ("table_ix", 3), ("table_x", 3)])
def test_rows_are_the_networks_of_the_registry_with_their_published_figures(shipped, found):
    known = {}
    for row in ARCHITECTURES.values():
        if row.published_map is not None:
            known.setdefault(repr(nameless(row)), row)
    matches = []
    for row in read_grid(shipped).rows:
        config = row.config()
        network = find(config.arch).override(**config.overrides)
        matches.append((known[repr(nameless(network))].published_map, row.published["mAP"]))
    assert len(matches) == found
    assert [ours for ours, _ in matches] == [published for _, published in matches]


def test_the_grid_of_networks_quotes_the_registry():
    for row in read_grid("networks").rows:
        assert find(row.settings["arch"]).published_map == row.published["mAP"]
        assert row.label == row.settings["arch"]


def test_table_v_and_the_grid_made_whole_of_it_agree():
    def figures(name):
        return {
            (row.settings["sampling"], row.settings["mixup"]): row.published
            for row in read_grid(name).rows
            if row.data in ("full", None) and row.published
        }

    five, whole = figures("table_v"), figures("balancing_mixup")
    assert len(whole) == 3
    assert whole.items() <= five.items()
    waveform = five["balanced", "waveform"]["mAP"]
    assert waveform == find("Cnn14_mixup_time_domain").published_map


def test_table_vi_says_its_hops_in_milliseconds():
    for row in read_grid("table_vi").rows:
        assert f"{row.settings['hop_size'] / 32:.2f}"[:4] in row.label


ROW = '[[row]]\nlabel = "a"\ngain = 1\n'


def written(tmp_path, text: str):
    path = tmp_path / "g.toml"
    path.write_text(text)
    return read_grid(str(path))


def test_a_grid_of_ones_own(tmp_path):
    text = 'title = "T"\n[base]\narch = "cnn6"\nsteps = 9\ngain = 3\n' + ROW
    grid = written(tmp_path, text + '[[row]]\nlabel = "B / c"\ndata = "x"\n')
    first, second = grid.rows
    assert first.settings == {"arch": "Cnn6", "steps": 9, "gain": 1}
    assert (second.settings["gain"], second.data, second.slug) == (3, "x", "b-c")
    assert grid.reference is second
    assert grid.varied == ("gain",)
    given = read_grid(str(tmp_path / "g.toml"), {"steps": 4})
    assert [row.settings["steps"] for row in given.rows] == [4, 4]
    with pytest.raises(ValueError, match="the rows differ in gain"):
        read_grid(str(tmp_path / "g.toml"), {"gain": 4})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"it has no \[\[row\]\]"),
        ("a = ", "is no TOML"),
        ("titel = 'x'\n" + ROW, "unknown key 'titel'; did you mean title"),
        (ROW + "sampel = 1", "row 'a' has an unknown key 'sampel'; did you mean sampling"),
        (ROW + "steps = 0", "row 'a': steps must be at least 1"),
        (ROW + "steps = '9'", "row 'a': steps must be a whole number"),
        (ROW + "arch = 'cnn15'", "row 'a': unknown network 'cnn15'"),
        (ROW + "arch = 'LeeNet11'\nhop_size = 10", "row 'a': LeeNet11 has no log-mel"),
        (ROW + "seed = 1", "row 'a' has an unknown key 'seed'"),
        (ROW + "accumulate = 5", "row 'a': batch_size 32 cannot be cut into 5"),
        (ROW + ROW.replace('"a"', '"b"'), "the rows 'a' and 'b' have the same settings"),
        (ROW + ROW, "the labels 'a' and 'a' would share a/"),
        (ROW + ROW.replace('"a"', '"A!"'), "the labels 'a' and 'A!' would share a/"),
        (ROW.replace('"a"', '"!"'), "no letter or digit"),
        (ROW.replace('"a"', "3"), "needs a label"),
        ("[[row]]\ngain = 1", "needs a label"),
        (ROW + "published = {map = 0.1}", "published of row 'a' has an unknown key 'map'"),
        (ROW + "published = {mAP = '0.1'}", "published mAP must be a number"),
        (ROW + "data = 3", "data must be a str"),
        ("factors = ['gain']\n" + ROW, "factors must be two settings or more"),
        ("factors = ['gain', 'mixup']\n" + ROW, "row 'a' does not say mixup"),
        ("factors = 3\n" + ROW, "factors must be a list"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"^grid .*g\.toml.*{message}"):
        written(tmp_path, text)


def test_two_references_are_refused(tmp_path):
    row = ROW + "reference = true\n"
    with pytest.raises(ValueError, match="only one row can be the reference"):
        written(tmp_path, row + row.replace('"a"', '"b"'))


def test_factors_need_every_combination(tmp_path):
    places = [("shuffled", "none"), ("balanced", "none"), ("shuffled", "features")]
    text = "factors = ['sampling', 'mixup']\n"
    for number, (sampling, mixup) in enumerate(places):
        text += f"[[row]]\nlabel = '{number}'\nsampling = '{sampling}'\nmixup = '{mixup}'\n"
    with pytest.raises(ValueError, match="0 have sampling = 'balanced' and mixup = 'features'"):
        written(tmp_path, text)
    last = "[[row]]\nlabel = 'd'\nsampling = 'balanced'\nmixup = 'features'\n"
    assert written(tmp_path, text + last).factors == ("sampling", "mixup")
    with pytest.raises(ValueError, match="2 have"):
        written(tmp_path, text + last + last.replace("'d'", "'e'"))


def test_an_unknown_grid_is_named():
    with pytest.raises(ValueError, match="no grid 'table_xi'; expected one of balancing_mixup, "):
        find_grid("table_xi")
