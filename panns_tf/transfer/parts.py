"""What finished trainings came to, kept so that a killed command goes on."""

import json
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from panns_tf.commands import write_whole
from panns_tf.transfer.results import FoldResult

_PLAN = "plan.json"
_ARRAYS = ("target", "score")
_DIGEST = re.compile("[0-9a-f]{16,}")
#: What digests are of.
_DIGESTED = {
    "fingerprint": "the weights",
    "labelling": "the labels or splits",
    "sounds": "the sounds",
}
#: What reading a file raises that is cut off, damaged or of another version.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError),
    *(NotImplementedError, zipfile.BadZipFile, zlib.error),
)


class PartBook:
    """The results of a run's trainings, a file each.

    Args:
        folder: of the files.
        identity: what decides the results.
        force: whether results of other settings are given up.

    Raises:
        ValueError: if the folder holds results of other settings.
    """

    def __init__(self, folder: Path, identity: dict, force: bool = False):
        self._folder = folder
        path = folder / _PLAN
        if path.is_file() and not force:
            try:
                known = json.loads(path.read_text())
            except ValueError:
                known = None
            known = known if isinstance(known, dict) else {}
            if known != identity:
                names = sorted(known.keys() | identity.keys())
                changed = [
                    _difference(name, known.get(name), identity.get(name))
                    for name in names
                    if known.get(name) != identity.get(name)
                ]
                raise ValueError(
                    f"{folder.parents[1]} holds results of other settings "
                    f"({'; '.join(changed)[:300]}); choose another --output, or add --force"
                )
        if force and folder.is_dir():
            for old in folder.glob("*.npz"):
                old.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(identity, indent=2) + "\n").encode())

    def get(self, name: str, clip_ids: tuple[str, ...]) -> FoldResult | None:
        """Returns a finished training's result, or None if it is not there or of other clips."""
        try:
            with np.load(self._folder / f"{name}.npz") as file:
                arrays = {key: file[key] for key in _ARRAYS}
                said = json.loads(str(file["said"]))
            for key in ("clip_ids", "groups", "notes"):
                said[key] = tuple(said[key])
            result = FoldResult(**said, **arrays)
        except _UNREADABLE:
            return None
        return result if result.clip_ids == clip_ids else None

    def keep(self, name: str, result: FoldResult) -> None:
        """Writes a result, whole or not at all."""
        said = {key: value for key, value in vars(result).items() if key not in _ARRAYS}
        partial = self._folder / f".{name}.npz"
        arrays = {key: getattr(result, key) for key in _ARRAYS}
        np.savez_compressed(partial, said=np.array(json.dumps(said)), **arrays)
        partial.replace(self._folder / f"{name}.npz")


def _difference(name: str, before, now) -> str:
    """How a setting differs; of a digest only that it does."""
    if _DIGEST.fullmatch(str(before)) or _DIGEST.fullmatch(str(now)):
        return f"{_DIGESTED.get(name, name)} differ"
    return f"{name} was {before!r}, now {now!r}"
