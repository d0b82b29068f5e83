"""The table of networks: one row each, stating what differs from its family's defaults."""

import dataclasses
import difflib
import fnmatch
import re

from panns_tf.config import Frontend


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network of the paper.

    Args:
        name: the reference's class name, verbatim.
        parameters: trainable parameters with 527 classes, as the paper's Table XII counts them.
        builder: the entry of `panns_tf.models.network.BUILDERS` that makes its graph.
        frontend: of its log-mel branch.
        inputs: what its body sees: ``"log_mel"``, ``"wavegram"`` or both, in this order.
        widths: output channels of ``conv_block1``, ``conv_block2`` and so on; a network without
            log-mel has no ``conv_block1``.
        embedding_size: width of ``fc1``.
        mixup: where mixup acts, on the ``"features"`` or on the ``"waveform"``.
        spec_augment: whether the log-mel is masked in training.
        block_dropout: rate after every convolution block.
        head_dropout: rate before ``fc1`` and on the returned embedding.
        unused: prefixes of checkpoint entries that no output depends on; they may be left over.
        published_map: mAP on the AudioSet evaluation set in the paper.
    """

    name: str
    parameters: int
    builder: str = "cnn"
    frontend: Frontend = dataclasses.field(default_factory=Frontend)
    inputs: tuple[str, ...] = ("log_mel",)
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    embedding_size: int = 2048
    mixup: str = "features"
    spec_augment: bool = True
    block_dropout: float = 0.2
    head_dropout: float = 0.5
    unused: tuple[str, ...] = ()
    published_map: float | None = None

    def override(self, **overrides) -> "Architecture":
        """Returns this row with other settings.

        Args:
            **overrides: any field of `Frontend`, ``embedding_size``, and the switches
                ``dropout`` and ``spec_augment``, which can only be turned off.

        Raises:
            ValueError: for an unknown name or an impossible value.
        """
        row = self
        frontend = {}
        for name, value in overrides.items():
            if name in Frontend.__dataclass_fields__:
                frontend[name] = value
            elif name == "embedding_size":
                if int(value) != value or value < 1:
                    raise ValueError(f"embedding_size must be at least 1; received {value}")
                row = dataclasses.replace(row, embedding_size=int(value))
            elif name in ("dropout", "spec_augment"):
                if not isinstance(value, bool):
                    raise ValueError(f"{name} is switched by True or False; received {value!r}")
                off = {"block_dropout": 0.0, "head_dropout": 0.0}
                off = off if name == "dropout" else {"spec_augment": False}
                row = row if value else dataclasses.replace(row, **off)
            else:
                raise ValueError(f"unknown override {name!r}; expected one of {OVERRIDES}")
        return dataclasses.replace(row, frontend=dataclasses.replace(row.frontend, **frontend))


OVERRIDES = (*Frontend.__dataclass_fields__, "embedding_size", "dropout", "spec_augment")

ARCHITECTURES = {
    row.name: row
    for row in (
        Architecture("Cnn14", 80_753_615, published_map=0.431),
        Architecture(
            "Wavegram_Logmel_Cnn14",
            81_065_487,
            inputs=("log_mel", "wavegram"),
            published_map=0.439,
        ),
    )
}


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the networks that match a shell pattern, ignoring case.

    Example:

    >>> list_models("wavegram*")
    ['Wavegram_Logmel_Cnn14']
    """
    names = ARCHITECTURES
    return [name for name in names if fnmatch.fnmatchcase(name.lower(), pattern.lower())]


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def find(name: str) -> Architecture:
    """Returns the row of a network.

    Args:
        name: case, ``_`` and ``-`` do not matter, and the ending ``_Cnn14`` may be left out:
            ``wavegram_logmel`` is ``Wavegram_Logmel_Cnn14``.

    Raises:
        ValueError: if there is no such network; names the nearest ones.
    """
    known = {}
    for row in ARCHITECTURES.values():
        known[_plain(row.name)] = row
        known.setdefault(_plain(row.name).removesuffix("cnn14") or _plain(row.name), row)
    wanted = _plain(name)
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    nearest = list(dict.fromkeys(known[match].name for match in near)) or list(ARCHITECTURES)
    raise ValueError(f"unknown network {name!r}; the nearest are: {', '.join(nearest)}")
