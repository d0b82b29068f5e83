import numpy as np

from panns_tf.transfer.scores import mean_by_owner, of_windows, windows_of


class Ramp:
    lengths = np.array([50, 250, 100])

    def __getitem__(self, number):
        return np.arange(self.lengths[number], dtype=np.int16) + 1000 * number


def test_all_windows_are_heard_in_full_batches_and_averaged_by_clip():
    places, owner = windows_of(Ramp(), [2, 1, 0], 100)
    assert places == [(2, 0), (1, 0), (1, 100), (1, 150), (0, 0)]
    assert owner.tolist() == [0, 1, 1, 1, 2]
    shapes = []

    def first(batch):
        shapes.append(batch.shape)
        return batch[:, :1].astype("float32")

    rows = of_windows(first, Ramp(), places, 100, 2)
    assert rows[:, 0].tolist() == [2000, 1000, 1100, 1150, 0]
    assert shapes == [(2, 100)] * 3
    mean = mean_by_owner(rows, owner, 3)
    np.testing.assert_allclose(mean[:, 0], [2000, 3250 / 3, 0], rtol=1e-6)
