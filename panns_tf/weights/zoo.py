"""The published checkpoints of the paper: their files, their checksums, and how one is got.

Source: Zenodo record 3987831, Kong et al., licence CC BY 4.0.
"""

import dataclasses
import hashlib
import os
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from panns_tf.weights.download import DownloadError, download

__all__ = ["PUBLISHED", "DownloadError", "PublishedFile", "cache_folder", "fetch", "published_file"]

#: Where the files lie; the variable `MIRROR` names another place.
RECORD = "https://zenodo.org/records/3987831/files"
MIRROR = "PANNS_TF_MIRROR"

BLOCK = 1 << 20


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A published checkpoint.

    Attributes:
        network: name of the network it was trained as.
        file: its published name.
        md5, sha256: hexadecimal digests, or None where unknown.
        size: bytes, or None where unknown.
    """

    network: str
    file: str
    md5: str | None = None
    sha256: str | None = None
    size: int | None = None

    @property
    def url(self) -> str:
        """The address it was published at."""
        return self.url_in(RECORD)

    @property
    def has_checksum(self) -> bool:
        """Whether anything is known that only this file's bytes can match."""
        return bool(self.md5 or self.sha256)

    def url_in(self, base: str) -> str:
        """Returns its address below another base address."""
        return f"{base}/{urllib.parse.quote(self.file)}?download=1"

    def fault(self, path: Path) -> str | None:
        """Returns how a file differs from what is known of this one, or None if it does not."""
        size = path.stat().st_size
        if self.size not in (None, size):
            return f"it has {size} bytes, expected {self.size}"
        known = {"md5": self.md5, "sha256": self.sha256}
        # not for security: interpreters in FIPS mode refuse md5 otherwise
        digests = {k: hashlib.new(k, usedforsecurity=False) for k, v in known.items() if v}
        if digests:
            with path.open("rb") as stream:
                while block := stream.read(BLOCK):
                    for digest in digests.values():
                        digest.update(block)
        for kind, digest in digests.items():
            if digest.hexdigest() != known[kind]:
                return f"its {kind} is {digest.hexdigest()}, expected {known[kind]}"
        return None


# Blank cells are unknown. The capitals of CNN14_emb128 are those of the record.
_ROWS = """
Cnn6                     Cnn6_mAP=0.343.pth                    e25e26b84585b14c7754c91e48efc9be
Cnn10                    Cnn10_mAP=0.380.pth                   bfb1f1f9968938fa8ef4012b8471f5f6
Cnn14                    Cnn14_mAP=0.431.pth                   541141fa2ee191a88f24a3219fff024e
Cnn14_16k                Cnn14_16k_mAP=0.438.pth               362fc5ff18f1d6ad2f6d464b45893f2c
Cnn14_8k                 Cnn14_8k_mAP=0.416.pth
Cnn14_DecisionLevelMax   Cnn14_DecisionLevelMax_mAP=0.385.pth  70539c43c18b6a289b3199c503a82c5a
Cnn14_DecisionLevelAtt   Cnn14_DecisionLevelAtt_mAP=0.425.pth  c8281ca2b9967244b91d557aa941e8ca
Cnn14_emb32              Cnn14_emb32_mAP=0.364.pth
Cnn14_emb128             CNN14_emb128_mAP=0.412.pth
Cnn14_emb512             Cnn14_emb512_mAP=0.420.pth
ResNet22                 ResNet22_mAP=0.430.pth                cf36d413096793c4e15dc752a3abd599
ResNet38                 ResNet38_mAP=0.434.pth                bf12f36aaabac4e0855e22d3c3239c1b
ResNet54                 ResNet54_mAP=0.429.pth                4f1f1406d37a29e2379916885e18c5f3
MobileNetV1              MobileNetV1_mAP=0.389.pth             a419303e1c88aa1b9d2ac3811563d371
MobileNetV2              MobileNetV2_mAP=0.383.pth
LeeNet11                 LeeNet11_mAP=0.266.pth
LeeNet24                 LeeNet24_mAP=0.336.pth
DaiNet19                 DaiNet19_mAP=0.295.pth
Res1dNet31               Res1dNet31_mAP=0.365.pth
Res1dNet51               Res1dNet51_mAP=0.355.pth
Wavegram_Cnn14           Wavegram_Cnn14_mAP=0.389.pth          1e3506ab640371e0b5a417b15fd66d21
Wavegram_Logmel_Cnn14    Wavegram_Logmel_Cnn14_mAP=0.439.pth   17fa9ab65af3c0eb5ffbc5f65552c4e1
"""

_SHA256 = {
    "Cnn14": "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31",
    "Cnn14_16k": "e2ee543a27919542c2ea03eabaa70b24dcd4e6c8e05621de6b67a94e4c5058e6",
    "Cnn14_DecisionLevelMax": "dd3b4043a87d4ec13df8082c0fcfee3fb5084151808e47e060987a95eabdd142",
}

_SIZES = {
    "Cnn10": 25_237_595,
    "Cnn14": 327_428_481,
    "Cnn14_16k": 358_668_570,
    "Cnn14_DecisionLevelMax": 327_428_481,
    "ResNet38": 299_615_982,
    "MobileNetV1": 23_639_473,
    "Wavegram_Logmel_Cnn14": 328_692_198,
}


def _row(network: str, file: str, md5: str | None = None) -> PublishedFile:
    return PublishedFile(network, file, md5, _SHA256.get(network), _SIZES.get(network))


#: By network name, every checkpoint of the record.
PUBLISHED: dict[str, PublishedFile] = {
    row.network: row for row in (_row(*line.split()) for line in _ROWS.split("\n") if line)
}


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """Returns the folder of fetched files, which need not exist.

    It is ``$PANNS_TF_CACHE``, else ``$XDG_CACHE_HOME/panns_tf``, else ``~/.cache/panns_tf``.

    Raises:
        OSError: if that needs a home folder and there is none.
    """
    try:
        if chosen := os.environ.get("PANNS_TF_CACHE"):
            return Path(chosen).expanduser().absolute()
        shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # the XDG specification has relative paths ignored
        shared = shared if shared.is_absolute() else Path("~/.cache").expanduser()
        return shared / "panns_tf"
    except RuntimeError as error:
        raise OSError(f"no cache folder ({error}); name one in PANNS_TF_CACHE") from error


def published_file(network: str) -> PublishedFile:
    """Returns the published checkpoint of a network.

    Args:
        network: a name from `panns_tf.list_models`.

    Raises:
        ValueError: if there is none; it names the networks that have one.
    """
    if network not in PUBLISHED:
        raise ValueError(
            f"{network} has no published checkpoint; these have one: {', '.join(PUBLISHED)}"
        )
    return PUBLISHED[network]


def _base() -> str:
    base = os.environ.get(MIRROR) or RECORD
    parts = urllib.parse.urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{MIRROR} must be an http or https address; it is {base!r}")
    return base.rstrip("/")


def fetch(network: str, say: Callable[[str], None] = _to_stderr) -> Path:
    """Returns the verified checkpoint of a network, downloaded unless it is in `cache_folder`.

    A file put there by hand under its published name is taken as if it had been downloaded, and
    needs no network. An interrupted download is resumed by the next call. The environment
    variable ``PANNS_TF_MIRROR`` replaces the address of the record, not the verification.

    Args:
        network: a name from `PUBLISHED`.
        say: takes one line at a time of what a user should know.

    Returns:
        The path of the file. Where no checksum of it is known, that has been said.

    Raises:
        ValueError: if the network has no published checkpoint, or the file is another one than
            the published: a downloaded file has been removed then, one found in the cache not.
        DownloadError: an OSError; the file cannot be downloaded now.
        OSError: the cache folder cannot be written.
    """
    file = published_file(network)
    path = cache_folder() / file.file
    there = path.exists() or not download(
        file.url_in(_base()),
        path,
        fault=file.fault if file.has_checksum else None,
        size=file.size,
        say=say,
    )
    if there and (fault := file.fault(path)):
        raise ValueError(f"{path} is not the published file: {fault}; remove it and try again")
    if not file.has_checksum:
        say(f"{file.file} is unverified: no checksum of it is known")
    return path
