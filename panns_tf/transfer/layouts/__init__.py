"""Readers of the published data sets, one for each layout."""

from pathlib import Path

from panns_tf.transfer.clips import Collection
from panns_tf.transfer.layouts import dcase2019, esc, fsdkaggle, gtzan, msos, ravdess
from panns_tf.transfer.tasks import Task

_READERS = {
    "esc": esc.read,
    "gtzan": gtzan.read,
    "ravdess": ravdess.read,
    "dcase2019": dcase2019.read,
    "fsdkaggle": fsdkaggle.read,
    "msos": msos.read,
}


def read_task(folder: Path, task: Task) -> Collection:
    """Reads a published data set, with its splits and without validation clips.

    Args:
        folder: of the data set, or the folder around it.
        task: its row.

    Raises:
        ValueError: if the folder is another data set's, a label is unknown, or a fold is empty.
    """
    return _READERS[task.layout](Path(folder), task)
