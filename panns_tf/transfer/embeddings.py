"""What a frozen network's classifier reads, computed once for each sound and kept."""

import hashlib
import io
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from panns_tf.commands import write_whole
from panns_tf.inference.fold import FoldedLayers
from panns_tf.inference.model import CompiledModel
from panns_tf.models import Network
from panns_tf.models.graph import features
from panns_tf.models.heads import embed
from panns_tf.training.data import FULL_SCALE
from panns_tf.transfer.base import fingerprint
from panns_tf.transfer.store import SoundStore
from panns_tf.transfer.windows import cut

#: Where embeddings are kept unless the user says otherwise.
VARIABLE, DEFAULT = "PANNS_TF_CACHE", Path("~/.cache/panns_tf")


def cache_folder(given: Path | None = None) -> Path:
    """Returns the folder of kept embeddings."""
    if given is not None:
        return given
    return Path(os.environ.get(VARIABLE) or DEFAULT).expanduser() / "embeddings"


def trunk(network: Network) -> keras.Model:
    """Returns a network up to its classifier.

    Input (batch, samples) float32; output (batch, width), or of heads that classify parts of a
    clip (batch, segments, width). Without dropout, with the running statistics.
    """
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    book = FoldedLayers(network)
    read = embed(network.row, book, features(network.row, book, waveform))
    return keras.Model(waveform, {"embedding": read})


def embeddings(
    network: Network,
    store: SoundStore,
    places: Sequence[tuple[int, int]],
    window: int,
    folder: Path,
    batch_size: int = 16,
    quiet: bool = False,
) -> np.ndarray:
    """Returns what the classifier reads of windows, computing only what is not kept yet.

    They are kept by the content of the window and of the network, in one file for each network and
    length of window. A file that cannot be read is made anew.

    Args:
        network: pretrained.
        store: the sound.
        places: recording and start of each window.
        window: samples.
        folder: of kept embeddings.
        batch_size: windows at a time.
        quiet: whether to show no progress.

    Returns:
        float32 (windows, width) or (windows, segments, width).
    """
    keys = [_key(store[number], start, window) for number, start in places]
    path = folder / f"{network.row.name}-{fingerprint(network)[:32]}-{window}.npz"
    kept = _read(path)
    first = {key: place for place, key in zip(places, keys, strict=True) if key not in kept}
    new = list(first)
    if new:
        model = trunk(network)
        hear = CompiledModel(model, store.sample_rate, compiles=True)
        bar = tqdm(total=len(new), unit="clip", desc="embed", leave=False, disable=quiet)
        for start in range(0, len(new), batch_size):
            part = new[start : start + batch_size]
            sounds = [cut(store[first[key][0]], first[key][1], window) for key in part]
            # Full batches, so that no other shape is compiled.
            batch = np.zeros((batch_size, window), np.float32)
            batch[: len(part)] = np.stack(sounds) / np.float32(FULL_SCALE)
            rows = hear(batch)["embedding"][: len(part)]
            kept.update(zip(part, rows, strict=True))
            bar.update(len(part))
        bar.close()
        _write(path, kept)
    return np.stack([kept[key] for key in keys])


def _key(recording: np.ndarray, start: int, window: int) -> str:
    return hashlib.sha256(np.ascontiguousarray(recording[start : start + window]).data).hexdigest()


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            return dict(zip(file["keys"].tolist(), file["values"], strict=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}  # cut off or of another kind


def _write(path: Path, kept: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.savez(content, keys=np.array(list(kept)), values=np.stack(list(kept.values())))
    write_whole(path, content.getvalue())
