from tfrecords.text import markdown_table, text_table

ROWS = [("name", "value"), ("a", 0.5), ("long", float("nan")), ("c", 12), ("d", None)]


def test_text():
    assert text_table(ROWS).split("\n") == [
        "name  value",
        "a        0.5000",
        "long  undefined",
        "c            12",
        "d",
    ]
    assert text_table(ROWS, most=1).endswith("... and 3 more, in the CSV")


def test_markdown():
    assert markdown_table([("a|b", "n"), ("x", 0.25)]).split("\n") == [
        "| a\\|b | n      |",
        "| ---- | ------ |",
        "| x    | 0.2500 |",
    ]
