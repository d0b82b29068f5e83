"""Pages of evaluations and comparisons: their content, and in a browser what they do."""

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
import soundfile

from panns_tf.evaluation.compare import compare
from panns_tf.evaluation.evaluate import (
    Measures,
    evaluation_sections,
    find_mistakes,
    mistake_blocks,
    read_sounds,
)
from panns_tf.evaluation.page import Chart, Column, Section, Sound, Table, Tile, render
from panns_tf.evaluation.scores import EvaluateSettings, save_scores
from panns_tf.metrics.bootstrap import Estimate, number
from tests.panns_tf.evaluation.support import LABELS, no_metadata, synthetic_scores
from tfrecords import load_index

METRICS = ("mAP", "mAUC", "d_prime", "mAP_micro", "mAP_weighted", "lift")


def page_of(tmp_path, *blocks) -> str:
    render(tmp_path / "page.html", "<Title>", [Section("Part", blocks)], notes=["first note"])
    return (tmp_path / "page.html").read_text()


def test_numbers_are_for_people():
    assert [number(x) for x in (None, np.nan, np.inf, -np.inf, -1234.5)] == [
        *("–", "–", "∞", "−∞", "−1,234.500")
    ]
    assert Estimate(0.25, 0.2, 0.3).text(2) == "0.25 (0.20 to 0.30)"
    assert Estimate(-0.25, -0.5, 0.125).text(signed=True) == "−0.250 (−0.500 to +0.125)"
    assert Estimate(0.25).text() == "0.250"


def test_texts_are_escaped_and_nothing_is_loaded(tmp_path):
    axes_text = Chart("</h3>", lambda axes: axes.set_title(LABELS[1]), alt='"quoted"')
    table = Table([Column("<th>")], [[label] for label in LABELS], sortable=True)
    page = page_of(tmp_path, axes_text, table, {"<dt>": None})
    assert "&lt;Title&gt;" in page
    assert "First note." in page
    assert "<script>alert" not in page
    assert page.count("<script") == 1  # the page's own
    assert "&#34;quoted&#34; $1 one$" in page or '"quoted" $1 one$' in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "default-src 'none'" in page


def test_cells_show_value_interval_and_scale(tmp_path):
    columns = [Column("Name"), Column("AP", "number"), Column("Bar", "bar")]
    columns += [Column("Gain", "difference"), Column("Clips", "count")]
    ap = Estimate(0.5, 0.4, 0.625)
    rows = [
        ("a", ap, ap, Estimate(0.25, 0.1, 0.3), 1200),
        ("b", None, np.nan, Estimate(-0.25, -0.3, -0.1), np.int64(7)),
    ]
    table = Table(columns, rows, sortable=True, least="Clips")
    assert "0.500 (0.400 to 0.625)  0.500 (0.400 to 0.625)  +0.250 (+0.100 to +0.300)" in table.text
    page = page_of(tmp_path, table)
    assert '0.500 <span class="between">0.400 to 0.625</span>' in page
    assert '+0.250 <span class="between">+0.100 to +0.300</span>' in page
    assert 'style="width:50.0%"' in page
    assert 'style="left:40.0%;width:22.5%"' in page
    assert '<td class="difference better"' in page
    assert '<td class="difference worse"' in page
    assert 'data-v="1200.0">1,200</td>' in page
    assert 'data-v="">–</td>' in page


def test_tiles_show_what_is_undefined_or_infinite(tmp_path):
    tiles = [Tile("a", None), Tile("b", np.inf), Tile("c", Estimate(0.25, 0.2, 0.3))]
    page = page_of(tmp_path, tiles)
    values = re.findall(r'<p class="value">(.*?) <span class="between">(.*?)</span>', page)
    assert values == [("–", ""), ("∞", ""), ("0.250", "0.200 to 0.300")]


def test_charts_follow_the_theme(tmp_path):
    def draw(axes):
        axes.scatter([0, 1], [0, 1], color="#0063a6")

    page = page_of(tmp_path, Chart("Dots", draw))
    assert '[style*="fill: #0063a6"]' in page
    assert "fill: #0063a6" in page.partition("<svg")[2]


def test_mistakes_are_the_most_confident_and_vary():
    scores = synthetic_scores(200)
    alarms, misses = find_mistakes(scores, 8)
    values = [[float(scores.score[pair]) for pair in pairs] for pairs in (alarms, misses)]
    assert values[0] == sorted(values[0], reverse=True)
    assert values[1] == sorted(values[1])
    assert values[0][0] == scores.score[~scores.target].max()
    assert values[1][0] == scores.score[scores.target].min()
    for pairs, missed in ((alarms, False), (misses, True)):
        assert len(pairs) == len({clip for clip, _ in pairs}) == 8
        assert np.bincount([label for _, label in pairs]).max() <= 2
        assert all(scores.target[pair] == missed for pair in pairs)
    assert find_mistakes(scores, 0) == [[], []]


def test_a_perfect_ranking_has_no_mistakes():
    scores = synthetic_scores()
    scores.score[:] = 0.2 + 0.6 * scores.target
    assert find_mistakes(scores, 8) == [[], []]
    pair = tuple(int(x[0]) for x in np.nonzero(scores.target))
    scores.score[pair] = 0.1
    assert find_mistakes(scores, 8)[1] == [pair]


def test_sounds_are_drawn_and_played():
    for rate, seconds in ((8000, 0.5), (32000, 0.5), (8000, 21)):
        time = np.arange(round(rate * seconds)) / rate
        html = Sound(np.sin(2 * np.pi * 440 * time).astype(np.float32), rate).html
        assert "data:image/png" in html
        content = re.search(r'src="data:audio/ogg;base64,([^"]*)"', html)[1]
        samples, played = soundfile.read(io.BytesIO(base64.b64decode(content)))
        assert played == min(rate, 16_000)
        assert len(samples) == pytest.approx(played * min(seconds, 20), abs=100)
        spectrum = np.abs(np.fft.rfft(samples))
        assert spectrum.argmax() * played / len(samples) == pytest.approx(440, abs=5)
        assert ("The first 20 s of it." in html) == (seconds > 20)
    short = Sound(np.ones(5, np.float32), 8000, audible=False).html
    assert "<image" in short
    assert "<audio" not in short


def test_clips_are_read_from_records(data):
    index = load_index(data / "eval")
    wanted = [index.clip_ids[3], b"nowhere", index.clip_ids[0], index.clip_ids[3]]
    settings = EvaluateSettings(data=data / "eval", mistakes=2, audio=False)
    sounds = read_sounds(settings, wanted, 8000)
    assert set(sounds) == {index.clip_ids[0], index.clip_ids[3]}
    for sound in sounds.values():
        assert (sound.waveform.shape, sound.waveform.dtype) == ((4000,), np.float32)
    assert read_sounds(settings, [b"nowhere"], 8000) == {}
    scores = dataclasses.replace(synthetic_scores(), clip_ids=np.tile(index.clip_ids[:1], 60))
    alarms, _, misses, _ = mistake_blocks(scores, settings)
    assert len(alarms.rows) == len(misses.rows) == 2
    for row in [*alarms.rows, *misses.rows]:
        assert 0.05 < np.abs(row[2].waveform).max() <= 1
        assert not row[2].audible


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page of synthetic scores, what metrics.json would hold, and the metrics."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    scores = synthetic_scores(120)
    scores.target[:, 4] = False  # the last class has no metrics
    metadata = no_metadata()
    metadata.branches = [("Animal",), ("Music", "Animal"), (), ("Music",), ()]
    metadata.quality = np.array([1, 0.5, np.nan, 0.8, 0.9])
    metadata.training_clips = np.array([12, 340, 5600, 70, 9])
    measures = Measures(scores, metadata, replicates=50)
    values = measures.as_metrics()
    sections = evaluation_sections(scores, measures)
    columns = [Column("Class"), Column("Sound", "sound")]
    rows = [(LABELS[2], Sound(np.zeros(4000, np.float32) + 0.1, 8000)), ("gone", None)]
    sections.append(Section("Mistakes", [Table(columns, rows)]))
    render(path, "Made up", sections, notes=measures.notes)
    return path, values, measures


def cells(page, column: int) -> list[str]:
    rows = page.locator("table.sortable tbody tr:not(.detail):visible")
    return [rows.nth(n).locator("th, td").nth(column).inner_text() for n in range(rows.count())]


@pytest.mark.full
def test_tiles_show_what_metrics_json_holds(page, report):
    path, values, _ = report
    page.goto(path.as_uri())
    for name in METRICS:
        tile = page.locator(f'[data-key="{name}"]')
        assert float(tile.get_attribute("data-v")) == values[name]
        digits = {"d_prime": 2, "lift": 1}.get(name, 3)
        shown = [f"{x:.{digits}f}" for x in (values[name], *values["intervals"][name])]
        assert tile.locator(".value").inner_text().split() == [*shown[:2], "to", shown[2]]
    assert page.locator('[data-key="accuracy"]').count() == 0
    assert "1 of 5 classes have no positive clip" in page.locator("ul.notes").inner_text()


@pytest.mark.full
def test_columns_sort_and_undefined_values_stay_last(page, report):
    path, _, measures = report
    page.goto(path.as_uri())
    ap = measures.summary.average_precision
    falling = [LABELS[n] for n in np.argsort(-np.nan_to_num(ap, nan=-1))]
    assert cells(page, 0) == falling
    head = page.locator("table.sortable thead th").nth(1)
    for order, expected in (
        ("descending", falling),
        ("ascending", [*falling[:4][::-1], falling[4]]),
    ):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == order
        assert cells(page, 0) == expected
    assert cells(page, 1)[-1] == "–"
    page.locator("table.sortable thead th").nth(0).locator("button").click()
    assert cells(page, 0) == sorted(LABELS, key=str.casefold)
    assert head.get_attribute("aria-sort") == "none"


@pytest.mark.full
def test_filters_leave_what_fits(page, report):
    path, _, measures = report
    page.goto(path.as_uri())
    page.locator(".search").fill("QUOTED")
    assert cells(page, 0) == [LABELS[1]]
    assert page.locator("form output").inner_text() == "1 of 5"
    page.locator(".search").fill("no such class")
    assert page.get_by_text("Nothing fits these filters.").is_visible()
    page.locator(".search").fill("")
    page.locator(".search").fill("animal")
    assert set(cells(page, 0)) == set(LABELS[:2])
    page.locator(".search").fill("")
    least = int(np.sort(measures.summary.positives)[2])
    page.locator(".least").fill(str(least))
    assert len(cells(page, 0)) == int((measures.summary.positives >= least).sum())


@pytest.mark.full
def test_clips_play_and_labels_are_text_and_nothing_else(page, report):
    path, _, _ = report
    page.on("dialog", lambda dialog: page.troubles.append(f"dialog {dialog.message}"))
    page.goto(path.as_uri())
    seconds = page.locator("audio").evaluate(
        "audio => new Promise((done, fail) => {"
        " audio.onloadedmetadata = () => done(audio.duration);"
        " audio.onerror = () => fail('cannot be played'); audio.load(); })"
    )
    assert seconds == pytest.approx(0.5, abs=0.05)
    for label in LABELS:
        assert page.get_by_text(label, exact=True).first.is_visible(), label


@pytest.mark.full
def test_the_page_may_ask_for_nothing(page, report):
    """A check of the fixture, too, which fails on requests and errors."""
    path, _, _ = report
    page.goto(path.as_uri())
    page.evaluate("setTimeout(() => { throw new Error('broken') })")
    page.evaluate("() => { new Image().src = 'https://example.invalid/x.png' }")
    page.wait_for_timeout(200)
    assert any("broken" in trouble for trouble in page.troubles)
    # The page's own policy forbids it before it is sent.
    assert any("Content Security Policy" in trouble for trouble in page.troubles)
    page.troubles.clear()


def luminance(page, selector: str, name: str) -> float:
    colour = page.locator(selector).first.evaluate(f"x => getComputedStyle(x).{name}")
    parts = [int(x) / 255 for x in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.full
def test_themes_have_contrast_print_is_light_and_a_phone_scrolls_down_alone(
    page, report, screenshot
):
    path, _, _ = report
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(path.as_uri())
        paper = luminance(page, "body", "backgroundColor")
        for ink in (luminance(page, "body", "color"), luminance(page, ".chart text", "fill")):
            assert (paper > ink) == (scheme == "light")
            assert (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05) > 4.5
        screenshot(f"report-{scheme}")
    page.emulate_media(color_scheme="dark", media="print")
    assert luminance(page, "body", "color") < 0.05
    assert luminance(page, ".chart text", "fill") < 0.2
    assert page.locator("form").is_hidden()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    screenshot("report-phone")


def gains_of(page) -> list[float]:
    return [float(text.split()[0].replace("−", "-")) for text in cells(page, 4)]


@pytest.mark.full
def test_a_comparison_sorts_filters_and_draws(page, tmp_path, screenshot):
    first, better = synthetic_scores(300, noise=0.4), synthetic_scores(300, noise=0.4)
    better.score[:, :2] = synthetic_scores(300, seed=1, noise=0.1).score[:, :2]
    for name, scores in (("first", first), ("better", better)):
        save_scores(tmp_path / name, scores)
    runs = [tmp_path / "first", tmp_path / "better"]
    compare(runs, EvaluateSettings(bootstrap=100), tmp_path / "out")
    page.goto((tmp_path / "out" / "comparison.html").as_uri())
    gains = gains_of(page)
    assert gains == sorted(gains, reverse=True)
    head = page.locator("table.sortable thead th").nth(4).locator("button")
    head.click()
    head.click()
    assert gains_of(page) == sorted(gains)
    page.locator(".search").fill("better")
    assert set(cells(page, 0)) == set(LABELS[:2])
    screenshot("comparison")
