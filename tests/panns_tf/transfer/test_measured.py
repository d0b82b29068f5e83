import pytest

from panns_tf.transfer.measured import COLUMNS, measured, read_measured

ROWS = (
    "esc50,Cnn14,finetune,Cnn14_mAP=0.431.pth,accuracy,0.94,0.93,0.95,5,1,one H100,python a",
    "esc50,Cnn14,finetune,pretrained here,accuracy,0.8,,,5,3,one H100,python b",
    "esc10,Cnn6,scratch,,accuracy,0.9,0.87,0.93,5,1,two cores,python c",
)


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "transfer.csv"
    path.write_text("\n".join([",".join(COLUMNS), *ROWS, ""]))
    return path


def test_the_table_of_the_package_reads():
    rows = read_measured()
    assert all(0 <= row.value <= 1 and row.folds >= 1 and row.command for row in rows)


def test_figures_are_found_by_what_was_measured(table):
    found = measured("esc50", "Cnn14", "finetune", "accuracy", path=table)
    assert (found.value, found.low, found.high, found.folds) == (0.94, 0.93, 0.95, 5)
    other = measured("esc50", "Cnn14", "finetune", "accuracy", "pretrained here", table)
    assert (other.value, other.low, other.seeds) == (0.8, None, 3)
    assert measured("esc10", "Cnn6", "scratch", "accuracy", path=table).weights == ""
    for wanted in (
        ("esc10", "Cnn14", "finetune", "accuracy"),
        ("esc50", "Cnn6", "finetune", "accuracy"),
        ("esc50", "Cnn14", "scratch", "accuracy"),
        ("esc50", "Cnn14", "finetune", "mAP"),
        (None, "Cnn14", "finetune", "accuracy"),
    ):
        assert measured(*wanted, path=table) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task,arch\n", "expected the columns task,arch,strategy"),
        (",".join(COLUMNS) + "\na,b,c,d,e,good,,,5,1,h,c\n", "line 2: expected a value for each"),
        (",".join(COLUMNS) + "\na,b,c\n", "line 2: expected a value for each"),
    ],
)
def test_damaged_tables(text, said, tmp_path):
    path = tmp_path / "transfer.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_measured(path)
