"""Normalization layers of Keras 2 and 3: the object or its configuration -> `Declaration`.

An object is read through `get_config`, so both ways lead to the same place. `build_config`, which
Keras 3 stores beside the configuration, gives the shape that the layer was built for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.axis_numbers import Numbered, axes_of_rank, number_axes
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.keras import presets as presets
from normscope.frameworks.layer_class import framework_class
from normscope.frameworks.preset_patterns import parameters
from normscope.notation.spec import Measure, NormSpec, Running, spec

_HOMES = ("keras.", "tf_keras.", "tensorflow.python.keras.")


@dataclass(frozen=True)
class _Layer:
    """A layer's configuration, and what else is known of it.

    Attributes:
        title: the layer as its user knows it.
        config: its settings by name.
        version: of the Keras that wrote it, as far as it is known: (3,), (2, 2, 4).
        shape: that it was built for, or None.
        rank: of its input, if it is known.
    """

    title: str
    config: Mapping[str, Any]
    version: tuple[int, ...]
    shape: tuple[int | None, ...] | None
    rank: int | None

    def axes(self) -> list[int]:
        """The setting `axis` as a list."""
        axis = self.config.get("axis", -1)
        return list(axis) if isinstance(axis, list | tuple) else [axis]

    def numbered(self, *lists: list[int]) -> Numbered:
        return number_axes(self.title, *lists, rank=self.rank)

    def learned(self, names: str) -> dict[str, str | None]:
        """The fields scale and bias, as the settings of these names say."""
        return parameters(names, self.config.get("scale", True), self.config.get("center", True))


def _plain(axis: Any) -> Any:
    return list(axis) if isinstance(axis, list | tuple) else axis


def is_keras1(layer: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of Keras 1: by its version, or by `mode`, which only it has.

    >>> is_keras1({"mode": 1}), is_keras1({"class_name": "BatchNormalization", "config": {}})
    (True, False)
    """
    config = layer.get("config", layer)
    written_by = layer.get("keras_version")
    if written_by is not None:
        return layer.get("class_name") == "BatchNormalization" and str(written_by).startswith("1.")
    return isinstance(config, Mapping) and "mode" in config


def from_layer(layer: Any, rank: int | None = None) -> Declaration | None:
    """What a layer of Keras 2 or 3 declares; None if it is none of Keras's normalizations.

    Args:
        layer: any object.
        rank: the rank of the input, if it is known.

    Raises:
        SpecError: the layer has no spec, or needs a rank that is not known.
    """
    name = framework_class(layer, homes=_HOMES, names=_READERS, method="call")
    if name is None:
        return None
    is_3 = any(cls.__module__ == "keras.src.layers.layer" for cls in type(layer).__mro__)
    built = layer.get_build_config() if hasattr(layer, "get_build_config") else None
    return _declare(name, layer.get_config(), (3,) if is_3 else (2, 99), built, rank)


def from_configuration(layer: Mapping[str, Any], rank: int | None = None) -> Declaration:
    """What the configuration of a Keras 2 or 3 layer declares.

    Args:
        layer: a mapping with `class_name` and `config`, as Keras writes into its files; with
            `keras_version` it is read as by that release, without it as by Keras 3.
        rank: the rank of the input, if it is known.

    Raises:
        SpecError: it is none of Keras's normalizations, or has no spec.

    Example:
        >>> layer = {"class_name": "BatchNormalization", "config": {"axis": [3], "scale": False}}
        >>> print(from_configuration(layer).train.pattern)
        [b s1 s2] c [s...]
    """
    name, config = layer.get("class_name"), layer.get("config")
    if not isinstance(name, str) or name not in _READERS or not isinstance(config, Mapping):
        known = ", ".join(name for name, reader in _READERS.items() if reader is not _no_spec)
        raise SpecError(f"{name!r} with a config is no normalization of Keras; these are: {known}")
    version = _version(layer.get("keras_version"))
    return _declare(name, config, version, layer.get("build_config"), rank)


def _declare(
    name: str,
    config: Mapping[str, Any],
    version: tuple[int, ...],
    built: object,
    rank: int | None,
) -> Declaration:
    shape = built.get("input_shape") if isinstance(built, Mapping) else None
    shape = tuple(shape) if isinstance(shape, list | tuple) else None
    title = f"Keras {version[0]} {name}"
    layer = _Layer(title, config, version, shape, rank or (len(shape) if shape else None))
    train, infer = _READERS[name](layer)
    settings = {key: config[key] for key in _SETTINGS if key in config}
    if "axis" in settings:  # in a list of Keras that keeps hold of the layer
        settings["axis"] = _plain(settings["axis"])
    return Declaration(title, train, infer, settings=settings)


def _version(text: object) -> tuple[int, ...]:
    """(2, 2, 4) of "2.2.4-tf", which then is 2.4 at least; 3 where it is not known."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})", str(text))
    if found is None:
        return (3,)
    version = tuple(int(part) for part in found.groups())
    return max(version, (2, 4, 0)) if str(text).endswith("-tf") else version


def _batch(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    config, axes = layer.config, layer.axes()
    if config.get("renorm"):
        raise SpecError(
            f"{layer.title} with renorm=True corrects the batch statistics by running ones (batch "
            "renormalization), for which there is no spec"
        )
    if config.get("virtual_batch_size"):
        raise SpecError(f"{layer.title} with virtual_batch_size cuts the batch; it has no spec")
    if len(axes) == 1:
        known = ("momentum", "epsilon", "center", "scale")
        given = {key: config[key] for key in known if key in config}
        train = presets.batch_normalization(axes[0], **given)
    else:
        numbered = layer.numbered(axes)
        train = spec(
            numbered.keeping(axes),
            eps=config.get("epsilon", 1e-3),
            running=Running(config.get("momentum", 0.99)),
            **layer.learned(numbered.names(axes)),
        )
    infer = train.inference()
    # Keras before 2.4 (which is that of TensorFlow 2) freezes the statistics only
    frozen = config.get("trainable", True) is False and layer.version >= (2, 4)
    return (infer, infer) if frozen else (train, infer)


def _layer(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    axes = layer.axes()
    numbered = layer.numbered(axes)
    names = numbered.names(axes)
    stated = spec(
        numbered.sharing(axes), eps=layer.config.get("epsilon", 1e-3), **layer.learned(names)
    )
    if layer.config.get("rms_scaling"):
        # x / sqrt(variance + epsilon) * gamma: the variance around the mean, not the mean square
        stated = replace(stated, center=False, scale=names, bias=None)
    return stated, stated


def _group(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    axis, groups = layer.config.get("axis", -1), layer.config.get("groups", 32)
    numbered = layer.numbered([0, axis])
    pattern, channels = numbered.keeping([0, axis]), numbered.name(axis)
    eps = layer.config.get("epsilon", 1e-3)
    if groups == -1 or (layer.shape is not None and layer.shape[axis] == groups):
        stated = spec(pattern, eps=eps, **layer.learned(channels))
    else:
        words = ["(g [c])" if word == channels else word for word in pattern.split()]
        stated = spec(" ".join(words), g=groups, eps=eps, **layer.learned("g c"))
    return stated, stated


def _rms(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    axes = layer.axes()
    last = range(-len(axes), 0)
    if sorted(axes) == list(last):
        numbered = layer.numbered(axes)
    elif layer.rank is None:
        raise SpecError(
            f"{layer.title}(axis={layer.config.get('axis')}) scales along the last axes, whatever "
            'its axis: which they are depends on the rank: name the axes, as in axes="b h w c"'
        )
    else:
        numbered = axes_of_rank(layer.title, layer.rank, axes)
    stated = spec(
        numbered.sharing(axes),
        eps=layer.config.get("epsilon", 1e-6),
        center=False,
        measure=Measure.MEAN_SQUARE,
        scale=numbered.names(last),
    )
    return stated, stated


def _unit(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    axes = layer.axes()
    stated = spec(
        layer.numbered(axes).sharing(axes),
        eps=0,
        center=False,
        measure=Measure.L2,
        # Keras 2 takes the root of max(sum, 1e-12), Keras 3 the larger of root and 1e-12
        floor=1e-12 if layer.version >= (3,) else 1e-6,
    )
    return stated, stated


def _adapted(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    """(x - mean) / max(sqrt(variance), 1e-7), with what `adapt` has found in the data set."""
    if layer.config.get("invert"):
        raise SpecError(f"{layer.title} with invert=True undoes a normalization; it has no spec")
    stated = NormSpec(None, eps=0, floor=1e-7)
    return stated, stated


def _no_spec(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    raise SpecError(
        f"{layer.title} normalizes the weights of the layer inside it, not what passes through: "
        "there is no spec for that"
    )


_READERS: dict[str, Callable[[_Layer], tuple[NormSpec, NormSpec]]] = {
    "BatchNormalization": _batch,
    "BatchNormalizationV1": _batch,
    "BatchNormalizationV2": _batch,
    "SyncBatchNormalization": _batch,
    "LayerNormalization": _layer,
    "GroupNormalization": _group,
    "RMSNormalization": _rms,
    "UnitNormalization": _unit,
    "Normalization": _adapted,
    "SpectralNormalization": _no_spec,
}

_SETTINGS = (
    "axis",
    "groups",
    "momentum",
    "epsilon",
    "center",
    "scale",
    "rms_scaling",
    "synchronized",
    "trainable",
    "dtype",
)
"""What of a configuration is told again in `Declaration.settings`."""
