import numpy as np
import pytest

from panns_tf.inference.columns import Columns, highest, mean


@pytest.mark.parametrize(("rows", "per"), [(0, 1), (8, 1), (9, 2), (16, 2), (17, 4), (103, 16)])
@pytest.mark.parametrize("join", [mean, highest])
def test_columns_are_the_mean_or_the_maximum_of_their_rows(rows, per, join):
    values = np.random.default_rng(0).random((rows, 5), dtype=np.float32)
    columns = Columns(5, 8, join)
    columns.add(values)
    reduce = np.mean if join is mean else np.max
    wanted = [reduce(values[at : at + per], axis=0) for at in range(0, rows, per)]
    assert columns.rows_per_column == per
    np.testing.assert_allclose(columns.all(), np.reshape(wanted, (-1, 5)), rtol=1e-6)


@pytest.mark.parametrize("join", [mean, highest])
@pytest.mark.parametrize("rows", [0, 7, 8, 9, 200, 333])
def test_any_split_gives_the_same_bits(rows, join):
    rng = np.random.default_rng(rows)
    values = rng.random((rows, 2), dtype=np.float32)
    whole, parts, at = Columns(2, 8, join), Columns(2, 8, join), 0
    whole.add(values)
    while at < rows:
        size = int(rng.choice([0, 1, 3, 40]))
        parts.add(values[at : at + size])
        at += size
        assert len(parts.all()) <= 8
    np.testing.assert_array_equal(whole.all(), parts.all())
    assert whole.rows_per_column == parts.rows_per_column


def test_the_mean_counts_every_row_once():
    columns = Columns(1, 4, mean)
    columns.add(np.array([[0]] * 16 + [[1], [2], [6]], np.float32))
    assert columns.rows_per_column == 8
    assert columns.all()[-1, 0] == pytest.approx(3)  # not ((1 + 2) / 2 + 6) / 2
