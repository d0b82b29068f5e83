"""Embeddings of a frozen network, computed once for each window of sound and kept on disk."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from panns_tf.models.network import Network
from panns_tf.training.data import FULL_SCALE
from panns_tf.transfer.model import fingerprint, trunk_and_head
from panns_tf.transfer.store import AudioStore
from tfrecords.files import atomic

_BATCH = 16


def embed_windows(
    network: Network, store: AudioStore, places: np.ndarray, size: int, folder: Path
) -> np.ndarray:
    """Embeddings of `AudioStore.windows`, of which only those not kept yet are computed.

    They are kept by the content of the window and of the network, in one file for each network and
    window length. Returns float32 (windows, width) or (windows, segments, width).
    """
    keys = [
        hashlib.sha256(np.ascontiguousarray(store[n][start : start + size]).data).hexdigest()
        for n, start in places
    ]
    path = folder / f"{network.arch.name}-{fingerprint(network)[:32]}-{size}.npz"
    try:
        with np.load(path) as file:
            kept = dict(zip(file["keys"].tolist(), file["values"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        kept = {}  # none yet, cut off, or of another kind
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
