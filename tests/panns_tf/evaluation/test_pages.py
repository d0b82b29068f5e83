"""The pages of an evaluation and of a comparison, in a browser."""

import json

import numpy as np
import pytest

from panns_tf.evaluation.comparing import compare
from panns_tf.evaluation.evaluating import Wishes
from panns_tf.evaluation.facts import Facts
from panns_tf.evaluation.measures import as_metrics, measure
from panns_tf.evaluation.media import media_of
from panns_tf.evaluation.mistakes import find_mistakes
from panns_tf.evaluation.report import write_page
from panns_tf.evaluation.scores import save_scores
from panns_tf.training.callbacks import finite
from tests.panns_tf.evaluation.support import LABELS, made_scores

pytestmark = pytest.mark.browser

FIGURES = ("mAP", "mAUC", "d_prime", "mAP_micro", "mAP_weighted", "lift")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of made-up scores, and what metrics.json would hold."""
    output = tmp_path_factory.mktemp("report")
    scores = made_scores(120)
    scores.target[:, 4] = False  # the last class has no figure
    facts = Facts(
        np.array([12, 340, 5600, 70, 9]),
        "made up",
        np.array([1, 0.5, np.nan, 0.8, 0.9]),
        [("Animal",), ("Music", "Animal"), (), ("Music",), ()],
    )
    measures = measure(scores, facts, replicates=50)
    figures = finite({**measures.summary.as_dict(), **as_metrics(measures)})
    mistakes = find_mistakes(scores, 4)
    rng = np.random.default_rng(0)
    clips = {scores.clip_ids[mistake.clip] for kind in mistakes for mistake in kind}
    media = {
        clip: media_of(rng.integers(-9000, 9000, 4000).astype(np.int16), 8000) for clip in clips
    }
    settings = [("Model", "<runs> & others/final.keras")]
    path = write_page(output, scores, measures, facts, figures, settings, mistakes, media)
    return path, json.loads(json.dumps(figures)), measures


def cells(page, column: int) -> list[str]:
    rows = page.locator("table.classes tbody tr:not(.detail):visible")
    return [rows.nth(n).locator("th, td").nth(column).inner_text() for n in range(rows.count())]


def test_headline_numbers_are_those_of_metrics_json(page, report, screenshot):
    path, figures, _ = report
    page.goto(path.as_uri())
    for name in FIGURES:
        tile = page.locator(f'[data-figure="{name}"]')
        assert float(tile.get_attribute("data-value")) == figures[name]
        digits = {"d_prime": 2, "lift": 1}.get(name, 3)
        shown = [f"{x:.{digits}f}" for x in (figures[name], *figures["intervals"][name])]
        assert tile.locator(".value").inner_text().split() == [*shown[:2], "to", shown[2]]
    assert page.locator('[data-figure="accuracy"]').count() == 0
    assert "1 of 5 classes have no positive clip" in page.locator("ul.notes").inner_text()
    assert screenshot("report-light").stat().st_size > 10_000


def test_columns_sort_and_undefined_figures_stay_last(page, report):
    path, _, measures = report
    page.goto(path.as_uri())
    ap = measures.summary.average_precision
    falling = [LABELS[n] for n in np.argsort(-np.nan_to_num(ap, nan=-1))]
    assert cells(page, 0) == falling
    head = page.locator("table.classes thead th").nth(1)
    for order, expected in (
        ("descending", falling),
        ("ascending", [*falling[:4][::-1], falling[4]]),
    ):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        assert cells(page, 0) == expected
    assert cells(page, 1)[-1] == "–"
    page.locator("table.classes thead th").nth(0).locator("button").click()
    assert cells(page, 0) == sorted(LABELS, key=str.casefold)
    assert head.get_attribute("aria-sort") == "none"


def test_filters_leave_what_fits(page, report):
    path, _, measures = report
    page.goto(path.as_uri())
    page.locator(".search").fill("QUOTED")
    assert cells(page, 0) == [LABELS[1]]
    assert page.locator(".filters output").inner_text() == "1 of 5 classes"
    page.locator(".search").fill("no such class")
    assert page.get_by_text("No class fits these filters.").is_visible()
    page.locator(".search").fill("")
    page.locator(".branch").select_option("Animal")
    assert set(cells(page, 0)) == set(LABELS[:2])
    page.locator(".branch").select_option("")
    least = int(np.sort(measures.summary.positives)[2])
    page.locator(".least").fill(str(least))
    assert len(cells(page, 0)) == int((measures.summary.positives >= least).sum())


def test_a_class_opens_to_its_curves_also_by_keyboard(page, report):
    path, _, measures = report
    page.goto(path.as_uri())
    button = page.get_by_role("button", name=LABELS[2], exact=True)
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    detail = page.locator("tr.detail")
    for curve in ("pr", "roc"):
        points = detail.locator(f"svg.{curve} polyline").get_attribute("points").split()
        assert len(points) > 10
    clips = f"{measures.summary.positives[2]} of 120 clips have it."
    assert clips in detail.locator("p").inner_text()
    button.click()
    assert detail.count() == 0
    page.get_by_role("button", name=LABELS[4], exact=True).click()
    assert "no clip with this class" in detail.inner_text()
    assert detail.locator("svg").count() == 0


def test_mistakes_can_be_seen_and_heard(page, report):
    path, _, _ = report
    page.goto(path.as_uri())
    images = page.locator(".card img")
    assert images.count() == 8
    for n in range(images.count()):
        assert images.nth(n).evaluate("image => image.naturalWidth") > 0
        assert images.nth(n).get_attribute("alt")
    sound = page.locator(".card audio").first
    seconds = sound.evaluate(
        "audio => new Promise((done, fail) => {"
        " audio.onloadedmetadata = () => done(audio.duration);"
        " audio.onerror = () => fail('cannot be played'); audio.load(); })"
    )
    assert seconds == pytest.approx(0.5, abs=0.05)


def test_labels_are_text_and_nothing_else(page, report):
    path, _, _ = report
    page.on("dialog", lambda dialog: page.troubles.append(f"dialog {dialog.message}"))
    page.goto(path.as_uri())
    assert page.locator("script").count() == 2
    for label in LABELS:
        assert page.get_by_text(label, exact=True).first.is_visible(), label


def test_the_fixture_sees_requests_and_errors(page, report):
    """The tests above would fail if the page asked for anything."""
    path, _, _ = report
    page.goto(path.as_uri())
    page.evaluate("setTimeout(() => { throw new Error('broken') })")
    page.evaluate("() => { new Image().src = 'https://example.invalid/x.png' }")
    page.wait_for_function("() => true")
    page.wait_for_timeout(200)
    assert any("broken" in trouble for trouble in page.troubles)
    # The page's own policy forbids it before it is sent.
    assert any("Content Security Policy" in trouble for trouble in page.troubles)
    page.troubles.clear()


def _luminance(page, name: str) -> float:
    colour = page.evaluate(f"getComputedStyle(document.body).{name}")
    parts = [int(x) / 255 for x in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_have_contrast(page, report, screenshot, scheme):
    path, _, _ = report
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    paper, ink = _luminance(page, "backgroundColor"), _luminance(page, "color")
    assert (paper > ink) == (scheme == "light")
    assert (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05) > 7
    screenshot(f"report-{scheme}")


def test_print_is_dark_on_light_whatever_the_screen_is(page, report):
    path, _, _ = report
    page.emulate_media(color_scheme="dark", media="print")
    page.goto(path.as_uri())
    assert _luminance(page, "backgroundColor") == pytest.approx(1)
    soft = page.locator(".meaning").first.evaluate("p => getComputedStyle(p).color")
    assert soft == "rgb(91, 100, 112)"
    assert page.locator(".filters").is_hidden()


def test_a_phone_scrolls_down_alone(page, report, screenshot):
    path, _, _ = report
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(path.as_uri())
    page.locator("button.open").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    screenshot("report-phone")


def test_a_comparison_sorts_filters_and_draws(page, tmp_path, screenshot):
    first, better = made_scores(300, noise=0.4), made_scores(300, noise=0.4)
    better.score[:, :2] = made_scores(300, seed=1, noise=0.1).score[:, :2]
    for name, scores in (("first", first), ("better", better)):
        save_scores(tmp_path / name, scores)
    runs = [tmp_path / "first", tmp_path / "better"]
    compare(runs, None, tmp_path / "out", Wishes(bootstrap=100))
    page.goto((tmp_path / "out" / "comparison.html").as_uri())
    assert page.locator('tr[data-run="better"]').count() == 1
    assert page.locator("svg.chart circle").count() == len(LABELS)
    gains = [float(text.replace("−", "-")) for text in cells(page, 4)]
    assert gains == sorted(gains, reverse=True)
    head = page.locator("table.classes thead th").nth(4).locator("button")
    head.click()
    head.click()
    assert [float(text.replace("−", "-")) for text in cells(page, 4)] == sorted(gains)
    clear = page.locator('tr[data-clear="1"]').count()
    page.locator(".only").check()
    assert len(cells(page, 0)) == clear
    assert clear == 2
    screenshot("comparison")
