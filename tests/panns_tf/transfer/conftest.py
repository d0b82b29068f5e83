"""Trees of the published data sets, written once."""

import pytest

from tests.panns_tf.transfer import trees


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """Folders with a tree of each task, by its name; read only."""
    folder = tmp_path_factory.mktemp("published")
    for task, write in trees.TREES.items():
        (folder / task).mkdir()
        write(folder / task)
    return {task: folder / task for task in trees.TREES}
