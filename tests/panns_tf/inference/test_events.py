"""Events against a reference that does one thing after another, value by value."""

import statistics
import tracemalloc

import numpy as np
import pytest

from panns_tf.inference.events import Event, EventFinder, EventSettings
from tests.panns_tf.inference.support import find_events

LABELS = ["Bark", "Rain", "Engine starting", "Domestic animals, pets"]
STEP = 0.32


def plain_events(probabilities, labels, settings, step, seconds):
    """The events of one class after another, as the documentation says them."""
    half = int(settings.smooth / step / 2 + 1e-6)
    events = []
    for number, label in enumerate(labels):
        if settings.labels is not None and label not in settings.labels:
            continue
        values = [float(value) for value in probabilities[:, number]]
        smooth = [
            np.float32(statistics.median(values[max(0, i - half) : i + half + 1]))
            for i in range(len(values))
        ]
        high = settings.high
        low = high / 2 if settings.low is None else settings.low
        runs, i = [], 0
        while i < len(smooth):
            start = i
            while i < len(smooth) and smooth[i] >= np.float32(low):
                i += 1
            if i > start and max(smooth[start:i]) >= np.float32(high):
                runs.append((start, i))
            i = max(i, start + 1)
        joined = []
        for start, stop in runs:
            if joined and (start - joined[-1][1]) * step < settings.gap - 1e-6:
                joined[-1] = joined[-1][0], stop, max(joined[-1][2], *smooth[start:stop])
            else:
                joined.append((start, stop, max(smooth[start:stop])))
        for start, stop, peak in joined:
            onset, offset = start * step, min(stop * step, seconds)
            if offset > onset and offset - onset >= settings.minimum - 1e-6:
                events.append(Event(onset, offset, label, float(peak)))
    return tuple(sorted(events, key=lambda event: (event.onset, event.offset, event.label)))


def in_pieces(rng, probabilities, settings, seconds, step=STEP):
    """The events when the steps come in pieces of 0 to 7, or one large one among them."""
    finder, found, at = EventFinder(LABELS, settings, step), [], 0
    while at < len(probabilities):
        size = int(rng.choice([0, 1, 2, 7, 60]))
        found += finder.feed(probabilities[at : at + size])
        at += size
    found += finder.finish(seconds)
    return tuple(sorted(found, key=lambda event: (event.onset, event.offset, event.label)))


SETTINGS = {
    "plain": EventSettings(),
    "one threshold": EventSettings(low=0.5),
    "odd median": EventSettings(smooth=3 * STEP),
    "even median": EventSettings(smooth=4 * STEP),
    "long median": EventSettings(high=0.45, low=0.4, smooth=41 * STEP),
    "minimum": EventSettings(minimum=3 * STEP),
    "gap": EventSettings(high=0.8, low=0.6, gap=4 * STEP),
    "all": EventSettings(high=0.6, low=0.45, smooth=1.0, minimum=1.0, gap=1.7, labels=LABELS[1:]),
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_as_the_reference_however_the_steps_are_split(settings):
    counts = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        steps = int(rng.integers(0, 90))
        probabilities = rng.random((steps, 4), dtype=np.float32) ** int(rng.choice([1, 2, 4]))
        seconds = max(0.0, steps - rng.random()) * STEP
        wanted = plain_events(probabilities, LABELS, settings, STEP, seconds)
        assert find_events(probabilities, LABELS, settings, STEP, seconds) == wanted
        assert in_pieces(rng, probabilities, settings, seconds) == wanted
        counts.append(len(wanted))
    assert sum(counts) > 25  # not equal because empty


def test_longer_than_what_is_searched_at_once():
    rng = np.random.default_rng(0)
    probabilities = np.repeat(rng.random((500, 4), dtype=np.float32), 13, axis=0)
    settings = EventSettings(high=0.7, low=0.4, smooth=0.2, gap=0.2, minimum=0.05)
    wanted = plain_events(probabilities, LABELS, settings, 0.01, 65.0)
    assert len(wanted) > 100
    assert find_events(probabilities, LABELS, settings, 0.01, 65.0) == wanted
    assert in_pieces(rng, probabilities, settings, 65.0, 0.01) == wanted


def of_bark(*values):
    return np.array([[value, 0, 0, 0] for value in values], np.float32).reshape(-1, 4)


def spans(values, settings, seconds=np.inf):
    found = find_events(of_bark(*values), LABELS, settings, 1.0, seconds)
    return [(event.onset, event.offset, round(event.score, 3)) for event in found]


@pytest.mark.parametrize(
    ("values", "settings", "wanted"),
    [
        ([], {}, []),
        ([0.5], {}, [(0, 1, 0.5)]),
        ([0.49], {}, []),
        ([0.9, 0.8, 0.7], {}, [(0, 3, 0.9)]),
        ([0.3, 0.3, 0.3], {}, []),
        ([0.1, 0.3, 0.9, 0.25, 0.2], {}, [(1, 4, 0.9)]),
        ([0.3, 0.9], {"low": 0.5}, [(1, 2, 0.9)]),
        ([0.9, 0, 0, 0.8], {"gap": 2}, [(0, 1, 0.9), (3, 4, 0.8)]),
        ([0.9, 0, 0, 0.8], {"gap": 2.1}, [(0, 4, 0.9)]),
        ([0.9, 0, 0.4, 0, 0.8], {"gap": 2.1}, [(0, 1, 0.9), (4, 5, 0.8)]),
        ([0.9, 0, 0.9], {"gap": 1.5, "minimum": 3}, [(0, 3, 0.9)]),
        ([0.9, 0, 0.9], {"minimum": 1.5}, []),
        ([0, 0.9, 0, 0, 0], {"smooth": 3}, []),
        ([0, 0, 0.9, 0.8, 0, 0], {"smooth": 3}, [(2, 4, 0.8)]),
        ([0.8, 0], {"high": 0.4, "smooth": 3}, [(0, 2, 0.4)]),
        ([0.8, 0.8, 0], {"smooth": 2.5}, [(0, 3, 0.8)]),
        ([0.8, 0, 0], {"smooth": 1.9}, [(0, 1, 0.8)]),
    ],
)
def test_small_cases(values, settings, wanted):
    assert spans(values, EventSettings(**settings)) == wanted


def test_the_recording_ends_within_the_last_step():
    assert spans([0, 0.9, 0.9], EventSettings(), 2.5) == [(1, 2.5, 0.9)]
    assert spans([0, 0.9, 0.9], EventSettings(minimum=1.6), 2.5) == []
    assert spans([0, 0.9], EventSettings(), 9.0) == [(1, 2, 0.9)]
    assert spans([0, 0, 0.9], EventSettings(), 2.0) == []  # the last step begins at the end


def test_an_event_comes_as_soon_as_it_is_certain():
    finder = EventFinder(LABELS, EventSettings(gap=2.0), 1.0)
    assert finder.feed(of_bark(0.9, 0)) == []
    assert finder.feed(of_bark(0.3)) == []  # may grow into an event that is close
    assert finder.feed(of_bark(0, 0)) == [Event(0.0, 1.0, "Bark", float(np.float32(0.9)))]
    assert finder.finish() == []


def test_what_is_kept_does_not_grow():
    rng = np.random.default_rng(0)
    finder = EventFinder(LABELS, EventSettings(smooth=1.0, gap=1.0), 0.01)
    block = rng.random((1000, 4), dtype=np.float32)
    finder.feed(block)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(50):
        finder.feed(block)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < block.nbytes


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["rain"], {"Rain"}),
        (" DOMESTIC animals, pets ", {"Domestic animals, pets"}),
        (("Rain", "rain", "Bark"), {"Rain", "Bark"}),
        (None, set(LABELS)),
    ],
)
def test_only_the_classes_asked_for(labels, wanted):
    found = find_events(np.ones((2, 4)), LABELS, EventSettings(labels=labels), 1.0)
    assert {event.label for event in found} == wanted
    assert len(found) == len(wanted)


def test_labels_that_differ_in_case_alone():
    settings = EventSettings(labels=["bark"])
    assert find_events(np.ones((1, 2)), ["Bark", "bark"], settings, 1.0)[0].label == "bark"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"high": 0}, r"--threshold must be above 0 and at most 1; received 0"),
        ({"high": float("nan")}, "--threshold"),
        ({"high": 1.1}, "--threshold"),
        ({"low": 0.6}, "--low must be at most the threshold, 0.5; received 0.6"),
        ({"smooth": -1}, "smooth must be at least 0; received -1"),
        ({"minimum": float("inf")}, "--min-length"),
        ({"gap": float("nan")}, "--merge-gap"),
        ({"labels": []}, "--classes names no class"),
    ],
)
def test_settings_out_of_range(settings, said):
    with pytest.raises(ValueError, match=said) as error:
        EventSettings(**settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": ["Rian"]}, "--classes: no class 'Rian'; did you mean Rain"),
        ({"labels": ["zzz"]}, "expected one of Bark, Rain, Engine starting"),
    ],
)
def test_unknown_classes(settings, said):
    with pytest.raises(ValueError, match=said):
        EventFinder(LABELS, EventSettings(**settings), 1.0)


@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        (np.full((1, 4), np.nan), "must lie in .0, 1.; received nan"),
        (np.array([[0, 0, np.nan, 1]]), "must lie in"),
        (np.full((1, 4), 1.1), "received 1.1 to 1.1"),
        (np.full((1, 4), -0.1), "must lie in"),
    ],
)
def test_no_probabilities(probabilities, said):
    with pytest.raises(ValueError, match=said):
        find_events(probabilities, LABELS, EventSettings(), 1.0)


def test_a_rounding_above_one_is_one():
    above = np.nextafter(np.float32(1), np.float32(2))
    assert find_events([[above] * 4], LABELS, EventSettings(), 1.0)[0].score == 1.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"high": "a"}, "--threshold must be a number"),
        ({"low": True}, "low must be a number"),
        ({"smooth": None}, "smooth must be a number"),
    ],
)
def test_settings_of_another_type_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        EventSettings(**settings)
