"""Embeddings of a frozen network, computed once for each window of sound and kept on disk."""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from panns_tf.models.network import Network
from panns_tf.training.data import FULL_SCALE
from panns_tf.transfer.model import fingerprint, trunk_and_head
from panns_tf.transfer.store import AudioStore
from tfrecords.files import atomic

#: Where embeddings are kept, unless the user says otherwise.
VARIABLE, DEFAULT = "PANNS_TF_CACHE", Path("~/.cache/panns_tf")
_BATCH = 16


def cache_folder(given: Path | None = None) -> Path:
    """The folder of kept embeddings."""
    if given is not None:
        return given
    return Path(os.environ.get(VARIABLE) or DEFAULT).expanduser() / "embeddings"


def embed_windows(
    network: Network, store: AudioStore, places: np.ndarray, size: int, folder: Path
) -> np.ndarray:
    """Embeddings of windows, of which only those that are not kept yet are computed.

    They are kept by the content of the window and of the network, in one file for each network and
    window length. A file that cannot be read is made anew.

    Args:
        network: pretrained.
        store: the audio.
        places: of `AudioStore.windows`.
        size: samples of a window.
        folder: of kept embeddings.

    Returns:
        float32 (windows, width) or (windows, segments, width).
    """
    keys = [
        hashlib.sha256(np.ascontiguousarray(store[n][start : start + size]).data).hexdigest()
        for n, start in places
    ]
    path = folder / f"{network.arch.name}-{fingerprint(network)[:32]}-{size}.npz"
    kept = _read(path)
    new = {key: n for n, key in enumerate(keys) if key not in kept}
    if new:
        trunk = trunk_and_head(network)[0]
        run = tf.function(lambda x: trunk(x, training=False), autograph=False)

        def embed(batch: np.ndarray) -> np.ndarray:
            return run(tf.constant(batch.astype(np.float32) / np.float32(FULL_SCALE))).numpy()

        rows = store.predict(embed, places[list(new.values())], size, _BATCH, "embed")
        kept.update(zip(new, rows, strict=True))
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            np.savez(file, keys=np.array(list(kept)), values=np.stack(list(kept.values())))
    return np.stack([kept[key] for key in keys])


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            return dict(zip(file["keys"].tolist(), file["values"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}  # none yet, cut off, or of another kind
