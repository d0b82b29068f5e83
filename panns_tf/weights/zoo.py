"""The published checkpoints of the paper: Zenodo record 3987831, Kong et al., CC BY 4.0."""

import dataclasses
import logging
import os
import sys
import urllib.parse
from pathlib import Path

from tfrecords.files import check_output_folder
from tfrecords.progress import logger

#: Address of the files; the environment variable `MIRROR` replaces it.
RECORD = "https://zenodo.org/records/3987831/files"
MIRROR = "PANNS_TF_MIRROR"

#: Time limit for connecting and for each read, in seconds.
TIMEOUT = 30


@dataclasses.dataclass(frozen=True)
class PublishedFile:
    """A published checkpoint of a network, with its md5 and its bytes if they are known."""

    network: str
    file: str
    md5: str | None = None
    size: int | None = None

    @property
    def url(self) -> str:
        """The address in the record or in a mirror of it."""
        base = (os.environ.get(MIRROR) or RECORD).rstrip("/")
        return f"{base}/{urllib.parse.quote(self.file)}?download=1"


# fmt: off
#: Every checkpoint of the record by network name. CNN14_emb128 has capitals in the record.
PUBLISHED: dict[str, PublishedFile] = {row.network: row for row in (
    PublishedFile("Cnn6", "Cnn6_mAP=0.343.pth", "e25e26b84585b14c7754c91e48efc9be"),
    PublishedFile("Cnn10", "Cnn10_mAP=0.380.pth", "bfb1f1f9968938fa8ef4012b8471f5f6", 25_237_595),
    PublishedFile("Cnn14", "Cnn14_mAP=0.431.pth", "541141fa2ee191a88f24a3219fff024e", 327_428_481),
    PublishedFile("Cnn14_16k", "Cnn14_16k_mAP=0.438.pth", "362fc5ff18f1d6ad2f6d464b45893f2c", 358_668_570),  # noqa: E501
    PublishedFile("Cnn14_8k", "Cnn14_8k_mAP=0.416.pth"),
    PublishedFile("Cnn14_DecisionLevelMax", "Cnn14_DecisionLevelMax_mAP=0.385.pth", "70539c43c18b6a289b3199c503a82c5a", 327_428_481),  # noqa: E501
    PublishedFile("Cnn14_DecisionLevelAtt", "Cnn14_DecisionLevelAtt_mAP=0.425.pth", "c8281ca2b9967244b91d557aa941e8ca"),  # noqa: E501
    PublishedFile("Cnn14_emb32", "Cnn14_emb32_mAP=0.364.pth"),
    PublishedFile("Cnn14_emb128", "CNN14_emb128_mAP=0.412.pth"),
    PublishedFile("Cnn14_emb512", "Cnn14_emb512_mAP=0.420.pth"),
    PublishedFile("ResNet22", "ResNet22_mAP=0.430.pth", "cf36d413096793c4e15dc752a3abd599"),
    PublishedFile("ResNet38", "ResNet38_mAP=0.434.pth", "bf12f36aaabac4e0855e22d3c3239c1b", 299_615_982),  # noqa: E501
    PublishedFile("ResNet54", "ResNet54_mAP=0.429.pth", "4f1f1406d37a29e2379916885e18c5f3"),
    PublishedFile("MobileNetV1", "MobileNetV1_mAP=0.389.pth", "a419303e1c88aa1b9d2ac3811563d371", 23_639_473),  # noqa: E501
    PublishedFile("MobileNetV2", "MobileNetV2_mAP=0.383.pth"),
    PublishedFile("LeeNet11", "LeeNet11_mAP=0.266.pth"),
    PublishedFile("LeeNet24", "LeeNet24_mAP=0.336.pth"),
    PublishedFile("DaiNet19", "DaiNet19_mAP=0.295.pth"),
    PublishedFile("Res1dNet31", "Res1dNet31_mAP=0.365.pth"),
    PublishedFile("Res1dNet51", "Res1dNet51_mAP=0.355.pth"),
    PublishedFile("Wavegram_Cnn14", "Wavegram_Cnn14_mAP=0.389.pth", "1e3506ab640371e0b5a417b15fd66d21"),  # noqa: E501
    PublishedFile("Wavegram_Logmel_Cnn14", "Wavegram_Logmel_Cnn14_mAP=0.439.pth", "17fa9ab65af3c0eb5ffbc5f65552c4e1", 328_692_198),  # noqa: E501
)}
# fmt: on


def published_file(network: str) -> PublishedFile:
    """The published checkpoint of a network, or a ValueError that names all."""
    if network not in PUBLISHED:
        raise ValueError(
            f"{network} has no published checkpoint; these have one: {', '.join(PUBLISHED)}"
        )
    return PUBLISHED[network]


def cache_folder() -> Path:
    """``$PANNS_TF_CACHE``, else ``$XDG_CACHE_HOME/panns_tf``, else ``~/.cache/panns_tf``."""
    try:
        if chosen := os.environ.get("PANNS_TF_CACHE"):
            return Path(chosen).expanduser().absolute()
        shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification has relative paths ignored.
        shared = shared if shared.is_absolute() else Path("~/.cache").expanduser()
        return shared / "panns_tf"
    except RuntimeError as error:
        raise OSError(f"no cache folder ({error}); name one in PANNS_TF_CACHE") from error


def fetch(network: str) -> Path:
    """The verified checkpoint of a network, downloaded unless it is in `cache_folder`."""
    import pooch  # slow to import, and the table above is used without it

    file = published_file(network)
    path = cache_folder() / file.file
    if not path.exists():
        _download(file, path)
    elif file.md5 and (md5 := pooch.file_hash(str(path), "md5")) != file.md5:
        raise ValueError(
            f"{path} is not the published file: its md5 is {md5}, expected {file.md5}; remove "
            "it and try again"
        )
    if not file.md5:
        logger.warning("%s is unverified: no checksum of it is known", file.file)
    return path


def _download(file: PublishedFile, path: Path) -> None:
    import pooch

    check_output_folder(path.parent, "PANNS_TF_CACHE")
    logger.info("downloading %s from %s to %s", file.file, file.url, path.parent)
    pooch.get_logger().setLevel(logging.ERROR)
    progress = logger.isEnabledFor(logging.INFO) and sys.stderr.isatty()
    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT)
    remedy = f"download it elsewhere and put {file.file} into {path.parent}"
    md5 = file.md5 and f"md5:{file.md5}"
    try:
        # Pooch gives the file its name once it is complete and its hash is right.
        pooch.retrieve(file.url, md5, path.name, path.parent, downloader=downloader)
        with path.open("rb") as stream:
            head = stream.read(2)
        if not head.startswith((b"PK", b"\x80")):
            path.unlink()  # such as a sign-in page instead of a file without a known hash
            raise OSError(f"expected a checkpoint, received {head!r} ...")
    except OSError as error:  # exceptions of requests are OSErrors, some of them ValueErrors, too
        raise OSError(f"cannot download {file.url} ({error}); {remedy}") from error
    except ValueError as error:
        raise ValueError(f"{file.url} is not the published file: {error}; {remedy}") from error
