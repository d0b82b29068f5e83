import re

import pytest

from panns_tf.inference.demo import html
from panns_tf.inference.demo.listening import Heard
from panns_tf.inference.results import Event, Tag

ATTACK = "<script>alert('x')</script>"


def heard(tags=(), events=(), name="x.wav", notes=()) -> str:
    return html.heard(Heard(name, 1.0, tuple(tags), tuple(events), b"light", b"dark", notes))


def test_bars_are_as_long_as_the_probability():
    said = heard([Tag("Dog", 0.9, 0), Tag("Rain", 0.0625, 1)])
    assert re.findall("width: ([0-9.]+)%", said) == ["90.0", "6.2"]
    assert [said.count(text) for text in ("0.900", "0.062")] == [1, 1]


def test_nothing_heard_becomes_markup():
    said = heard([Tag(ATTACK, 0.5, 0)], [Event(0, 1, ATTACK, 0.5)], ATTACK + '"', (ATTACK,))
    said += html.trouble(ATTACK) + html.heading(ATTACK, 1, 1, 1)
    assert "<script" not in said
    assert said.count("&lt;script&gt;") == 8
    assert 'x"' not in said


def test_events_in_a_table_of_bounded_length():
    said = heard(events=[Event(i, i + 0.5, "Dog", 0.5) for i in range(html.MOST_EVENTS)])
    assert said.count("<td") == 4 * html.MOST_EVENTS
    assert "The first" not in said
    said = heard(events=[Event(i, i + 0.5, "Dog", 0.5) for i in range(html.MOST_EVENTS + 7)])
    assert said.count("<td") == 4 * html.MOST_EVENTS
    assert f"The first {html.MOST_EVENTS} of {html.MOST_EVENTS + 7}." in said
    assert "No class was sure enough" in heard()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "0.5 s"), (5.0012, "5 s"), (90, "90 s"), (600, "10 min"), (3600, "60 min")],
)
def test_limits_in_units_of_a_person(seconds, said):
    assert f"up to 50 MB and {said}." in html.heading("Cnn14", 527, 50.0, seconds)
