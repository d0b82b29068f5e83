"""The table of networks: one row each, stating what differs from its family's defaults."""

import dataclasses
import difflib
import fnmatch
import math
import numbers
import re

from panns_tf.config import Frontend

#: The reference's front end at the other sample rates.
FRONTEND_16K = Frontend(16000, 512, 160, 64, 50.0, 8000.0)
FRONTEND_8K = Frontend(8000, 256, 80, 64, 50.0, 4000.0)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network of the paper.

    Args:
        name: the reference's class name, verbatim.
        parameters: trainable parameters with 527 classes, as the paper's Table XII counts them:
            the unused ones included.
        body: the entry of `panns_tf.models.graph.BODIES` that makes its feature maps.
        head: the entry of `panns_tf.models.graph.HEADS` that makes its outputs.
        frontend: of its log-mel branch.
        inputs: what its body sees: ``"log_mel"``, ``"wavegram"``, both in this order, or
            ``"waveform"``.
        widths: output channels of its blocks or stages.
        depths: residual blocks in each stage.
        kernels: sizes of the convolutions in a block.
        bottleneck: whether residual blocks are bottlenecks.
        pool_last: whether the last block pools too.
        embedding_size: width of the last layer before the classifier.
        mixup: where mixup acts, on the ``"features"`` or on the ``"waveform"``.
        spec_augment: whether the log-mel is masked in training.
        stem_dropout: rate after the blocks around a ResNet's residual stages.
        block_dropout: rate after, or in a residual network within, every block.
        head_dropout: rate before ``fc1``.
        embedding_dropout: rate on the returned embedding; in decision-level networks the
            classifier sees it too.
        unused: modules in the reference's checkpoints that no output depends on, with the shape
            of their weight; None stands for the number of classes. Their entries may be left over.
        hidden: widths of fully connected layers between embedding and classifier, for transfer;
            the published networks have none.
        activation: what makes probabilities of the classifier's values: ``"sigmoid"``, each
            class by itself, or for clips of one class each ``"softmax"``.
        published_map: mAP on the AudioSet evaluation set, from the paper, or where it has none
            from the name of the published file.
        receptive_field: hop, before, after: output step i of the backbone (of the decision-level
            heads with their pooling over segments) depends on input i * hop - before to
            i * hop + after alone. Counted in log-mel frames where the network sees a log-mel,
            else in samples.
    """

    name: str
    parameters: int
    body: str = "cnn"
    head: str = "clip"
    frontend: Frontend = dataclasses.field(default_factory=Frontend)
    inputs: tuple[str, ...] = ("log_mel",)
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    depths: tuple[int, ...] = ()
    kernels: tuple[int, ...] = (3, 3)
    bottleneck: bool = False
    pool_last: bool = False
    embedding_size: int = 2048
    mixup: str = "features"
    spec_augment: bool = True
    stem_dropout: float = 0.0
    block_dropout: float = 0.2
    head_dropout: float = 0.5
    embedding_dropout: float = 0.5
    unused: tuple[tuple[str, tuple[int | None, ...]], ...] = ()
    hidden: tuple[int, ...] = ()
    activation: str = "sigmoid"
    published_map: float | None = None
    receptive_field: tuple[int, int, int] = (32, 126, 157)

    @property
    def is_decision_level(self) -> bool:
        """Whether the network predicts for segments, and so says when a sound is there."""
        return self.head in ("max", "average", "attention")

    def override(self, **overrides) -> "Architecture":
        """Returns this row with other settings.

        Args:
            **overrides: any field of `Frontend`, ``embedding_size``, ``hidden``, ``activation``,
                and the switches ``dropout`` and ``spec_augment``, which can only be turned off.

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
            elif name == "hidden":
                row = dataclasses.replace(row, hidden=_widths(value))
            elif name == "activation":
                row = dataclasses.replace(row, activation=row._checked(value))
            elif name in ("dropout", "spec_augment"):
                if not isinstance(value, bool):
                    raise ValueError(f"{name} is switched by True or False; received {value!r}")
                off = {f"{place}_dropout": 0.0 for place in ("stem", "block", "head", "embedding")}
                off = off if name == "dropout" else {"spec_augment": False}
                row = row if value else dataclasses.replace(row, **off)
            else:
                raise ValueError(f"unknown override {name!r}; expected one of {OVERRIDES}")
        return dataclasses.replace(row, frontend=self._frontend(frontend))

    def _checked(self, activation: str) -> str:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {ACTIVATIONS}; received {activation!r}")
        if activation == "softmax" and self.head != "clip":
            raise ValueError(
                f"{self.name} joins probabilities of parts of a clip, each class by itself, so its "
                "activation is sigmoid; received softmax"
            )
        return activation

    def _frontend(self, changes: dict) -> Frontend:
        useful = {"sample_rate"}
        useful |= {"mel_bins"} if "wavegram" in self.inputs else set()
        if "log_mel" not in self.inputs:
            idle = [
                name
                for name, value in changes.items()
                if name not in useful and value != getattr(self.frontend, name)
            ]
            if idle:
                raise ValueError(
                    f"{self.name} has no log-mel, so {', '.join(idle)} would change nothing"
                )
            # Its rate says what the network was trained on, and must not clash with an idle fmax.
            rate = changes.get("sample_rate", self.frontend.sample_rate)
            changes = {**changes, "fmax": min(self.frontend.fmax, rate / 2)}
        return dataclasses.replace(self.frontend, **changes)

    def unused_parameters(self, num_classes: int) -> int:
        """Returns how many trainable parameters of the reference no output depends on."""
        count = 0
        for _, shape in self.unused:
            size = math.prod(num_classes if n is None else n for n in shape)
            count += 2 * size if len(shape) == 1 else size  # scale and shift, or a kernel
        return count


def _widths(given) -> tuple[int, ...]:
    listed = isinstance(given, (tuple, list)) and all(isinstance(w, numbers.Real) for w in given)
    if not listed or not all(w >= 1 and float(w).is_integer() for w in given):
        raise ValueError(
            f"hidden must be widths of at least 1, such as (512, 512); received {given!r}"
        )
    return tuple(int(width) for width in given)


ACTIVATIONS = ("sigmoid", "softmax")
OVERRIDES = (
    *Frontend.__dataclass_fields__,
    *("embedding_size", "hidden", "activation", "dropout", "spec_augment"),
)


def _like(row: Architecture, name: str, parameters: int, **changes) -> Architecture:
    changes = {"published_map": None, "unused": (), **changes}
    return dataclasses.replace(row, name=name, parameters=parameters, **changes)


CNN14 = Architecture("Cnn14", 80_753_615, published_map=0.431)
CNN10 = _like(
    CNN14,
    "Cnn10",
    5_219_279,
    widths=(64, 128, 256, 512),
    pool_last=True,
    embedding_size=512,
    published_map=0.380,
    receptive_field=(16, 30, 45),
)
DECISION_LEVEL = _like(
    CNN14,
    "Cnn14_DecisionLevelMax",
    80_753_615,
    head="max",
    published_map=0.385,
    receptive_field=(32, 158, 189),
)
RESNET = Architecture(
    "ResNet22",
    63_675_087,
    body="resnet",
    widths=(64, 128, 256, 512),
    depths=(2, 2, 2, 2),
    stem_dropout=0.2,
    block_dropout=0.1,
    published_map=0.430,
    receptive_field=(32, 186, 217),
)
MOBILENET = Architecture(
    "MobileNetV1",
    4_796_303,
    body="mobilenet_v1",
    embedding_size=1024,
    published_map=0.389,
    receptive_field=(32, 157, 188),
)
WAVEFORM = Architecture(
    "LeeNet11",
    748_367,
    body="leenet",
    inputs=("waveform",),
    widths=(64, 64, 64, 128, 128, 128, 128, 128, 256),
    kernels=(3,),
    pool_last=True,
    embedding_size=512,
    mixup="waveform",
    block_dropout=0.0,
    published_map=0.266,
    receptive_field=(19683, 19681, 19681),
)
RES1D = _like(
    WAVEFORM,
    "Res1dNet31",
    80_464_463,
    body="res1dnet",
    widths=(64, 128, 256, 512, 1024, 1024, 2048),
    depths=(2, 2, 2, 2, 2, 2, 2),
    embedding_size=2048,
    block_dropout=0.1,
    published_map=0.365,
    receptive_field=(20480, 163835, 184310),
)
WAVEGRAM_LOGMEL = _like(
    CNN14,
    "Wavegram_Logmel_Cnn14",
    81_065_487,
    inputs=("log_mel", "wavegram"),
    published_map=0.439,
    receptive_field=(32, 127, 159),  # a frame more at either end, for the wavegram
)

ARCHITECTURES = {
    row.name: row
    for row in (
        Architecture(
            "VGGish",
            73_776_015,
            body="vggish",
            head="patches",
            widths=(64, 128, 256, 512),
            depths=(1, 1, 2, 2),
            embedding_size=4096,
            block_dropout=0.0,
            head_dropout=0.0,
            embedding_dropout=0.0,
            receptive_field=(96, 0, 95),
        ),
        _like(CNN10, "Cnn6", 4_837_455, kernels=(5,), published_map=0.343),
        CNN10,
        CNN14,
        _like(CNN14, "Cnn14_no_specaug", 80_753_615, spec_augment=False),
        _like(CNN14, "Cnn14_no_dropout", 80_753_615, block_dropout=0.0),
        _like(CNN14, "Cnn14_mixup_time_domain", 80_753_615, mixup="waveform", published_map=0.425),
        _like(CNN14, "Cnn14_emb512", 76_796_879, embedding_size=512, published_map=0.420),
        _like(CNN14, "Cnn14_emb128", 75_807_695, embedding_size=128, published_map=0.412),
        _like(CNN14, "Cnn14_emb32", 75_560_399, embedding_size=32, published_map=0.364),
        _like(
            CNN14,
            "Cnn14_mel32",
            80_753_551,
            frontend=Frontend(mel_bins=32),
            published_map=0.413,
        ),
        _like(
            CNN14,
            "Cnn14_mel128",
            80_753_743,
            frontend=Frontend(mel_bins=128),
            published_map=0.442,
        ),
        _like(CNN14, "Cnn14_16k", 80_753_615, frontend=FRONTEND_16K, published_map=0.427),
        _like(CNN14, "Cnn14_8k", 80_753_615, frontend=FRONTEND_8K, published_map=0.406),
        DECISION_LEVEL,
        _like(DECISION_LEVEL, "Cnn14_DecisionLevelAvg", 80_753_615, head="average"),
        _like(
            DECISION_LEVEL,
            "Cnn14_DecisionLevelAtt",
            81_834_492,
            head="attention",
            unused=(("att_block.bn_att", (None,)),),
            published_map=0.425,
        ),
        RESNET,
        _like(
            RESNET,
            "ResNet38",
            73_783_247,
            depths=(3, 4, 6, 3),
            published_map=0.434,
            receptive_field=(32, 302, 333),
        ),
        _like(
            RESNET,
            "ResNet54",
            104_318_159,
            depths=(3, 4, 6, 3),
            bottleneck=True,
            published_map=0.429,
            receptive_field=(32, 184, 215),
        ),
        MOBILENET,
        _like(
            MOBILENET,
            "MobileNetV2",
            4_075_343,
            body="mobilenet_v2",
            head_dropout=0.0,
            published_map=0.383,
            receptive_field=(32, 293, 324),
        ),
        WAVEFORM,
        _like(
            WAVEFORM,
            "LeeNet24",
            10_003_791,
            widths=(64, 96, 128, 128, 256, 256, 512, 512, 1024),
            kernels=(3, 3),
            pool_last=False,
            embedding_size=1024,
            block_dropout=0.1,
            published_map=0.336,
            receptive_field=(6561, 22963, 22963),
        ),
        _like(
            WAVEFORM,
            "DaiNet19",
            4_385_807,
            body="dainet",
            widths=(64, 128, 256, 512),
            unused=(
                ("conv_block1.downsample", (64, 64, 1)),
                ("conv_block1.bn_downsample", (64,)),
            ),
            published_map=0.295,
            receptive_field=(256, 1360, 1691),
        ),
        RES1D,
        _like(
            RES1D,
            "Res1dNet51",
            106_538_063,
            depths=(2, 3, 4, 6, 4, 3, 2),
            published_map=0.355,
            receptive_field=(20480, 191255, 211730),
        ),
        _like(
            WAVEGRAM_LOGMEL,
            "Wavegram_Cnn14",
            80_991_759,
            inputs=("wavegram",),
            unused=(
                ("bn0", (64,)),
                ("conv_block1.conv1", (64, 1, 3, 3)),
                ("conv_block1.conv2", (64, 64, 3, 3)),
                ("conv_block1.bn1", (64,)),
                ("conv_block1.bn2", (64,)),
            ),
            published_map=0.389,
            receptive_field=(10240, 40640, 50875),
        ),
        WAVEGRAM_LOGMEL,
        _like(
            WAVEGRAM_LOGMEL,
            "Wavegram_Logmel128_Cnn14",
            81_262_735,
            frontend=Frontend(mel_bins=128),
        ),
    )
}


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the networks that match a shell pattern, ignoring case.

    Example:

    >>> list_models("wavegram_logmel*")
    ['Wavegram_Logmel_Cnn14', 'Wavegram_Logmel128_Cnn14']
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
