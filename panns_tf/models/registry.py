"""The table of networks: a row each, which states what differs from its family's defaults."""

import dataclasses
import fnmatch
import math
import numbers
from functools import partial

from panns_tf.config import Frontend
from tfrecords.text import did_you_mean, plain

#: The reference's front end at the other sample rates.
FRONTEND_16K = Frontend(16000, 512, 160, 64, 50.0, 8000.0)
FRONTEND_8K = Frontend(8000, 256, 80, 64, 50.0, 4000.0)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One network of the paper; ``name`` is the reference's class name, verbatim."""

    name: str
    # Trainable parameters with 527 classes, unused ones included, as in the paper's Table XII.
    parameters: int = 0
    operations: int = 0  # for a clip of 10 s, as in that table; see `panns_tf.complexity`
    multiply_adds: int = 0  # of convolutions and fully connected layers for a clip of 10 s
    # mAP on AudioSet's evaluation set: the paper's, else that in the name of the published file.
    published_map: float | None = None
    backbone: str = "cnn"  # key of `panns_tf.models.network.BACKBONES`
    # The head: "clip", or with predictions for steps "max", "average", "attention" or "patches".
    head: str = "clip"
    frontend: Frontend = dataclasses.field(default_factory=Frontend)  # of the log-mel branch
    # Inputs of the backbone: "log_mel", "wavegram", both in this order, or "waveform".
    inputs: tuple[str, ...] = ("log_mel",)
    # Output channels of each block or stage.
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    depths: tuple[int, ...] = ()  # residual blocks in each stage
    kernels: tuple[int, ...] = (3, 3)  # sizes of the convolutions in a block
    bottleneck: bool = False  # whether residual blocks are bottlenecks
    pool_last: bool = False  # whether the last block pools, too
    embedding_size: int = 2048  # width of the last layer before the classifier
    mixup: str = "features"  # what mixup mixes: "features" or "waveform"
    spec_augment: bool = True  # whether the log-mel is masked in training
    stem_dropout: float = 0.0  # dropout rate after the blocks around a ResNet's residual stages
    block_dropout: float = 0.2  # dropout rate after, or in a residual network within, every block
    head_dropout: float = 0.5  # dropout rate before fc1
    # Dropout rate of the embedding, which decision-level networks classify with this dropout.
    embedding_dropout: float = 0.5
    # Modules in the reference's checkpoints that no output depends on, with the shape of their
    # weight; None stands for the number of classes. A state dict may lack their entries.
    unused: tuple[tuple[str, tuple[int | None, ...]], ...] = ()
    # Widths of fully connected layers between embedding and classifier, for transfer.
    hidden: tuple[int, ...] = ()
    activation: str = "sigmoid"  # of the classifier, of `ACTIVATIONS`
    # The receptive field as (hop, before, after): step i of the backbone's output (with segments,
    # after pooling over them) depends on the input from i * hop - before to i * hop + after, in
    # log-mel frames if the network has a log-mel, else in samples.
    receptive_field: tuple[int, int, int] = (32, 126, 157)

    @property
    def is_decision_level(self) -> bool:
        """Whether the network predicts for segments, and so locates sounds in time."""
        return self.head in ("max", "average", "attention")

    def override(self, **overrides) -> "Architecture":
        """This architecture with other settings, as `panns_tf.create_model` names them."""
        frontend, changes = {}, {}
        for name, value in overrides.items():
            if name in Frontend.__dataclass_fields__:
                frontend[name] = value
            elif name in ("dropout", "spec_augment"):
                if not isinstance(value, bool):
                    raise ValueError(f"{name} is switched by True or False; received {value!r}")
                if not value:
                    changes |= dict.fromkeys(DROPOUTS, 0.0) if name == "dropout" else {name: value}
            elif name not in OVERRIDES:
                raise ValueError(f"unknown override {name!r}; expected one of {OVERRIDES}")
            elif name == "embedding_size":
                if int(value) != value or value < 1:
                    raise ValueError(f"embedding_size must be at least 1; received {value}")
                changes[name] = int(value)
            else:
                changes[name] = _widths(value) if name == "hidden" else self._activation(value)
        return dataclasses.replace(self, frontend=self._frontend(frontend), **changes)

    def _activation(self, name: str) -> str:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {ACTIVATIONS}; received {name!r}")
        if name == "softmax" and self.head != "clip":
            raise ValueError(
                f"{self.name} joins probabilities of parts of a clip, each class by itself, so its "
                "activation is sigmoid; received softmax"
            )
        return name

    def _frontend(self, changes: dict) -> Frontend:
        if "log_mel" not in self.inputs:
            useful = ("sample_rate", "mel_bins") if "wavegram" in self.inputs else ("sample_rate",)
            same = vars(self.frontend)
            idle = [name for name in changes if changes[name] != same[name] and name not in useful]
            if idle:
                raise ValueError(
                    f"{self.name} has no log-mel, so {', '.join(idle)} would change nothing"
                )
            # The sample rate is of the training data; fmax, without an effect, has to suit it.
            rate = changes.get("sample_rate", self.frontend.sample_rate)
            changes = {**changes, "fmax": min(self.frontend.fmax, rate / 2)}
        return dataclasses.replace(self.frontend, **changes)

    def unused_parameters(self, num_classes: int) -> int:
        """How many trainable parameters of the reference no output depends on."""
        count = 0
        for _, shape in self.unused:
            size = math.prod(num_classes if n is None else n for n in shape)
            count += 2 * size if len(shape) == 1 else size  # scale and shift, or a kernel
        return count


def _widths(hidden) -> tuple[int, ...]:
    is_list = isinstance(hidden, (tuple, list)) and all(isinstance(w, numbers.Real) for w in hidden)
    if not is_list or not all(w >= 1 and float(w).is_integer() for w in hidden):
        raise ValueError(
            f"hidden must be widths of at least 1, such as (512, 512); received {hidden!r}"
        )
    return tuple(int(width) for width in hidden)


#: Sigmoid for independent classes, softmax for clips of one class each.
ACTIVATIONS = ("sigmoid", "softmax")
DROPOUTS = ("stem_dropout", "block_dropout", "head_dropout", "embedding_dropout")
OVERRIDES = (
    *Frontend.__dataclass_fields__,
    *("embedding_size", "hidden", "activation", "dropout", "spec_augment"),
)

# fmt: off
#: Modules that the reference's Wavegram_Cnn14 and DaiNet19 have and never use.
WAVEGRAM_UNUSED = (
    ("bn0", (64,)), ("conv_block1.conv1", (64, 1, 3, 3)), ("conv_block1.conv2", (64, 64, 3, 3)),
    ("conv_block1.bn1", (64,)), ("conv_block1.bn2", (64,)),
)
DAINET_UNUSED = (("conv_block1.downsample", (64, 64, 1)), ("conv_block1.bn_downsample", (64,)))

# Settings that the networks of a family share and that are not `Architecture`'s defaults.
_cnn14 = Architecture
_cnn10 = partial(Architecture, widths=(64, 128, 256, 512), pool_last=True, embedding_size=512,
                 receptive_field=(16, 30, 45))
_decision = partial(Architecture, receptive_field=(32, 158, 189))
_resnet = partial(Architecture, backbone="resnet", widths=(64, 128, 256, 512), stem_dropout=0.2,
                  block_dropout=0.1)
_mobilenet = partial(Architecture, embedding_size=1024)
_waveform = partial(Architecture, inputs=("waveform",), embedding_size=512, mixup="waveform",
                    block_dropout=0.0)
_res1dnet = partial(_waveform, backbone="res1dnet", widths=(64, 128, 256, 512, 1024, 1024, 2048),
                    kernels=(3,), pool_last=True, embedding_size=2048, block_dropout=0.1)
# The wavegram's receptive field is a frame larger at both ends than that of Cnn14.
_wavegram = partial(Architecture, inputs=("log_mel", "wavegram"), receptive_field=(32, 127, 159))
_MEL32, _MEL128 = Frontend(mel_bins=32), Frontend(mel_bins=128)
#: Parameters, operations and multiply-adds of Cnn14 and its variants of the same layers.
_C14 = (80_753_615, 42_219_593_359, 21_093_601_280)

#: By name: parameters, operations, multiply-adds, published mAP, and what differs.
ARCHITECTURES = {arch.name: arch for arch in (
    Architecture("VGGish", 73_776_015, 18_176_116_367, 9_083_566_080, None, "vggish", "patches",
        widths=(64, 128, 256, 512), depths=(1, 1, 2, 2), embedding_size=4096, block_dropout=0.0,
        head_dropout=0.0, embedding_dropout=0.0, receptive_field=(96, 0, 95)),
    _cnn10("Cnn6", 4_837_455, 21_985_715_343, 10_985_108_992, 0.343, kernels=(5,)),
    _cnn10("Cnn10", 5_219_279, 28_166_055_055, 14_067_594_752, 0.380),
    _cnn14("Cnn14", *_C14, 0.431),
    _cnn14("Cnn14_no_specaug", *_C14, None, spec_augment=False),
    _cnn14("Cnn14_no_dropout", *_C14, None, block_dropout=0.0),
    _cnn14("Cnn14_mixup_time_domain", *_C14, 0.425, mixup="waveform"),
    _cnn14("Cnn14_emb512", 76_796_879, 42_211_681_423, 21_089_646_080, 0.420, embedding_size=512),
    _cnn14("Cnn14_emb128", 75_807_695, 42_209_703_439, 21_088_657_280, 0.412, embedding_size=128),
    _cnn14("Cnn14_emb32", 75_560_399, 42_209_208_943, 21_088_410_080, 0.364, embedding_size=32),
    _cnn14("Cnn14_mel32", 80_753_551, 22_166_746_191, 11_075_274_752, 0.413, frontend=_MEL32),
    _cnn14("Cnn14_mel128", 80_753_743, 82_325_287_695, 41_130_254_336, 0.442, frontend=_MEL128),
    _cnn14("Cnn14_16k", 80_753_615, 40_643_106_447, 20_305_357_824, 0.427, frontend=FRONTEND_16K),
    _cnn14("Cnn14_8k", 80_753_615, 40_248_472_207, 20_108_040_704, 0.406, frontend=FRONTEND_8K),
    _decision("Cnn14_DecisionLevelMax", *_C14, 0.385, head="max"),
    _decision("Cnn14_DecisionLevelAvg", *_C14, None, head="average"),
    _decision("Cnn14_DecisionLevelAtt", 81_834_492, 42_351_299_618, 21_159_438_336, 0.425,
        head="attention", unused=(("att_block.bn_att", (None,)),)),
    _resnet("ResNet22", 63_675_087, 30_081_334_927, 15_015_006_208, 0.430,
        depths=(2, 2, 2, 2), receptive_field=(32, 186, 217)),
    _resnet("ResNet38", 73_783_247, 48_962_420_367, 24_442_753_024, 0.434,
        depths=(3, 4, 6, 3), receptive_field=(32, 302, 333)),
    _resnet("ResNet54", 104_318_159, 54_563_315_343, 27_177_439_232, 0.429,
        depths=(3, 4, 6, 3), bottleneck=True, receptive_field=(32, 184, 215)),
    _mobilenet("MobileNetV1", 4_796_303, 3_614_241_423, 1_791_247_360, 0.389, "mobilenet_v1",
        receptive_field=(32, 157, 188)),
    _mobilenet("MobileNetV2", 4_075_343, 2_809_604_751, 1_393_653_248, 0.383, "mobilenet_v2",
        head_dropout=0.0, receptive_field=(32, 293, 324)),
    _waveform("LeeNet11", 748_367, 4_741_106_063, 2_352_344_640, 0.266, "leenet", kernels=(3,),
        widths=(64, 64, 64, 128, 128, 128, 128, 128, 256), pool_last=True,
        receptive_field=(19683, 19681, 19681)),
    _waveform("LeeNet24", 10_003_791, 26_369_020_431, 13_134_841_920, 0.336, "leenet",
        widths=(64, 96, 128, 128, 256, 256, 512, 512, 1024), embedding_size=1024, block_dropout=0.1,
        receptive_field=(6561, 22963, 22963)),
    _waveform("DaiNet19", 4_385_807, 30_394_920_847, 15_149_474_304, 0.295, "dainet",
        widths=(64, 128, 256, 512), receptive_field=(256, 1360, 1691), unused=DAINET_UNUSED),
    _res1dnet("Res1dNet31", 80_464_463, 32_687_753_743, 16_267_606_016, 0.365,
        depths=(2, 2, 2, 2, 2, 2, 2), receptive_field=(20480, 163835, 184310)),
    _res1dnet("Res1dNet51", 106_538_063, 61_833_202_191, 30_813_452_288, 0.355,
        depths=(2, 3, 4, 6, 4, 3, 2), receptive_field=(20480, 191255, 211730)),
    _cnn14("Wavegram_Cnn14", 80_991_759, 44_233_931_279, 22_087_530_496, 0.389,
        inputs=("wavegram",), receptive_field=(10240, 40640, 50875), unused=WAVEGRAM_UNUSED),
    _wavegram("Wavegram_Logmel_Cnn14", 81_065_487, 53_510_217_359, 26_717_409_280, 0.439),
    _wavegram("Wavegram_Logmel128_Cnn14", 81_262_735, 100_065_063_695, 49_973_518_336, None,
        frontend=_MEL128),
)}
# fmt: on


def list_models(pattern: str = "*") -> list[str]:
    """Names of the networks that match a shell pattern, ignoring case.

    >>> list_models("wavegram_logmel*")
    ['Wavegram_Logmel_Cnn14', 'Wavegram_Logmel128_Cnn14']
    """
    return [name for name in ARCHITECTURES if fnmatch.fnmatchcase(name.lower(), pattern.lower())]


def find(name: str) -> Architecture:
    """The architecture of a network, or a ValueError that names the nearest ones.

    Case, ``_``, ``-`` and the ending ``_Cnn14`` do not matter: ``wavegram_logmel`` is found.
    """
    by_plain_name = {plain(arch.name): arch for arch in ARCHITECTURES.values()}
    short = plain(name)
    if arch := by_plain_name.get(short) or (short and by_plain_name.get(f"{short}cnn14")):
        return arch
    raise ValueError(f"unknown network {name!r}; {did_you_mean(name, ARCHITECTURES)}")
