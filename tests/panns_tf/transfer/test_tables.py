"""Tables read by the names of their columns."""

import pytest

from panns_tf.transfer.tables import read_table


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_separators(tmp_path, separator, mark):
    path = tmp_path / "x.csv"
    lines = [["File", "Scene Label"], ["a.wav", '"one; two, three"'], [], [" b.wav ", "four"]]
    path.write_text(mark + "\n".join(separator.join(line) for line in lines), encoding="utf-8")
    read = read_table(path)
    assert read.column("label", "scene_label") == "Scene Label"
    assert [tuple(row.values()) for row in read.rows] == [
        ("a.wav", "one; two, three"),
        ("b.wav", "four"),
    ]
    assert read.place(1) == "x.csv, line 4"


def test_order_of_names_decides(tmp_path):
    (tmp_path / "x.csv").write_text("target,category\n1,dog\n")
    read = read_table(tmp_path / "x.csv")
    assert read.find("category", "target") == "category"
    assert read.find("species") is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "no rows"),
        (b"file,label\n", "no rows"),
        (b'file,label\na,"b\nc,d\n', "line 3: a cell runs over lines; is a quote missing"),
        (b"a,a\n1,2\n", "two columns 'a'"),
        (b"\xff\xfe,\n", "cannot read"),
        (b"file,kind\na,b\n", "no column label or class; its columns are file, kind"),
    ],
)
def test_errors(tmp_path, content, error):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=error) as caught:
        read_table(path).column("label", "class")
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="cannot read"):
        read_table(tmp_path / "none.csv")
