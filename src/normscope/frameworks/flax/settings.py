"""Normalization layers of Flax, NNX and Linen: the object -> `Declaration`.

Both have the same fields. Where they compute differently, the reader says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.axis_numbers import axes_of_rank, number_axes
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.flax import presets as presets
from normscope.frameworks.layer_class import framework_class
from normscope.frameworks.preset_patterns import parameters
from normscope.notation.spec import NormSpec, Running, spec

_NNX = "flax.nnx.nn.normalization"
_LINEN = "flax.linen.normalization"


@dataclass(frozen=True)
class _Layer:
    """A layer, its title, its home, and the rank of its input if that is known."""

    title: str
    module: Any
    is_nnx: bool
    rank: int | None

    def learned(self, names: str) -> dict[str, str | None]:
        """The fields scale and bias; RMSNorm has no bias."""
        return parameters(names, self.module.use_scale, getattr(self.module, "use_bias", False))


def from_layer(layer: Any, rank: int | None = None) -> Declaration | None:
    """What a layer of Flax declares; None if it is none of Flax's normalizations.

    Args:
        layer: any object.
        rank: the rank of the input, if it is known.

    Raises:
        SpecError: the layer has no spec, or needs a rank that is not known.
    """
    name = framework_class(layer, homes=(_NNX, _LINEN), names=_READERS, method="__call__")
    if name is None:
        return None
    is_nnx = any(cls.__module__ == _NNX for cls in type(layer).__mro__)
    title = f"flax.{'nnx' if is_nnx else 'linen'}.{name}"
    train, infer = _READERS[name](_Layer(title, layer, is_nnx, rank))
    settings = {key: getattr(layer, key) for key in _SETTINGS if hasattr(layer, key)}
    return Declaration(title, train, infer, settings=settings)


def _batch(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    module, kept = layer.module, _axes(layer.module.axis)
    if kept == [-1]:
        pattern, names = "[b...] c", "c"
    else:
        numbered = number_axes(layer.title, kept, rank=layer.rank)
        pattern, names = numbered.keeping(kept), numbered.names(kept)
    train = spec(
        pattern, eps=module.epsilon, running=Running(module.momentum), **layer.learned(names)
    )
    infer = train.inference()
    if layer.is_nnx or module.use_running_average is None:
        return train, infer  # NNX: train() and eval() set use_running_average
    return (infer, infer) if module.use_running_average else (train, replace(train, running=None))


def _layer(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    """Statistics over the reduction axes, parameters along the feature axes."""
    shared, features = _axes(layer.module.reduction_axes), _axes(layer.module.feature_axes)
    numbered = number_axes(layer.title, shared, features, rank=layer.rank)
    stated = spec(
        numbered.sharing(shared),
        eps=layer.module.epsilon,
        **layer.learned(numbered.names(features)),
    )
    return stated, stated


def _rms(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    stated, _ = _layer(layer)
    usual = presets.rms_norm()
    stated = replace(stated, center=usual.center, measure=usual.measure)
    return stated, stated


def _instance(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    features = _axes(layer.module.feature_axes)
    kept = [0, *features]
    numbered = number_axes(layer.title, kept, rank=layer.rank)
    stated = spec(
        numbered.keeping(kept), eps=layer.module.epsilon, **layer.learned(numbered.names(features))
    )
    return stated, stated


def _group(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    module = layer.module
    sizes = {"g": module.num_groups} if module.num_groups else {"c": module.group_size}
    stated = spec(
        _group_pattern(layer),
        sizes=sizes,
        eps=module.epsilon,
        **layer.learned("g c"),
    )
    return stated, stated


def _no_spec(layer: _Layer) -> tuple[NormSpec, NormSpec]:
    raise SpecError(
        f"{layer.title} normalizes the weights of the layer inside it, not what passes through: "
        "there is no spec for that"
    )


def _group_pattern(layer: _Layer) -> str:
    """The axes that are reduced as a whole, and the last one, which is split."""
    module = layer.module
    if module.reduction_axes is None:
        return "b [s...] (g [c])"
    axes = _axes(module.reduction_axes)
    last = -1 if -1 in axes else max(axes)  # it has to be among them, and is the last of all
    if layer.is_nnx:
        _check_reduction_of_nnx(layer, axes)
        numbered = axes_of_rank(layer.title, len(axes) + 1, axes)
    elif last == -1:
        numbered = number_axes(layer.title, axes, rank=layer.rank)
    else:
        numbered = axes_of_rank(layer.title, last + 1, axes)
    whole = numbered.sharing(axis for axis in axes if axis != last)
    return whole.removesuffix(numbered.name(last)) + "(g [c])"


def _check_reduction_of_nnx(layer: _Layer, axes: list[int]) -> None:
    count = len(axes)
    all_but_first = set(axes) in (set(range(1, count + 1)), set(range(-count, 0)))
    if not all_but_first or layer.rank not in (None, count + 1):
        raise SpecError(
            f"{layer.title}(reduction_axes={layer.module.reduction_axes}): Flax repeats the "
            "statistics along axis 1, which is right only if all axes but the first are reduced; "
            "leave reduction_axes out, or use the GroupNorm of Linen"
        )


def _axes(given: int | Sequence[int]) -> list[int]:
    """Axis numbers as a list, each once: Flax makes a set of them."""
    return [given] if isinstance(given, int) else list(dict.fromkeys(given))


_READERS: dict[str, Callable[[_Layer], tuple[NormSpec, NormSpec]]] = {
    "BatchNorm": _batch,
    "LayerNorm": _layer,
    "RMSNorm": _rms,
    "GroupNorm": _group,
    "InstanceNorm": _instance,
    "SpectralNorm": _no_spec,
    "WeightNorm": _no_spec,
}

_SETTINGS = (
    "num_features",
    "num_groups",
    "group_size",
    "axis",
    "reduction_axes",
    "feature_axes",
    "momentum",
    "epsilon",
    "use_bias",
    "use_scale",
    "use_running_average",
    "axis_name",
    "use_fast_variance",  # E[x**2] - E[x]**2: the same spec, less exact where the mean is large
)
"""What of a layer's fields is told again in `Declaration.settings`."""
