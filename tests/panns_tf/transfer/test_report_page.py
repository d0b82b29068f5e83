"""The page of a run, in a browser."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from panns_tf.transfer.certainty import figure, overall
from panns_tf.transfer.report import write
from panns_tf.transfer.scoring import by_class, confusion
from tests.panns_tf.transfer.support import made_results, made_run, multi_label, result

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A run on a task of the paper, with a hostile label and a note."""
    run = made_run(task="esc50", comparable=True, notes=("2 files & more",), seconds=812.0)
    results = made_results()
    return write(tmp_path_factory.mktemp("single"), run, results)[-1], run, results


def cells(page, table: str, column: int) -> list[str]:
    rows = page.locator(f"{table} tbody tr:visible")
    return [rows.nth(n).locator("th, td").nth(column).inner_text() for n in range(rows.count())]


def tile(page, name: str) -> float:
    return float(page.locator(f'[data-figure="{name}"]').get_attribute("data-value"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_headline_and_folds(page, single, screenshot, scheme):
    path, _, results = single
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    assert page.locator("h1").inner_text() == "Cnn6 on My <sounds>"
    whole = overall(results, "accuracy")
    assert tile(page, "accuracy") == whole.value
    assert (tile(page, "paper"), tile(page, "chance")) == (0.947, 0.1)
    shown = page.locator('[data-figure="accuracy"] .value').inner_text().split()
    assert shown == [f"{x:.3f}" for x in (whole.value, whole.low)] + ["to", f"{whole.high:.3f}"]
    expected = [*(figure(one, "accuracy") for one in results), whole.value, 0.947]
    assert cells(page, "#folds table", 1) == [f"{x:.3f}" for x in expected]
    assert cells(page, "#folds table", 0)[-2:] == ["Mean", "The paper, Cnn14"]
    assert page.locator("ul.notes").inner_text() == "2 files & more"
    assert screenshot(f"transfer-{scheme}").stat().st_size > 10_000


def test_classes_sort_and_filter(page, single):
    path, run, results = single
    page.goto(path.as_uri())
    found = by_class(sum(confusion(one.target, one.score) for one in results))
    assert tile(page, "macro_f1") == found.macro_f1
    rising = [run.classes[n] for n in np.argsort(found.f1, kind="stable")]
    assert cells(page, "table.classes", 0) == rising  # the worst first
    assert cells(page, "table.classes", 4) == [f"{x:.3f}" for x in np.sort(found.f1)]
    page.locator("table.classes thead th").nth(4).locator("button").click()
    assert cells(page, "table.classes", 4) == [f"{x:.3f}" for x in np.sort(found.f1)[::-1]]
    page.locator(".filters .search").fill("hail")
    assert cells(page, "table.classes", 0) == ["rain; hail"]


def test_confusion_and_mistakes(page, single):
    path, _, results = single
    page.goto(path.as_uri())
    matrix = sum(confusion(one.target, one.score) for one in results)
    numbers = page.locator("#confusion svg text").all_text_contents()
    counts = [int(text) for text in numbers if text.isdigit()]
    assert counts == matrix[matrix > 0].tolist()
    wrong = int(matrix.sum() - np.trace(matrix))
    assert f"{wrong} clips were taken for another class; the 20" in page.inner_text("#mistakes")
    first = max(
        (one.score[n].max(), one.clip_ids[n])
        for one in results
        for n in np.flatnonzero(one.target.argmax(1) != one.score.argmax(1))
    )
    assert cells(page, "#mistakes table", 0)[0] == first[1]
    assert cells(page, "#mistakes table", 4)[0] == f"{first[0]:.3f}"


def test_numbers_in_the_matrix_are_readable(page, single):
    """The contrast of every number with its cell, in both schemes."""
    path, _, _ = single
    script = """() => {
      const probe = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
      const rgb = (colours) => {
        probe.globalAlpha = 1;
        for (const [colour, alpha] of colours) {
          probe.globalAlpha = alpha; probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
        }
        return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
      };
      const light = (c) => { const p = c.map((v) => v / 255)
        .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2]; };
      const ground = getComputedStyle(document.body).backgroundColor;
      const ratios = [];
      for (const text of document.querySelectorAll('#confusion svg text.middle')) {
        const style = getComputedStyle(text.previousElementSibling);
        const under = light(rgb([[ground, 1], [style.fill, Number(style.fillOpacity)]]));
        const ink = light(rgb([[getComputedStyle(text).fill, 1]]));
        ratios.push((Math.max(ink, under) + 0.05) / (Math.min(ink, under) + 0.05));
      }
      return ratios;
    }"""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())
        ratios = page.evaluate(script)
        assert len(ratios) > 20
        assert min(ratios) > 4.5, scheme


def test_strategies_and_curves(page, tmp_path, screenshot):
    counts = (1, 2, 5, 10, 20, None)
    for strategy in ("scratch", "freeze_l1", "finetune", "linear_probe"):
        run, results = made_run(strategy=strategy), made_results(2, (0, 1), counts)
        path = write(tmp_path, run, results)[-1]
    page.goto(path.as_uri())
    assert cells(page, "#fewshot table", 0) == ["scratch", "Freeze_L1", "fine-tune", "linear probe"]
    whole = overall([r for r in results if r.clips_per_class is None], "accuracy")
    last = cells(page, "#fewshot table", 6)[3]
    assert last == f"{whole.value:.3f} ± {whole.seed_spread:.3f}"
    assert page.evaluate("document.querySelector('#fewshot img').naturalWidth") > 300
    assert "seed 0" in page.inner_text("#confusion")
    screenshot("transfer-fewshot")


def test_not_compared_and_few_clips_are_said(page, tmp_path):
    run = made_run(task="esc50", comparable=False, why_not="fold 5 was not run")
    path = write(tmp_path, run, made_results(2, counts=(5,)))[-1]
    page.goto(path.as_uri())
    assert "The paper: not compared: fold 5 was not run." in page.inner_text("#headline")
    assert page.locator('[data-figure="paper"]').count() == 0
    assert "Of 5 training clips of each class." in page.inner_text("#folds")


def test_several_labels(page, tmp_path, screenshot):
    results = [result(*multi_label(60, 6, n), fold=str(n)) for n in (1, 2)]
    target = results[0].target.copy()
    target[:, 3] = 0
    results[0] = dataclasses.replace(results[0], target=target)
    run = made_run(6, metric="mAP", multi_label=True)
    path = write(tmp_path, run, results)[-1]
    page.goto(path.as_uri())
    assert page.locator("#confusion").count() == 0
    ap = dict(zip(cells(page, "table.classes", 0), cells(page, "table.classes", 1), strict=True))
    both = [average_precision_score(one.target[:, 0], one.score[:, 0]) for one in results]
    assert ap["<b>dog"] == f"{np.mean(both):.3f}"
    only = average_precision_score(results[1].target[:, 3], results[1].score[:, 3])
    assert ap["class 3"] == f"{only:.3f}"
    assert page.locator("#mistakes h3").all_inner_texts() == ["False alarms", "Misses"]
    screenshot("transfer-several-labels")


def test_nothing_wrong_and_a_class_without_clips(page, tmp_path):
    target = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    path = write(tmp_path, made_run(3), [result(target, target)])[-1]
    page.goto(path.as_uri())
    assert "None: every clip was recognised." in page.inner_text("#mistakes")
    rows = dict(zip(cells(page, "table.classes", 0), cells(page, "table.classes", 1), strict=True))
    assert rows == {"<b>dog": "1.000", "rain; hail": "1.000", "class 2": "–"}
