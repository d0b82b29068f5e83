import json
import re

import pytest

from panns_tf.evaluation.html import interval, number, page, script_json, signed, sort_key, text

NASTY = "</script><script>alert('1')</script> & \"quoted\", <b>"


def test_texts_cannot_leave_their_place():
    assert "<" not in text(NASTY)
    assert '"' not in text(NASTY)
    found = script_json({"label": NASTY})
    assert not set("<>&") & set(found)
    assert json.loads(found)["label"] == NASTY


def test_a_page_holds_all_it_needs():
    content = page(NASTY, "<p>body</p>", {"label": NASTY})
    assert content.count("<script") == 2  # the data and the page's own
    assert "alert('1')</script>" not in content
    assert "default-src 'none'" in content
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)""", content) == []
    assert "http" not in content.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (-1.5, "−1.500"), (float("nan"), "–"), (None, "–"), (float("inf"), "∞")],
)
def test_numbers_for_people(value, shown):
    assert number(value) == shown


def test_differences_and_intervals_for_people():
    assert (signed(0.5, 1), signed(-0.5, 1), signed(0.0, 1)) == ("+0.5", "−0.5", "0.0")
    assert interval((0.1, 0.25), 2) == "0.10 to 0.25"
    assert interval((float("nan"), 1.0)) == interval(None) == "–"


def test_what_is_undefined_has_no_key_to_sort_by():
    assert sort_key(float("nan")) == sort_key(None) == 'data-v=""'
    assert sort_key(0.0) == 'data-v="0.0"'
