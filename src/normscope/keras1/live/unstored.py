"""What a file of Keras 1 does not store, found in the rest of it or assumed with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from normscope.keras1.files import Backend, ModelFile, open_arrays, weights_entry
from normscope.keras1.live.conventions import LoadWarning
from normscope.keras1.network import Call
from normscope.keras1.network.layers import Config
from normscope.keras1.network.settings import Settings, Shape
from normscope.keras1.network.spatial_shapes import channel_axis

NATIVE_ORDERING: Mapping[str, str] = {"theano": "th", "tensorflow": "tf"}

UNORDERED = (  # layers for which Keras 1 does not store dim_ordering
    *("ZeroPadding2D", "ZeroPadding3D", "Cropping2D", "Cropping3D", "UpSampling2D", "UpSampling3D"),
    *("SpatialDropout2D", "SpatialDropout3D"),
)


def orderings(
    path: str, calls: Sequence[Call], ordering: str | None, backend: Backend | None
) -> dict[str, Config]:
    """The dim_ordering of the layers for which Keras 1 does not store it."""
    added: dict[str, Config] = {}
    assumed: set[str] = set()
    for call in calls:
        if call.layer_class not in UNORDERED or "dim_ordering" in call.config:
            continue
        rank = int(call.layer_class[-2])
        settings = Settings(path, call.path, call.layer_class, call.config, ordering)
        channel = channel_axis(settings, call.input_tensors[0], rank)
        if channel is None:
            found = _likely_ordering(call.input_tensors[0].shape, backend)
            assumed.add(found)
        else:
            found = "th" if channel == 1 else "tf"
        added[call.path] = {"dim_ordering": found}
    if assumed:
        warnings.warn(
            f"{path}: nothing in it tells the dim_ordering of its paddings, croppings, upsamplings "
            f"or spatial dropouts; {' and '.join(map(repr, sorted(assumed)))} is assumed. "
            "Write dim_ordering='th' or 'tf'",
            LoadWarning,
            stacklevel=4,
        )
    return added


def _likely_ordering(shape: Shape | None, backend: Backend | None) -> str:
    """The end of the shape that is smaller has the channels, else what the backend prefers."""
    if shape is not None and None not in (shape[1], shape[-1]) and shape[1] != shape[-1]:
        return min((shape[1], "th"), (shape[-1], "tf"))[1]
    return NATIVE_ORDERING[backend or "tensorflow"]


def shared_axes(file: ModelFile, calls: Sequence[Call]) -> dict[str, Config]:
    """The shared axes of PReLU, which Keras 1 does not store: where its slopes have size 1."""
    added: dict[str, Config] = {}
    slopes = [call for call in calls if call.layer_class == "PReLU"]
    if not slopes or not file.weights:
        return added
    with open_arrays(file) as stored:
        for call in slopes:
            entry, sizes = weights_entry(file, call.path), call.input_tensors[0].shape
            if entry is None or sizes is None or "shared_axes" in call.config:
                continue
            name = file.stored_name(entry, f"{call.name}_alphas")
            shape = () if name is None else stored.shape(entry, name)
            if len(shape) == len(sizes) - 1:
                pairs = enumerate(zip(shape, sizes[1:], strict=True), start=1)
                shared = [axis for axis, (have, size) in pairs if have == 1 and size != 1]
                added[call.path] = {"shared_axes": shared or None}
    return added


def likely_backend(path: str, calls: Sequence[Call]) -> Backend:
    """Without weights nothing tells the backend; all that it decides is how poolings pad."""
    for call in calls:
        if "Pooling" in call.layer_class and call.config.get("border_mode") == "same":
            likely: Backend = "theano" if call.config.get("dim_ordering") == "th" else "tensorflow"
            warnings.warn(
                f"{path}: nothing in it tells which backend it is of, and layer {call.path!r} pads "
                f"by that; {likely!r} is assumed. Write backend='theano' or 'tensorflow'",
                LoadWarning,
                stacklevel=4,
            )
            return likely
    return "tensorflow"
