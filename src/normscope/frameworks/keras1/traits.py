"""The layer classes of Keras 1: which make channels, add a bias, keep the axes of their input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from normscope.frameworks.traits import Traits

ADDS_BIAS = frozenset(
    {
        "Dense",
        "TimeDistributedDense",
        "Convolution1D",
        "Convolution2D",
        "Convolution3D",
        "AtrousConvolution1D",
        "AtrousConvolution2D",
        "Deconvolution2D",
        "SeparableConvolution2D",
    }
)
"""Classes that end with one learned number added to each channel, unless their `bias` is False or
an activation follows in the layer."""

MAKES_CHANNELS = ADDS_BIAS | {
    "MaxoutDense",
    "Highway",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "ConvLSTM2D",
    "Embedding",
    "SimpleRNN",
    "GRU",
    "LSTM",
}
"""Classes whose output has channels that its input has not."""

KEEPS_AXES = frozenset(
    {
        "InputLayer",
        "Activation",
        "LeakyReLU",
        "PReLU",
        "ELU",
        "ParametricSoftplus",
        "ThresholdedReLU",
        "SReLU",
        "Dropout",
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "GaussianNoise",
        "GaussianDropout",
        "ActivityRegularization",
        "Masking",
        "BatchNormalization",
        "Merge",
        *(f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)),
        *(f"{kind}{n}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for n in (1, 2, 3)),
    }
)
"""Classes whose output has the axes of its input, in the same order; a Merge that multiplies its
inputs along an axis has not."""


def traits_of(
    layer_class: str, config: Mapping[str, Any], output_axes: Sequence[str] | None
) -> Traits:
    """The traits of a layer; a TimeDistributed has those of the layer in it.

    Args:
        layer_class: the name of its class.
        config: `layer.get_config()`.
        output_axes: the names of the axes of its output, "c" for the channels; None if they are
            not known.

    >>> traits_of("Convolution2D", {"activation": "relu"}, ("b", "c", "h", "w"))
    Traits(channel_axis=1, adds_bias=False, keeps_axes=False, identity=False)
    >>> traits_of("Dense", {"bias": True}, ("b", "c"))
    Traits(channel_axis=1, adds_bias=True, keeps_axes=False, identity=False)
    >>> traits_of("Lambda", {}, None)
    Traits(channel_axis=None, adds_bias=False, keeps_axes=False, identity=False)
    """
    if layer_class == "TimeDistributed":
        inner = config.get("layer")
        if isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping):
            layer_class, config = str(inner.get("class_name")), inner["config"]
    linear = config.get("activation", "linear") == "linear"
    product = layer_class == "Merge" and config.get("mode") in ("dot", "cos")
    named = layer_class in MAKES_CHANNELS and output_axes is not None and "c" in output_axes
    return Traits(
        channel_axis=list(output_axes).index("c") if named and output_axes else None,
        adds_bias=layer_class in ADDS_BIAS and config.get("bias", True) is True and linear,
        keeps_axes=layer_class in KEEPS_AXES and not product,
        identity=layer_class == "ActivityRegularization"
        or (layer_class == "Activation" and linear),
    )
