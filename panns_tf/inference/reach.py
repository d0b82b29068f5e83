"""Which samples each step of a network's features depends on, read off its graph."""

import dataclasses

import keras
from keras import layers

from panns_tf.layers import CutPatches, LogMel, PatchesOfClips


@dataclasses.dataclass(frozen=True)
class Reach:
    """Step ``i`` depends on samples ``i * stride - before`` to ``i * stride + after``, no others.

    Attributes:
        stride: samples from one step to the next.
        before, after: samples; ``after`` counts the step's own.
    """

    stride: int = 1
    before: int = 0
    after: int = 0

    def windowed(self, size: int, stride: int = 1, dilation: int = 1, pad: int = 0) -> "Reach":
        """The reach after a sliding window.

        Args:
            size: of the window, in steps.
            stride: of the window, in steps.
            dilation: steps between two that the window sees.
            pad: steps by which the first window begins before the first step.
        """
        return Reach(
            self.stride * stride,
            self.before + pad * self.stride,
            self.after + ((size - 1) * dilation - pad) * self.stride,
        )


#: What leaves time alone: every step of the output depends on that step of the input.
_POINTWISE = (
    layers.Activation,
    layers.Add,
    layers.BatchNormalization,
    layers.Dense,
    layers.Dropout,
    layers.ReLU,
)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.DepthwiseConv2D)
_POOLS = (
    layers.AveragePooling1D,
    layers.AveragePooling2D,
    layers.MaxPooling1D,
    layers.MaxPooling2D,
)


def reach_of(model: keras.Model) -> Reach:
    """Returns the reach of a functional model from waveforms to steps.

    Args:
        model: its input is (batch, samples), its outputs are (batch, steps, ...).

    Raises:
        ValueError: if its outputs differ in their stride, or time passes through a layer of
            which this module does not know what it does to it.
    """
    known: dict[int, Reach] = {id(tensor): Reach() for tensor in model.inputs}
    within_patch: set[int] = set()
    for operation in model.operations:
        for node in operation._inbound_nodes:
            inputs = [tensor for tensor in node.input_tensors if id(tensor) in known]
            if isinstance(operation, PatchesOfClips):
                inputs = inputs[:1]  # of the clips it takes the number alone
            if not inputs or any(id(output) in known for output in node.outputs):
                continue
            patch = any(id(tensor) in within_patch for tensor in inputs)
            reach = _joined([known[id(tensor)] for tensor in inputs])
            if not patch:
                reach = _after(operation, reach)
            for output in node.outputs:
                known[id(output)] = reach
                # Within a patch all depends on all of it, and on nothing else.
                if isinstance(operation, CutPatches) or patch:
                    within_patch.add(id(output))
            if isinstance(operation, PatchesOfClips):
                within_patch -= {id(output) for output in node.outputs}
    return _joined([known[id(output)] for output in model.outputs])


def _joined(found: list[Reach]) -> Reach:
    strides = {reach.stride for reach in found}
    if len(strides) > 1:
        raise ValueError(f"branches of different strides meet: {sorted(strides)} samples")
    before, after = (max(getattr(reach, side) for reach in found) for side in ("before", "after"))
    return Reach(strides.pop(), before, after)


def _after(operation, reach: Reach) -> Reach:
    if isinstance(operation, LogMel):
        frontend = operation.frontend
        # Frames are centred.
        return reach.windowed(
            frontend.window_size, frontend.hop_size, pad=frontend.window_size // 2
        )
    if isinstance(operation, CutPatches):
        return reach.windowed(operation.frames, operation.frames)
    if isinstance(operation, layers.ZeroPadding1D):
        return dataclasses.replace(
            reach,
            before=reach.before + operation.padding[0] * reach.stride,
            after=reach.after - operation.padding[0] * reach.stride,
        )
    if isinstance(operation, (*_CONVOLUTIONS, *_POOLS)):
        return _sliding(operation, reach)
    if isinstance(operation, _POINTWISE) or _keeps_time(operation):
        return reach
    raise ValueError(f"what {type(operation).__name__} {operation.name} does to time is not known")


def _sliding(layer, reach: Reach) -> Reach:
    pool = isinstance(layer, _POOLS)
    size = _first(layer.pool_size if pool else layer.kernel_size)
    stride, dilation = _first(layer.strides), 1 if pool else _first(layer.dilation_rate)
    pad = 0
    if layer.padding == "same":
        if stride > 1:
            raise ValueError(f"the padding of {layer.name} depends on the clip's length")
        pad = (size - 1) * dilation // 2
    return reach.windowed(size, stride, dilation, pad)


def _first(value) -> int:
    return value if isinstance(value, int) else value[0]


#: Layers and operations that move other axes, or pad and crop at the clip's end only.
_OTHERS = {
    "Add",
    "Clip",
    "ConcatenateInTime",
    "ExpandDims",
    "Mean",
    "PadToMinimum",
    "PatchesOfClips",
    "Permute",
    "Reshape",
    "SpecAugment",
}


def _keeps_time(operation) -> bool:
    return type(operation).__name__ in _OTHERS
