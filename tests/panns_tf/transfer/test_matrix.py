import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from panns_tf.transfer.matrix import draw_matrix


def cells(svg: str):
    root = ET.fromstring(svg)
    return [(rect, rect.find("title")) for rect in root.iter("rect") if rect.get("fill") != "none"]


def test_counts_shares_and_words():
    matrix = np.array([[8, 2, 0], [0, 5, 0], [1, 3, 6]])
    svg = draw_matrix(matrix, ["dog", "<b>cat", "a name of more than twenty-four letters"])
    found = cells(svg)
    assert len(found) == 9
    titles = [title.text for _, title in found if title is not None]
    assert titles == [
        "dog: 8 of 10 right",
        "dog: 2 of 10 taken for <b>cat",
        "<b>cat: 5 of 5 right",
        "a name of more than twenty-four letters: 1 of 10 taken for dog",
        "a name of more than twenty-four letters: 3 of 10 taken for <b>cat",
        "a name of more than twenty-four letters: 6 of 10 right",
    ]
    texts = [element.text for element in ET.fromstring(svg).iter("text")]
    assert [t for t in texts if t.isdigit()] == ["8", "2", "5", "1", "3", "6"]
    assert texts.count("a name of more than twe…") == 2
    strength = {
        title.text: float(re.search(r"fill-opacity:([\d.]+)", rect.get("style"))[1])
        for rect, title in found
        if title is not None
    }
    assert strength["<b>cat: 5 of 5 right"] > strength["dog: 8 of 10 right"]
    assert strength["dog: 8 of 10 right"] > strength["dog: 2 of 10 taken for <b>cat"]
    assert "19 of 25 clips on the diagonal" in svg


@pytest.mark.parametrize("classes", [2, 12, 25, 60])
def test_all_is_within_the_drawing(classes):
    svg = draw_matrix(np.eye(classes, dtype=int), [f"class {n}" for n in range(classes)])
    _, _, width, height = map(float, ET.fromstring(svg).get("viewBox").split())
    for rect, _ in cells(svg):
        right = float(rect.get("x")) + float(rect.get("width"))
        assert right <= width
        assert float(rect.get("y")) + float(rect.get("height")) <= height
    written = [t for t in ET.fromstring(svg).iter("text") if t.text == "1"]
    assert len(written) == (classes if classes <= 25 else 0)


def test_a_class_without_clips_divides_by_nothing():
    assert "nan" not in draw_matrix(np.array([[0, 0], [1, 1]]), ["a", "b"])
