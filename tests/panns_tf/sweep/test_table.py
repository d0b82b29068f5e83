import csv
import io
import itertools

import numpy as np
import pytest
from scipy import stats

from panns_tf.sweep.grid import Row
from panns_tf.sweep.table import effects, sign_flip_p, write_table
from tests.panns_tf.sweep.support import finish, plan_of, rows_of


def filled(plan, metric):
    """Finishes every run with the mAP that a function of the row's number and the seed gives."""
    index = {row.label: i for i, row in enumerate(plan.grid.rows)}
    for cell in plan.cells():
        finish(cell, mAP=metric(index[cell.label], cell.settings["seed"]))
    return plan


def effects_of(plan) -> dict[str, np.ndarray]:
    values = [cell.state()["mAP"] for cell in plan.cells()]
    return effects(plan.grid, np.array(values, float).reshape(len(plan.seeds), -1))


def cells(text: str, label: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {label} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_means_intervals_and_paired_differences(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.05, (2, 5))
    rows = rows_of(0, 1, gain_0=0.375, gain_1=0.431)
    plan = plan_of(tmp_path, rows, seeds=tuple(range(5)))
    filled(plan, lambda row, seed: 0.5 + 0.1 * row + noise[row, seed])
    text = write_table(plan)
    first = 0.5 + noise[0]
    interval = stats.ttest_1samp(first, 0).confidence_interval(0.95)
    found = cells(text, "gain 0")
    assert found[1] == f"{first.mean():.3f} ± {(interval.high - interval.low) / 2:.3f}"
    assert (found[4], found[5]) == ("0.375", "5")
    less = noise[0] - noise[1] - 0.1
    interval = stats.ttest_1samp(less, 0).confidence_interval(0.95)
    assert found[6] == f"{less.mean():.3f} ± {(interval.high - interval.low) / 2:.3f}"
    test = stats.permutation_test((less,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found[7] == f"{test.pvalue:.3f}"
    assert cells(text, "gain 1")[5:] == ["5", "reference", ""]
    assert "5 seeds cannot give less than 0.0625" in text
    assert (tmp_path / "table.md").read_text() == text
    (row, _) = csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text()))
    assert float(row["mAP"]) == pytest.approx(first.mean(), abs=1e-6)
    assert float(row["mAP_difference_low"]) == pytest.approx(interval.low, abs=1e-6)
    assert (row["published_mAP"], row["published_mAUC"], row["seeds"]) == ("0.375", "", "5")
    runs = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text())))
    assert [(run["setting"], run["seed"]) for run in runs[:3]] == [
        ("gain 0", "0"),
        ("gain 1", "0"),
        ("gain 0", "1"),
    ]
    assert float(runs[0]["mAP"]) == pytest.approx(first[0])
    assert runs[0]["folder"] == "gain-0/seed-0"


def test_differences_are_paired_by_seed_and_not_by_place(tmp_path):
    plan = plan_of(tmp_path, rows_of(0, 1), seeds=(0, 1, 2))
    for cell in plan.cells():
        if (cell.label, cell.settings["seed"]) not in (("gain 0", 0), ("gain 1", 2)):
            finish(cell, mAP=0.1 * cell.settings["seed"] + (cell.label == "gain 1") * 0.05)
    text = write_table(plan)
    assert cells(text, "gain 0")[5] == "-0.050 (one seed)"
    # Unpaired, the means say the opposite.
    assert cells(text, "gain 0")[1].startswith("0.150")
    assert cells(text, "gain 1")[1].startswith("0.100")


def test_one_seed_says_so(tmp_path):
    plan = filled(plan_of(tmp_path, rows_of(0, 1, gain_0=0.2, gain_1=0.3), (0,)), lambda r, s: r)
    text = write_table(plan)
    assert cells(text, "gain 0")[1] == "0.000 (one seed)"
    assert "One seed: no interval" in text
    assert "the same direction, one seed, so it may be noise" in text


def test_unfinished_runs_are_named_and_never_zero(tmp_path):
    plan = plan_of(tmp_path, rows_of(0, 1, steps=600))
    finish(plan.cells()[1], mAP=0.4)
    folder = plan.cells()[0].folder
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"step": 110}\n{"step": 120}\n{"step": 1')
    text = write_table(plan)
    assert cells(text, "gain 0")[1:6] == ["none finished", "", "", "0 of 2", ""]
    assert cells(text, "gain 1")[1] == "0.400 (one seed)"
    assert "- gain 0, seed 0: step 120 of 600" in text
    assert "- gain 0, seed 1: not started" in text
    (row, _) = csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text()))
    assert (row["mAP"], row["mAP_difference"], row["seeds"]) == ("", "", "0")
    run = next(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text())))
    assert (run["mAP"], run["status"], run["step"], run["steps"]) == (
        "",
        "unfinished",
        "120",
        "600",
    )


def test_nothing_finished_is_a_table_too(tmp_path):
    text = write_table(plan_of(tmp_path, rows_of(0, 1, gain_0=0.2, gain_1=0.3)))
    assert "No run is finished." in text
    assert "not measured" in text


def test_perfect_rankings_and_classes_left_out_are_said_in_words(tmp_path):
    plan = plan_of(tmp_path, rows_of(0, 1))
    for cell in plan.cells():
        perfect = cell.label == "gain 0" or cell.settings["seed"] == 0
        finish(cell, d_prime=None if perfect else 2.5, classes_left_out=3)
    text = write_table(plan)
    assert cells(text, "gain 0")[3] == "infinite"
    assert cells(text, "gain 1")[3] == "2.500 (one seed), infinite in 1 of 2"
    assert "3 of 12 classes have no held-out clip, or nothing else, and are left out" in text
    (row, _) = csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text()))
    assert (row["d_prime"], row["d_prime_difference"]) == ("", "")


def test_directions_agree_are_opposite_or_lie_within_noise(tmp_path):
    rows = rows_of(0, 1, 2, 3, gain_0=0.2, gain_1=0.3, gain_2=0.4, gain_3=0.4)
    plan = plan_of(tmp_path, rows, seeds=(0, 1, 2))
    means, noise = (0.1, 0.2, 0.15, 0.3), np.array([[0, 0, 0], [0, 1, 2], [5, 60, 0], [0, 0, 1]])
    filled(plan, lambda row, seed: means[row] + noise[row, seed] / 1000)
    first, second, third = [
        line for line in write_table(plan).splitlines() if line.startswith("- gain")
    ]
    assert "gain 0 to gain 1: published +0.100, here +0.101 ± 0.002: the same direction" in first
    assert "beyond the seeds' noise" in first
    assert "the OTHER direction, within the seeds' noise" in second
    assert "published +0.000" in third
    assert "no direction to compare" in third


def crossed(tmp_path, seeds=(0, 1, 2)):
    places = [(s, m) for s in ("shuffled", "balanced") for m in ("none", "features")]
    rows = tuple(
        Row(f"{s}, {m}", {"arch": "Tiny", "steps": 5, "sampling": s, "mixup": m}, "train")
        for s, m in places
    )
    return plan_of(tmp_path, rows, seeds, factors=("sampling", "mixup"))


def test_effects_of_factors_and_their_interaction(tmp_path):
    """Planted: balancing +0.1, mixup +0.02, both 0.05 more; each seed has a level of its own."""
    means = (0.3, 0.32, 0.4, 0.47)
    plan = filled(crossed(tmp_path), lambda row, seed: means[row] + 0.07 * seed)
    found = effects_of(plan)
    found_means = {name: round(each.mean(), 9) for name, each in found.items()}
    assert found_means == {
        "sampling: shuffled to balanced": 0.125,  # without mixup 0.1, with it 0.15
        "mixup: none to features": 0.045,  # 0.02 and 0.07
        "interaction of sampling balanced and mixup features": 0.05,
    }
    # The seeds' own levels are in no difference.
    assert all(np.ptp(each) == pytest.approx(0, abs=1e-9) for each in found.values())
    assert cells(write_table(plan), "sampling: shuffled to balanced")[1].startswith("+0.125 ±")


def test_without_an_effect_none_is_found(tmp_path):
    noise = np.random.default_rng(5).normal(0, 0.02, (4, 6))
    plan = filled(crossed(tmp_path, tuple(range(6))), lambda row, seed: 0.3 + noise[row, seed])
    assert all(sign_flip_p(each) > 0.05 for each in effects_of(plan).values())


def test_effects_need_all_rows_of_a_seed(tmp_path):
    plan = crossed(tmp_path)
    for cell in plan.cells()[:-1]:  # the last seed lacks a row
        finish(cell)
    assert [np.isfinite(each).sum() for each in effects_of(plan).values()] == [2, 2, 2]
    assert cells(write_table(plan), "sampling: shuffled to balanced")[3] == "2"


def test_three_levels_are_compared_with_the_first(tmp_path):
    rows = tuple(
        Row(f"{m} {g}", {"arch": "Tiny", "mixup": m, "dropout": g}, "train")
        for m in ("none", "features", "waveform")
        for g in (False, True)
    )
    plan = plan_of(tmp_path, rows, (0,), factors=("mixup", "dropout"))
    filled(plan, lambda row, seed: (0.1, 0.2, 0.3, 0.4, 0.7, 0.8)[row])
    assert {name: round(each.mean(), 9) for name, each in effects_of(plan).items()} == {
        "mixup: none to features": 0.2,
        "mixup: none to waveform": 0.6,
        "dropout: off to on": 0.1,
        "interaction of mixup features and dropout on": 0,
        "interaction of mixup waveform and dropout on": 0,
    }


def test_p_is_of_all_assignments_of_signs():
    for n in (2, 3, 5, 8, 12):
        values = np.random.default_rng(n).normal(0.4, 0.3, n)
        flips = itertools.product((-1, 1), repeat=n)
        means = np.array([abs(np.mean(values * signs)) for signs in flips])
        farther = means >= abs(values.mean()) - 1e-12
        assert sign_flip_p(values) == pytest.approx(farther.mean())
    assert sign_flip_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == 2 / 32
    for ties in ([0.0, 0.0], [0.1, -0.1], [0.1, 0.2, -0.3]):  # 0.1 + 0.2 is rounded
        assert sign_flip_p(np.array(ties)) == 1
